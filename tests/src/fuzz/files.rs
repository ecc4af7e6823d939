//! Arbitrary bytes as a file of every format that the library reads: the file is read, or rejected
//! by a typed error that names it and the location of the fault; then nothing has changed.
//!
//! The first byte of a case selects the format, see [`FORMATS`]; the remaining bytes are the file.

pub mod seeds;

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};

use bilro::ndarray::{ArrayD, IxDyn};
use bilro::prelude::*;
use bilro::{Error, data, io};

use super::{Target, kind_of};

/// See the module.
pub const TARGET: Target = Target {
    name: "files",
    run,
    seeds: seeds::all,
    dictionary: seeds::WORDS,
    max_length: 8 << 10,
    memory,
};

/// The maximum of allocated memory while a file of some length is read: buffers of readers and of
/// decompression, and a few times its contents.
pub fn memory(length: usize) -> usize {
    (8 << 20) + 64 * length
}

network! {
    /// The network of the files of weights and of checkpoints.
    pub struct Small {
        input x: [3];
        target y: class(2);
        output logits = x -> Linear(2) -> BatchNorm1d -> ReLU -> Linear(2);
        loss cross_entropy(logits, y);
    }
}

/// A format, and the function that reads its files.
pub struct Format {
    /// Its name.
    pub name: &'static str,
    /// Reads a file and everything in it. Panics if a property is violated, as after an error that
    /// has changed something.
    pub read: fn(&Path) -> bilro::Result<()>,
    /// Changes the contents so that mutations reach further.
    pub prepare: fn(&mut Vec<u8>),
}

/// All formats, by the first byte of a case.
pub const FORMATS: &[Format] = &[
    Format { name: "idx", read: |p| data::idx(p).map(drop), prepare: unchanged },
    Format { name: "csv of classes", read: csv_classes, prepare: unchanged },
    Format { name: "csv of reals", read: csv_reals, prepare: unchanged },
    Format { name: "csv without a header", read: csv_numbers, prepare: unchanged },
    Format { name: "npy", read: npy, prepare: unchanged },
    Format { name: "npz", read: npz, prepare: unchanged },
    Format { name: "safetensors", read: tensors, prepare: unchanged },
    Format { name: "weights", read: weights, prepare: unchanged },
    Format { name: "checkpoint", read: checkpoint, prepare: unchanged },
    Format { name: "checkpoint with its checksums", read: checkpoint, prepare: renew_checksums },
    Format { name: "checkpoint of fit", read: checkpoint_of_fit, prepare: renew_checksums },
];

fn unchanged(_: &mut Vec<u8>) {}

/// Reads a table that has a column `kind`.
fn csv_classes(path: &Path) -> bilro::Result<()> {
    let (data, names) = data::csv(path).target("kind").drop(0).classes()?;
    let classes = data.y().iter().max().map_or(0, |class| *class as usize + 1);
    assert!(names.is_empty() || classes <= names.len(), "{classes} classes of {names:?}");
    assert!(data.x().iter().all(|x| x.is_finite()));
    Ok(())
}

fn csv_reals(path: &Path) -> bilro::Result<()> {
    let data = data::csv(path).separator(b';').target(1).target("a").reals()?;
    assert!(data.x().iter().chain(&data.y()).all(|x| x.is_finite()));
    Ok(())
}

fn csv_numbers(path: &Path) -> bilro::Result<()> {
    data::csv(path).header(false).target(1).max_classes(5).classes().map(drop)
}

/// Reads an array by several types; what is read is written and read again.
fn npy(path: &Path) -> bilro::Result<()> {
    let classes = io::read_npy::<u32, IxDyn>(path);
    let bytes = io::read_npy::<u8, IxDyn>(path);
    let reals: ArrayD<f64> = io::read_npy(path)?;
    if let Ok(bytes) = bytes {
        assert_eq!(classes?.mapv(|x| x as u8), bytes);
    }
    let copy = scratch("copy.npy");
    io::write_npy(&copy, &reals)?;
    assert_same(&reals, &io::read_npy(&copy)?);
    Ok(())
}

