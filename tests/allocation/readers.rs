//! Malformed files for every reader: valid ones with a few bytes changed, and
//! small ones that claim or expand to large sizes. Each is read, or rejected by a
//! typed error, within bounds of time and memory.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bilro::ndarray::{Array1, Array2, Ix1, Ix2, IxDyn, array};
use bilro::prelude::*;
use bilro::rng::Generator;
use bilro::{Error, data, io};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Digits, LIVE, PEAK, exclusive};

/// Mutations of each file.
const ROUNDS: usize = 250;

/// Memory limit for reading any file of a few hundred bytes: buffers of readers,
/// of decompression, and a growing vector or two.
const SMALL: usize = 8 << 20;

fn gzip(contents: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(contents).unwrap();
    encoder.finish().unwrap()
}

fn npy(descr: &str, shape: &str, elements: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let length = (header.len() as u16).to_le_bytes();
    [&b"\x93NUMPY\x01\x00"[..], &length, header.as_bytes(), elements].concat()
}

fn idx(kind: u8, sizes: &[u32], elements: &[u8]) -> Vec<u8> {
    let sizes: Vec<u8> = sizes.iter().flat_map(|size| size.to_be_bytes()).collect();
    let rank = (sizes.len() / 4) as u8;
    [&[0, 0, kind, rank][..], &sizes, elements].concat()
}

/// The peak of a call's allocations, and its result.
fn measure<T>(call: impl FnOnce() -> bilro::Result<T>) -> (usize, bilro::Result<()>) {
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let result = call().map(drop);
    (PEAK.load(Ordering::Relaxed) - before, result)
}

/// Changes a file a little: bytes, lengths, numbers in text, pieces.
fn mutate(bytes: &mut Vec<u8>, random: &mut Generator) {
    let mut below = |n: usize| random.random_u32() as usize % n.max(1);
    for _ in 0..1 + below(4) {
        let at = below(bytes.len());
        let end = (at + 1 + below(16)).min(bytes.len());
        let digits: Vec<usize> = (0..bytes.len()).filter(|i| bytes[*i].is_ascii_digit()).collect();
        match below(9) {
            0 => bytes.truncate(at),
            1 if at < bytes.len() => bytes[at] ^= 1 << below(8),
            2 if at < bytes.len() => bytes[at] = [0, 0xff, 0x7f, 0x80, b'{', b'"', b','][below(7)],
            3 => bytes[at..end].fill(0xff),
            4 => bytes[at..end].fill(0),
            5 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            6 => drop(bytes.drain(at..end)),
            7 if !digits.is_empty() => {
                let number =
                    ["18446744073709551615", "4294967296", "9223372036854775807", "-1", "0"];
                let digit = digits[below(digits.len())];
                bytes.splice(digit..=digit, number[below(5)].bytes());
            }
            _ => {
                let random: Vec<u8> = (0..below(20)).map(|_| below(256) as u8).collect();
                bytes.splice(at..at, random);
            }
        }
    }
}

/// Reads a file and everything in it.
type Reader = fn(&Path) -> bilro::Result<()>;

fn read_model(path: &Path) -> bilro::Result<()> {
    Digits::model().build()?.load(path)
}

/// A name, a valid file, and its reader.
fn files() -> Vec<(&'static str, Vec<u8>, Reader)> {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let saved = |path: PathBuf| fs::read(path).unwrap();
    let (a, b) = (array![[0.5f32, 1.0], [2.0, 0.0]], array![1u32, 0]);
    io::write_npz(path("npz"), &[("x", &a), ("y", &b)]).unwrap();
    io::save_tensors(path("tensors"), [("x", a.view()), ("größe", a.view())]).unwrap();
    Digits::model().build().unwrap().save(path("model")).unwrap();
    let table = "a,b,kind\n1,2.5,cat\n-3,\"4\",dog\n5,6e3,cat\n";
    let images = idx(8, &[2, 2, 2], &[0, 1, 2, 3, 255, 254, 253, 252]);
    let floats: Reader = |p| io::read_npy::<f32, IxDyn>(p).map(drop);
    let array_of: Reader = |p| data::idx(p).map(drop);
    let classes: Reader = |p| data::csv(p).target("kind").classes().map(drop);
    vec![
        ("f4", npy("<f4", "(2, 2)", &[0; 16]), floats),
        ("f8", npy(">f8", "(2,)", &[1; 16]), floats),
        ("i8", npy("<i8", "(2, 1)", &[0; 16]), |p| io::read_npy::<u32, IxDyn>(p).map(drop)),
        ("npz", saved(path("npz")), |p| {
            for name in io::npz_names(p)? {
                io::read_npz::<f32, IxDyn>(p, &name).map(drop)?;
            }
            io::read_npz::<u32, Ix1>(p, "y").map(drop)
        }),
        ("idx", images.clone(), array_of),
        ("idx of f64", idx(14, &[2], &[0; 16]), array_of),
        ("idx, packed", gzip(&images), array_of),
        ("csv", table.into(), classes),
        ("csv, reals", table.replace("cat", "1").replace("dog", "2").into(), |p| {
            data::csv(p).target("kind").target("a").reals().map(drop)
        }),
        ("csv, no header", b"1,2\n3,4\n".to_vec(), |p| {
            data::csv(p).header(false).target(1).classes().map(drop)
        }),
        ("csv, packed", gzip(table.as_bytes()), classes),
        ("tensors", saved(path("tensors")), |p| io::load_tensors(p).map(drop)),
        ("model", saved(path("model")), read_model),
    ]
}

#[test]
fn changed_files_are_read_or_rejected_within_bounds() {
    let _alone = exclusive();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let start = Instant::now();
    let mut random = Generator::new(5);
    for (name, file, read) in files() {
        fs::write(&path, &file).unwrap();
        read(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut refused = 0;
        for round in 0..ROUNDS {
            let mut bytes = file.clone();
            mutate(&mut bytes, &mut random);
            fs::write(&path, &bytes).unwrap();
            let began = Instant::now();
            let (peak, result) = measure(|| read(&path));
            let most_bytes = SMALL + 16 * bytes.len();
            assert!(peak < most_bytes, "{name} {round}: {peak} bytes: {result:?}");
            assert!(began.elapsed() < Duration::from_secs(3), "{name} {round}: {result:?}");
            match result {
                Ok(()) => {}
                Err(
                    Error::File { .. }
                    | Error::Weights { .. }
                    | Error::InvalidArgument { .. }
                    | Error::Empty { .. },
                ) => refused += 1,
                Err(other) => panic!("{name} {round}: {other:?}"),
            }
        }
        assert!(refused > ROUNDS / 4, "{name}: {refused} of {ROUNDS} refused");
    }
    assert!(start.elapsed() < Duration::from_secs(120));
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
        mutate(&mut bytes, &mut random);
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
