//! Folders of checkpoints: their names, the newest that is whole, and which of them go.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::Checkpoint;
use crate::error::{Error, Result};

/// What the name of a checkpoint in a folder begins and ends with; between them is its number.
const NAME: (&str, &str) = ("checkpoint-", ".safetensors");

/// The fewest digits of the number: names sort as numbers do, up to ten thousand million.
const DIGITS: usize = 10;

/// The name of a checkpoint by its number: the batches that had been trained on.
pub(crate) fn file_name(number: u64) -> String {
    format!("{}{number:0DIGITS$}{}", NAME.0, NAME.1)
}

/// The number of a checkpoint of this name, and no other file's.
fn number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(NAME.0)?.strip_suffix(NAME.1)?;
    digits.parse().ok().filter(|number| file_name(*number) == name)
}

/// The checkpoints of a folder, oldest first; none where the folder is not there.
pub(crate) fn list(folder: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let refused = |e| Error::File { path: folder.into(), message: format!("cannot be read: {e}") };
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(refused)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(refused)?;
        if let Some(number) = entry.file_name().to_str().and_then(number) {
            found.push((number, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

/// The newest checkpoint of a folder that is whole, and the newer ones that are not: each with
/// what is wrong with it, newest first. `None` where there are no checkpoints.
///
/// # Errors
/// [`Error::Damaged`] where there are some, and none is whole; [`Error::File`] where one cannot be
/// read, which says nothing of whether it is whole, or is of another version.
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
            let message = format!("{message}; none of the {count} checkpoints of its folder is whole");
            Err(Error::Damaged { path, offset, message })
        }
        Some(error) => Err(error),
    }
}

/// Removes all checkpoints of a folder up to a number but for the last `keep` of them. What cannot be
/// looked at or removed stays: it is in nobody's way.
pub(crate) fn prune(folder: &Path, number: u64, keep: usize) {
    let mut up_to = list(folder).unwrap_or_default();
    up_to.retain(|(other, _)| *other <= number);
    let gone = up_to.len().saturating_sub(keep);
    for (_, path) in &up_to[..gone] {
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
        prune(folder.path(), 3, 2);
        let numbers = |folder| list(folder).unwrap().into_iter().map(|(n, _)| n).collect::<Vec<_>>();
        assert_eq!(numbers(folder.path()), [2, 3, 9]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 6);
        prune(folder.path(), 9, 1);
        assert_eq!(numbers(folder.path()), [9]);
        prune(&folder.path().join("missing"), 9, 1);
        assert!(newest(&folder.path().join("missing")).unwrap().is_none());
    }
}