fn npz(path: &Path) -> bilro::Result<()> {
    for name in io::npz_names(path)? {
        let reals: ArrayD<f64> = io::read_npz(path, &name)?;
        if name.len() < 1000 {
            let copy = scratch("copy.npz");
            io::write_npz(&copy, &[(&name, &reals)])?;
            assert_same(&reals, &io::read_npz(&copy, &name)?);
        }
    }
    Ok(())
}

/// Equality of shapes and of values, where all NaN are equal.
fn assert_same(a: &ArrayD<f64>, b: &ArrayD<f64>) {
    assert_eq!(a.shape(), b.shape());
    assert!(a.iter().zip(b).all(|(x, y)| x == y || (x.is_nan() && y.is_nan())));
}

/// Reads all tensors; what is read is written and read again with the same bits.
fn tensors(path: &Path) -> bilro::Result<()> {
    let read = io::load_tensors(path)?;
    let copy = scratch("copy.safetensors");
    io::save_tensors(&copy, read.iter().map(|(name, x)| (name.clone(), x.view())))?;
    let again = io::load_tensors(&copy)?;
    assert_eq!(read.len(), again.len());
    for ((name, x), (other, y)) in read.iter().zip(&again) {
        assert_eq!((name, x.shape()), (other, y.shape()));
        assert!(x.iter().zip(y).all(|(x, y)| x.to_bits() == y.to_bits()), "`{name}`");
    }
    Ok(())
}

/// The bits of all parameters.
fn parameters(model: &Model<Small>) -> Vec<u32> {
    model
        .state_dict()
        .flat_map(|(_, x)| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>())
        .collect()
}

thread_local! {
    static MODEL: RefCell<Model<Small>> =
        RefCell::new(Small::model().seed(3).threads(1).build().expect("a valid network"));
    /// A trainer, and its checkpoint.
    static TRAINER: RefCell<(Trainer<Small>, Vec<u8>)> = RefCell::new({
        let trainer = seeds::trainer();
        let state = state_of(&trainer);
        (trainer, state)
    });
}

/// Loads the file into a model, completely or not at all.
fn weights(path: &Path) -> bilro::Result<()> {
    MODEL.with_borrow_mut(|model| {
        let before = parameters(model);
        let result = model.load(path);
        if result.is_err() {
            assert!(parameters(model) == before, "an error has changed parameters: {result:?}");
        }
        let partial = model.load_except(path, &["linear1"]);
        assert!(result.is_err() || partial.is_ok(), "{partial:?}");
        result
    })
}

/// The complete state of a trainer.
fn state_of(trainer: &Trainer<Small>) -> Vec<u8> {
    let path = scratch("state.safetensors");
    trainer.save_checkpoint(&path).expect("it can be written");
    fs::read(path).expect("it was written")
}

/// Requires that an error has left the trainer unchanged.
fn unless_changed(
    resume: impl FnOnce(&mut Trainer<Small>) -> bilro::Result<()>,
) -> bilro::Result<()> {
    TRAINER.with_borrow_mut(|(trainer, state)| {
        let result = resume(trainer);
        let after = state_of(trainer);
        match &result {
            Ok(()) => *state = after,
            Err(error) => assert!(after == *state, "an error has changed the trainer: {error}"),
        }
        result
    })
}

/// Resumes from the file, completely or not at all.
fn checkpoint(path: &Path) -> bilro::Result<()> {
    weights(path).ok();
    unless_changed(|trainer| trainer.resume(path).map(drop))
}

/// Continues `fit` from the file.
fn checkpoint_of_fit(path: &Path) -> bilro::Result<()> {
    let data = seeds::examples();
    unless_changed(|trainer| trainer.fit(&data, seeds::fit().resume_from(path)).map(drop))
}

