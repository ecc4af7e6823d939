//! Malformed files for every reader: valid ones with a few bytes changed, and
//! small ones that claim or expand to large sizes. Each is read, or rejected by a
//! typed error, within bounds of time and memory.

use std::fs;
use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bilro::ndarray::{Array1, Array2, Ix1, Ix2, array};
use bilro::rng::Generator;
use bilro::{Error, data, io};
use bilro_tests::counting::{LIVE, PEAK};
use bilro_tests::fuzz::files::seeds::{self, idx, npy};
use bilro_tests::fuzz::files::{self, FORMATS, Format};
use bilro_tests::fuzz::mutate::mutate;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::exclusive;

/// Mutations of each file.
const ROUNDS: usize = 150;

/// Memory limit for reading any file of a few hundred bytes: buffers of readers,
/// of decompression, and a growing vector or two.
const SMALL: usize = 8 << 20;

fn gzip(contents: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(contents).unwrap();
    encoder.finish().unwrap()
}

/// The peak of a call's allocations, and its result.
fn measure<T>(call: impl FnOnce() -> bilro::Result<T>) -> (usize, bilro::Result<()>) {
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let result = call().map(drop);
    (PEAK.load(Ordering::Relaxed) - before, result)
}

/// Reads a file within bounds of time and memory.
fn read(format: &Format, contents: &[u8], context: &str) -> bilro::Result<()> {
    let began = Instant::now();
    let mut peak = 0;
    let result = files::read_with(format, contents, |read| {
        let (found, result) = measure(read);
        peak = found;
        result
    });
    let most = files::memory(contents.len());
    assert!(peak < most, "{} {context}: {peak} bytes: {result:?}", format.name);
    assert!(began.elapsed() < Duration::from_secs(3), "{} {context}: {result:?}", format.name);
    result
}

/// Every valid file with its format.
fn valid() -> Vec<(&'static Format, Vec<u8>)> {
    let files = seeds::files().into_iter().map(|(name, file)| {
        let format = FORMATS.iter().find(|format| format.name == name).expect("a format");
        (format, file)
    });
    files.collect()
}

#[test]
fn changed_files_are_read_or_rejected_within_bounds() {
    let _alone = exclusive();
    let mut random = Generator::new(5);
    for (format, file) in valid() {
        read(format, &file, "unchanged").unwrap_or_else(|error| panic!("{}: {error}", format.name));
        for round in 0..ROUNDS {
            let mut bytes = file.clone();
            mutate(&mut bytes, &file, seeds::WORDS, 1 << 16, &mut random);
            (format.prepare)(&mut bytes);
            let _ = read(format, &bytes, &format!("{round}"));
        }
    }
}

/// Files that end early are errors, whatever is missing, except that a table may end after any field.
#[test]
fn truncated_files_are_rejected() {
    let _alone = exclusive();
    for (format, file) in valid() {
        for length in (0..file.len()).step_by(file.len().div_ceil(400)) {
            let result = read(format, &file[..length], &format!("of {length} bytes"));
            let may_end = format.name.starts_with("csv");
            assert!(may_end || result.is_err(), "{} of {length} bytes is read", format.name);
        }
        let longer = read(format, &[&file[..], b"\0"].concat(), "with another byte");
        let may_continue = format.name.starts_with("csv") || format.name == "npz";
        assert!(may_continue || longer.is_err(), "{} with another byte is read", format.name);
    }
}

#[test]
fn files_with_a_changed_byte_are_read_or_rejected() {
    let _alone = exclusive();
    for (format, file) in valid() {
        for at in (0..file.len()).step_by(file.len().div_ceil(200)) {
            for change in [1, 0x80, 0xff] {
                let mut bytes = file.clone();
                bytes[at] ^= change;
                (format.prepare)(&mut bytes);
                let result = read(format, &bytes, &format!("byte {at} ^ {change}"));
                let has_checksums = format.name == "checkpoint";
                assert!(!has_checksums || result.is_err(), "byte {at} ^ {change}");
            }
        }
    }
}

#[test]
fn changed_folders_of_mnist_are_read_or_rejected_within_bounds() {
    let _alone = exclusive();
    let folder = tempfile::tempdir().unwrap();
    let images = idx(8, &[3, 2, 2], &[7; 12]);
    let labels = idx(8, &[3], &[0, 9, 1]);
    let files = [
        ("train-images-idx3-ubyte", images.clone()),
        ("train-labels-idx1-ubyte.gz", gzip(&labels)),
        ("t10k-images-idx3-ubyte.gz", gzip(&images)),
        ("t10k-labels-idx1-ubyte", labels),
    ];
    let put = |(name, bytes): &(&str, Vec<u8>)| fs::write(folder.path().join(name), bytes).unwrap();
    files.iter().for_each(put);
    data::mnist(folder.path()).unwrap();
    let mut random = Generator::new(6);
    for round in 0..ROUNDS {
        let (name, mut bytes) = files[round % 4].clone();
        mutate(&mut bytes, &[], &[], 1 << 16, &mut random);
        put(&(name, bytes));
        let (peak, result) = measure(|| data::mnist(folder.path()));
        assert!(peak < SMALL, "{name} {round}: {peak} bytes");
        let is_typed = matches!(result, Ok(()) | Err(Error::File { .. } | Error::Empty { .. }));
        assert!(is_typed, "{name} {round}: {result:?}");
        put(&files[round % 4]);
    }
}

