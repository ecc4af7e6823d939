//! Valid files of every format, and text of their headers.

use std::fs;
use std::io::Write;
use std::path::Path;

use bilro::data::{Classification, Dataset};
use bilro::io;
use bilro::ndarray::{ArrayD, IxDyn, array};
use bilro::prelude::*;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::{FORMATS, Small, scratch};

/// Text that mutations insert.
pub const WORDS: &[&str] = &[
    "\0\0\x08\x01",
    "\x1f\u{8b}",
    "a,b,kind\n",
    "\"",
    "\"\"",
    "\"a\nb\"",
    ",",
    ";",
    "\r\n",
    "\n",
    "\r",
    "nan",
    "inf",
    "-0",
    "1e39",
    "1e-320",
    "\u{feff}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }",
    "'descr'",
    "'fortran_order': True",
    "'shape': (",
    ">f8",
    "|b1",
    "<i8",
    "|O",
    "\x01\0v\0",
    "PK\x03\x04",
    "PK\x01\x02",
    "PK\x05\x06",
    "PK\x06\x06",
    "PK\x06\x07",
    ".npy",
    "../",
    "/",
    "{\"__metadata__\":",
    "\"dtype\":\"F32\"",
    "\"F64\"",
    "\"F16\"",
    "\"BF16\"",
    "\"U8\"",
    "\"F4\"",
    "\"shape\":[",
    "\"data_offsets\":[0,",
    "bilro.checkpoint",
    "checksums",
    "linear1.weight",
    "18446744073709551615",
    "2305843009213693952",
    "9223372036854775807",
    "4294967296",
    "-1",
    "null",
    "[",
    "]",
    "{",
    "}",
    "model.",
    "optimizer.",
    "num_batches_tracked",
    "fit.epoch",
];

/// The examples of [`fit`].
pub(super) fn examples() -> Classification {
    let x = array![[0.1f32, 0.2, 0.3], [0.5, -1.0, 0.0], [1.0, 0.0, 2.0], [-0.3, 0.4, 0.9]];
    Dataset::new(x, array![0u32, 1, 1, 0]).expect("four examples")
}

/// Options without effects outside of the trainer.
pub(super) fn fit<'v>() -> Fit<'v, f32, ndarray::Ix2, u32, ndarray::Ix1> {
    Fit::epochs(2).batch_size(2).shuffle(true)
}

/// A trainer after a step.
pub(super) fn trainer() -> Trainer<Small> {
    let mut trainer = Small::trainer(Adam::new(0.1)).seed(3).threads(1).build().expect("valid");
    let batch = examples();
    trainer.step(super::small::Batch { x: batch.x(), y: batch.y() }).expect("a finite loss");
    trainer
}

fn gzip(contents: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(contents).expect("memory");
    encoder.finish().expect("memory")
}

/// An array as `numpy.save` writes it.
pub fn npy(descr: &str, shape: &str, elements: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let length = (header.len() as u16).to_le_bytes();
    [&b"\x93NUMPY\x01\x00"[..], &length, header.as_bytes(), elements].concat()
}

/// An IDX file.
pub fn idx(kind: u8, sizes: &[u32], elements: &[u8]) -> Vec<u8> {
    let sizes: Vec<u8> = sizes.iter().flat_map(|size| size.to_be_bytes()).collect();
    let rank = (sizes.len() / 4) as u8;
    [&[0, 0, kind, rank][..], &sizes, elements].concat()
}

/// The file that a function writes.
fn written(write: impl FnOnce(&Path) -> bilro::Result<()>) -> Vec<u8> {
    let path = scratch("seed");
    write(&path).expect("it can be written");
    fs::read(path).expect("it was written")
}

/// A valid file for each format, and more.
///
/// # Panics
/// If a file cannot be written.
pub fn files() -> Vec<(&'static str, Vec<u8>)> {
    let table = "a,b,kind\n1,2.5,cat\n-3,\"4\",dog\n5,6e3,cat\n";
    let images = idx(8, &[2, 2, 2], &[0, 1, 2, 3, 255, 254, 253, 252]);
    let (a, b) = (array![[0.5f32, 1.0], [2.0, 0.0]], array![1u32, 0]);
    let archive = |path: &Path| io::write_npz(path, &[("x", &a), ("y", &b)]);
    let named = |path: &Path| io::save_tensors(path, [("x", a.view()), ("größe", a.view())]);
    let empty = ArrayD::<f32>::zeros(IxDyn(&[0, 3]));
    let model = |path: &Path| Small::model().seed(4).threads(1).build()?.save(path);
    let checkpoint = |path: &Path| trainer().save_checkpoint(path);
    let of_fit = || {
        let folder = tempfile::tempdir().expect("a folder");
        let checkpoints = fit().checkpoints(folder.path()).checkpoint_every(Every::Steps(1));
        trainer().fit(&examples(), checkpoints.keep_checkpoints(9)).expect("a finite loss");
        let mut files: Vec<_> = fs::read_dir(folder.path()).expect("the folder").collect();
        files.sort_by_key(|entry| entry.as_ref().expect("an entry").path());
        let read = |entry: std::io::Result<fs::DirEntry>| fs::read(entry.expect("an entry").path());
        files.into_iter().map(|entry| read(entry).expect("it was written")).collect::<Vec<_>>()
    };
    let with_checksums = written(checkpoint);
    let mut all = vec![
        ("idx", images.clone()),
        ("idx", idx(14, &[2], &[0; 16])),
        ("idx", idx(13, &[], &[0; 4])),
        ("idx", idx(9, &[3, 0, 2], &[])),
        ("idx", gzip(&images)),
        ("idx", [gzip(&images[..9]), gzip(&images[9..])].concat()),
        ("csv of classes", table.into()),
        ("csv of classes", gzip(table.as_bytes())),
        ("csv of classes", "n,a,kind\r\n\"x\r\n\"\"y\"\"\",1,7\r\n,2,0\r\n".into()),
        ("csv of reals", "a;b;c\n1;2;3\n4;5;6\n".into()),
        ("csv without a header", "1,2\n3,4\n".into()),
        ("csv without a header", "1,\"x, y\"\n3,z".into()),
        ("npy", npy("<f4", "(2, 2)", &[0; 16])),
        ("npy", npy(">f8", "(2,)", &[1; 16])),
        ("npy", npy("<i8", "(2, 1)", &[0; 16])),
        ("npy", npy("|b1", "(3,)", &[0, 1, 1])),
        ("npy", npy("<f2", "()", &[0, 0x3c])),
        ("npz", written(archive)),
        ("safetensors", written(named)),
        ("safetensors", written(|path| io::save_tensors(path, [("e", empty.view())]))),
        ("weights", written(model)),
        ("weights", with_checksums.clone()),
        ("checkpoint", with_checksums.clone()),
        ("checkpoint with its checksums", with_checksums),
    ];
    all.extend(of_fit().into_iter().map(|file| ("checkpoint of fit", file)));
    all
}

/// The same as cases.
pub(super) fn all() -> Vec<Vec<u8>> {
    let files = files().into_iter().map(|(name, file)| {
        let format = FORMATS.iter().position(|format| format.name == name).expect("a format");
        [&[format as u8][..], &file].concat()
    });
    files.collect()
}