/// Replaces the checksums of a checkpoint by those of its contents, so that changed contents are read.
fn renew_checksums(bytes: &mut Vec<u8>) {
    // Sections in the order of their offsets; the last tensor has the checksums.
    let sections = || {
        let length = usize::try_from(u64::from_le_bytes(*bytes.first_chunk()?)).ok()?;
        let header: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(bytes[8..].get(..length)?).ok()?;
        let start = 8 + length;
        let tensors = header.iter().filter(|(name, _)| *name != "__metadata__");
        let range = |info: &serde_json::Value| {
            let offset = |i| {
                let offset = info.get("data_offsets")?.get(i)?.as_u64()?;
                start.checked_add(usize::try_from(offset).ok()?)
            };
            Some((offset(0)?, offset(1)?))
        };
        let mut ranges = tensors.map(|(_, info)| range(info)).collect::<Option<Vec<_>>>()?;
        ranges.sort_unstable();
        ranges.insert(0, (0, start));
        Some(ranges)
    };
    let Some(mut sections) = sections() else { return };
    let Some((table, end)) = sections.pop() else { return };
    let sums = sections.iter().map(|(start, end)| bytes.get(*start..*end).map(crc32));
    let Some(sums) = sums.collect::<Option<Vec<u32>>>() else { return };
    if end != bytes.len() || end.checked_sub(table) != Some(4 * (sums.len() + 1)) {
        return;
    }
    for (i, sum) in sums.iter().enumerate() {
        bytes[table + 4 * i..][..4].copy_from_slice(&sum.to_le_bytes());
    }
    let sum = crc32(&bytes[table..end - 4]);
    bytes[end - 4..].copy_from_slice(&sum.to_le_bytes());
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// A file in the folder of this process, in memory if the system has a folder for that.
fn scratch(name: &str) -> PathBuf {
    thread_local! {
        static FOLDER: tempfile::TempDir = {
            let mut builder = tempfile::Builder::new();
            builder.prefix("bilro-fuzz-");
            builder.tempdir_in("/dev/shm").or_else(|_| builder.tempdir()).expect("a folder")
        };
    }
    FOLDER.with(|folder| folder.path().join(name))
}

/// Runs a case.
///
/// # Panics
/// As [`read`].
pub fn run(data: &[u8]) -> u64 {
    let Some((selector, contents)) = data.split_first() else { return 0 };
    let index = usize::from(*selector) % FORMATS.len();
    let mut contents = contents.to_vec();
    (FORMATS[index].prepare)(&mut contents);
    let kind = match read(&FORMATS[index], &contents) {
        Ok(()) => 1,
        Err(error) => {
            kind_of(&error.to_string().replace(&scratch("file").display().to_string(), ""))
        }
    };
    kind ^ (index as u64) << 32
}

/// Reads a file with these contents.
///
/// # Panics
/// If reading panics, an error is of another type or does not name file and location, or an error has
/// changed something.
///
/// # Errors
/// That of the reader.
pub fn read(format: &Format, contents: &[u8]) -> bilro::Result<()> {
    read_with(format, contents, |read| read())
}

/// The same, where `measure` calls the reader.
///
/// # Panics
/// As [`read`].
///
/// # Errors
/// That of the reader.
pub fn read_with(
    format: &Format,
    contents: &[u8],
    measure: impl FnOnce(&mut dyn FnMut() -> bilro::Result<()>) -> bilro::Result<()>,
) -> bilro::Result<()> {
    let path = scratch("file");
    fs::write(&path, contents).expect("it can be written");
    let result = measure(&mut || (format.read)(&path));
    if let Err(error) = &result {
        check_error(error, &path, contents.len(), format.name);
    }
    result
}

/// Requires an error of a file: typed, with the file and the location of the fault.
///
/// # Panics
/// Otherwise.
pub fn check_error(error: &Error, file: &Path, length: usize, format: &str) {
    let message = error.to_string();
    let name = file.display().to_string();
    assert!(message.contains(&name), "{format}: the error does not name the file: {message}");
    assert!(message.len() < 2000 + 8 * length, "{format}: {} bytes of message", message.len());
    match error {
        Error::File { path, message } => {
            assert_eq!(path, file, "{format}: {message}");
            // A mismatch of the file and the call is not a fault at a location.
            let places = ["offset ", "line ", "column", "element [", "`", "expected "];
            let is_located = places.iter().any(|place| message.contains(place));
            assert!(is_located, "{format}: an error without a location: {message}");
        }
        Error::Damaged { path, offset, .. } => {
            assert_eq!(path, file, "{format}: {message}");
            assert!(*offset <= length as u64, "{format}: {message}, of {length} bytes");
        }
        Error::Weights { path, .. } | Error::Checkpoint { path, .. } => assert_eq!(path, file),
        Error::InvalidArgument { .. } | Error::Empty { .. } => {
            assert!(format.starts_with("csv"), "{format}: {message}");
        }
        other => panic!("{format}: an error of another type: {other:?}"),
    }
}
