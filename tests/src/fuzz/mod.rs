//! Fuzz targets: functions of arbitrary bytes that panic if something is wrong.
//!
//! [`TARGETS`] lists them. The driver `src/bin/fuzz.rs` runs them on stable Rust, `fuzz/` under
//! cargo-fuzz, and `library/fuzzing.rs` on the files of `fuzz/corpus` and `fuzz/regressions`.

pub mod declarations;
pub mod files;
pub mod graphs;
pub mod mutate;
pub mod networks;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;

/// A fuzz target.
pub struct Target {
    /// Its name, also that of its folders in `fuzz/corpus` and `fuzz/regressions`.
    pub name: &'static str,
    /// Runs a case. Panics if a property is violated; returns a hash of the behaviour, in which
    /// cases of one kind agree: new hashes are worth further mutation.
    pub run: fn(&[u8]) -> u64,
    /// Initial cases.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Text that mutations insert.
    pub dictionary: &'static [&'static str],
    /// The maximum length of a case in bytes.
    pub max_length: usize,
    /// The maximum of allocated memory, in bytes, while a case of some length runs.
    pub memory: fn(usize) -> usize,
}

/// All targets.
pub const TARGETS: &[Target] =
    &[files::TARGET, declarations::TARGET, graphs::TARGET, networks::TARGET];

/// The target of this name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// The folder `fuzz` of the repository.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

/// The files in the folder of a target, `corpus` or `regressions`, in the order of their names.
///
/// # Panics
/// If a file cannot be read.
pub fn stored(kind: &str, target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let Ok(entries) = std::fs::read_dir(folder().join(kind).join(target)) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        (path, bytes)
    };
    paths.into_iter().map(read).collect()
}

/// The hash of a message without its numbers and without quoted text.
pub(crate) fn kind_of(message: &str) -> u64 {
    let mut quoted = false;
    let mut text = String::new();
    for c in message.chars() {
        match c {
            '`' => quoted = !quoted,
            '0'..='9' => {}
            c if !quoted => text.push(c),
            _ => {}
        }
    }
    hash(&text)
}

pub(crate) fn hash(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