/// Large contents of a compressed file are rejected before they are expanded, and
/// reading takes a few times the memory of the contents.
#[test]
fn decompression_is_bounded() {
    let _alone = exclusive();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let put = |bytes: &[u8]| fs::write(&path, bytes).unwrap();
    let mega = 1 << 20;
    let refused = |call: &dyn Fn() -> bilro::Result<()>, peak: usize| {
        let (found, result) = measure(call);
        let message = result.unwrap_err().to_string();
        assert!(message.contains("its contents have more than"), "{message}");
        assert!(found < peak, "{found} bytes: {message}");
    };

    // 300 MB of zeros in some 1 MB, with their size in the header.
    let zeros = [idx(8, &[300_000_000], &[]), vec![0; 300_000_000]].concat();
    let packed = gzip(&zeros);
    drop(zeros);
    assert!(packed.len() < 8 * mega);
    put(&packed);
    refused(&|| data::idx(&path).map(drop), 2 * mega);
    refused(&|| data::idx(io::with_limit(&path, 16 << 20)).map(drop), 2 * mega);

    // Short rows: contents within a limit of 8 MiB take a few times that memory.
    for (row, classes) in [("1,a\n", true), ("1,2\n", true), ("1,2\n", false), ("1,0.5\n", true)] {
        let rows = 4 * mega / row.len();
        let table = format!("x,y\n{}", row.repeat(rows));
        for contents in [table.clone().into_bytes(), gzip(table.as_bytes())] {
            put(&contents);
            let read = |limit: u64| {
                let csv = data::csv(io::with_limit(&path, limit)).target("y");
                match classes {
                    true => csv.classes().map(drop),
                    false => csv.reals().map(drop),
                }
            };
            let (peak, result) = measure(|| read(8 << 20));
            result.unwrap();
            assert!(peak < 6 * table.len(), "{row:?}: {peak} bytes for {}", table.len());
            refused(&|| read(mega as u64), 8 * mega);
        }
    }
    // The numbers of different names and of columns are limited.
    let names: String = (0..400_000).map(|i| format!("1,n{i}\n")).collect();
    put(&gzip(format!("x,y\n{names}").as_bytes()));
    let (peak, result) = measure(|| data::csv(&path).target("y").classes());
    assert!(result.unwrap_err().to_string().contains("more than 65536 different values"));
    assert!(peak < 16 * mega, "{peak} bytes");
    put(&gzip(&b"1,".repeat(20 * mega)));
    let (peak, result) = measure(|| data::csv(&path).target("y").classes());
    assert!(result.unwrap_err().to_string().contains("is longer than 16777216 bytes"));
    assert!(peak < 400 * mega, "{peak} bytes");
}

/// Archives whose directories claim many entries, or repeat.
#[test]
fn archives_are_bounded() {
    let _alone = exclusive();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    // The repeated end of an archive: a million files, from offset 0.
    let mut end = b"PK\x05\x06\0\0\0\0".to_vec();
    end.extend([0xff, 0xff, 0xff, 0xff]);
    end.extend([0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    for count in [1, 1000, 50_000] {
        fs::write(&path, end.repeat(count)).unwrap();
        let began = Instant::now();
        let (peak, result) = measure(|| io::npz_names(&path));
        assert!(result.is_err());
        assert!(peak < SMALL + 400 * end.len() * count, "{count}: {peak} bytes");
        assert!(began.elapsed() < Duration::from_secs(5), "{count}: {:?}", began.elapsed());
    }
}

#[test]
fn a_data_set_of_numpy_files_has_its_types() {
    let folder = tempfile::tempdir().unwrap();
    let (x, y) = (folder.path().join("x.npy"), folder.path().join("y.npy"));
    let features: Vec<u8> = [0.1f64, 0.2, 0.3, 0.4].iter().flat_map(|x| x.to_le_bytes()).collect();
    let labels: Vec<u8> = [1i64, 0].iter().flat_map(|y| y.to_le_bytes()).collect();
    fs::write(&x, npy("<f8", "(2, 2)", &features)).unwrap();
    fs::write(&y, npy("<i8", "(2,)", &labels)).unwrap();
    let data: data::Dataset<f32, Ix2, u32, Ix1> = data::npy(&x, &y).unwrap();
    let expected: Array2<f32> = array![[0.1, 0.2], [0.3, 0.4]];
    assert_eq!(data.into_arrays(), (expected, Array1::from(vec![1, 0])));
}
