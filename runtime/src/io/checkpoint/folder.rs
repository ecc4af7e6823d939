//! Folders of checkpoints: file names, the newest valid checkpoint, removal of old ones.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::Checkpoint;
use crate::error::{Error, Result};

/// Prefix and suffix of file names; the number is between them.
const NAME: (&str, &str) = ("checkpoint-", ".safetensors");

/// The minimum number of digits: up to 10¹⁰, names sort as numbers do.
const DIGITS: usize = 10;

/// The name of the checkpoint after this many steps of `fit`.
pub(crate) fn file_name(number: u64) -> String {
    format!("{}{number:0DIGITS$}{}", NAME.0, NAME.1)
}

/// The number in the name of a checkpoint; none for other files.
fn number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(NAME.0)?.strip_suffix(NAME.1)?;
    digits.parse().ok().filter(|number| file_name(*number) == name)
}

/// The checkpoints of a folder, oldest first; none if the folder does not exist.
pub(crate) fn list(folder: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let unreadable =
        |e| Error::File { path: folder.into(), message: format!("cannot be read: {e}") };
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(unreadable)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(unreadable)?;
        if let Some(number) = entry.file_name().to_str().and_then(number) {
            found.push((number, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

/// The newest undamaged checkpoint of a folder, and the errors of newer, damaged ones, newest
/// first. `None` if there are no checkpoints.
///
/// # Errors
/// [`Error::Damaged`] if all are damaged; [`Error::File`] if one cannot be
/// read or has another version, which does not mean that it is damaged; then older ones are not tried.
pub(crate) fn newest(folder: &Path) -> Result<Option<(Checkpoint, Vec<Error>)>> {
    let mut skipped = Vec::new();
    for (_, path) in list(folder)?.into_iter().rev() {
        match Checkpoint::open(&path) {
            Ok(checkpoint) => return Ok(Some((checkpoint, skipped))),
            Err(error @ Error::Damaged { .. }) => skipped.push(error),
            Err(error) => return Err(error),
        }
    }
    let count = skipped.len();
    match skipped.into_iter().next() {
        None => Ok(None),
        Some(Error::Damaged { path, offset, message }) if count > 1 => {
            let message = format!("{message}; all {count} checkpoints in its folder are damaged");
            Err(Error::Damaged { path, offset, message })
        }
        Some(error) => Err(error),
    }
}

/// Removes the checkpoints of a folder up to a number, except for the last `keep` undamaged ones.
/// Errors are ignored: files that cannot be removed remain.
pub(crate) fn prune(folder: &Path, number: u64, keep: usize, damaged: &[PathBuf]) {
    let mut up_to = list(folder).unwrap_or_default();
    up_to.retain(|(other, _)| *other <= number);
    let (damaged, sound): (Vec<_>, Vec<_>) =
        up_to.into_iter().partition(|(_, path)| damaged.contains(path));
    let excess = sound.len().saturating_sub(keep);
    for (_, path) in sound[..excess].iter().chain(&damaged) {
        let _ = fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_checkpoints_are_numbers() {
        for n in [0, 7, 1_234_567_890, 12_345_678_901, u64::MAX] {
            assert_eq!(number(&file_name(n)), Some(n));
        }
        assert_eq!(file_name(42), "checkpoint-0000000042.safetensors");
        for name in [
            "checkpoint-42.safetensors",
            "checkpoint-.safetensors",
            "checkpoint-+000000042.safetensors",
            "checkpoint-00000000042.safetensors",
            "checkpoint-0000000042.safetensors.bak",
            "my-checkpoint-0000000042.safetensors",
            "model.safetensors",
        ] {
            assert_eq!(number(name), None, "{name}");
        }
    }

    #[test]
    fn pruning_removes_old_checkpoints_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let others = ["model.safetensors", "checkpoint-1.safetensors", "checkpoint-0000000001.bak"];
        for name in others.map(String::from).into_iter().chain([1, 2, 3, 9].map(file_name)) {
            fs::write(folder.path().join(name), "").unwrap();
        }
        prune(folder.path(), 3, 2, &[]);
        let numbers =
            |folder| list(folder).unwrap().into_iter().map(|(n, _)| n).collect::<Vec<_>>();
        assert_eq!(numbers(folder.path()), [2, 3, 9]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 6);
        prune(folder.path(), 9, 1, &[]);
        assert_eq!(numbers(folder.path()), [9]);
        prune(&folder.path().join("missing"), 9, 1, &[]);
        assert!(newest(&folder.path().join("missing")).unwrap().is_none());
    }

    #[test]
    fn damaged_files_do_not_count_towards_those_to_keep() {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> =
            (0..6).map(|number| folder.path().join(file_name(number))).collect();
        paths.iter().for_each(|path| fs::write(path, b"").unwrap());
        prune(folder.path(), 4, 2, &[paths[3].clone(), paths[5].clone()]);
        let left: Vec<u64> =
            list(folder.path()).unwrap().into_iter().map(|(number, _)| number).collect();
        assert_eq!(left, [2, 4, 5]);
    }
}
