//! Writing a file so that whoever reads it finds the old one or the new one,
//! never a part.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// Writes a file: under another name in the same folder, which becomes its name
/// at the end. After an error, the file is what it was.
///
/// A link stays, and what it points to is replaced. Permissions stay; those of
/// a new file are what the system gives new files.
pub(crate) fn replace(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    let Prepared { target, mut new } = prepare(path)?;
    let written = || {
        let mut writer = BufWriter::new(new.as_file_mut());
        write(&mut writer)?;
        writer.flush()?;
        drop(writer);
        new.as_file().sync_all()?;
        new.persist(&target).map_err(|e| e.error)?;
        io::Result::Ok(())
    };
    written().map_err(|e| refused(path, format!("cannot be written: {}", plain(&e))))
}

/// Whether a file can be written there, as far as that can be known before.
pub(crate) fn check(path: &Path) -> Result<()> {
    prepare(path).map(|_| ())
}

/// What is to become a file.
struct Prepared {
    target: PathBuf,
    /// Goes where it is dropped.
    new: NamedTempFile,
}

fn prepare(path: &Path) -> Result<Prepared> {
    let refused = |message: String| refused(path, message);
    if path.as_os_str().is_empty() {
        return Err(refused("cannot be written: the path is empty".into()));
    }
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.into());
    let old = fs::metadata(&target).ok();
    // Renaming would put a file in the place of a device, too.
    if old.as_ref().is_some_and(|old| !old.is_file()) {
        return Err(refused("is not a file, so none is written in its place".into()));
    }
    if old.as_ref().is_some_and(|old| old.permissions().readonly()) {
        return Err(refused("is there already, and may only be read".into()));
    }
    let folder = match target.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    if !folder.is_dir() {
        let folder = folder.display();
        return Err(refused(format!("cannot be written: there is no folder `{folder}`")));
    }
    let prepared = || {
        let mut new = tempfile::Builder::new();
        new.prefix(".bilro-").suffix(".tmp");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // Of which the system takes away what the user's mask says.
            new.permissions(fs::Permissions::from_mode(0o666));
        }
        let new = new.tempfile_in(folder)?;
        if let Some(old) = old {
            new.as_file().set_permissions(old.permissions())?;
        }
        io::Result::Ok(new)
    };
    match prepared() {
        Ok(new) => Ok(Prepared { target, new }),
        Err(e) => Err(refused(format!("cannot be written: {}", plain(&e)))),
    }
}

fn refused(path: &Path, message: String) -> Error {
    Error::File { path: path.into(), message }
}

/// What is wrong, without the name that the file has while it is written.
fn plain(error: &io::Error) -> String {
    let message = error.to_string();
    match message.split_once(" at path ") {
        Some((what, _)) if error.get_ref().is_some() => what.into(),
        _ => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_file_stays_until_the_new_one_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        replace(&path, |file| file.write_all(b"old")).unwrap();
        let failed = replace(&path, |file| {
            file.write_all(&[0; 100_000])?;
            assert_eq!(fs::read(&path)?, b"old");
            Err(io::Error::other("the disk is full"))
        });
        let message = failed.unwrap_err().to_string();
        assert!(message.ends_with("file: cannot be written: the disk is full"), "{message}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

        replace(&path, |file| file.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn where_nothing_can_be_written_is_told_by_the_users_names() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |path: &Path| replace(path, |_| Ok(())).unwrap_err().to_string();
        let missing = folder.path().join("missing");
        let message = refused(&missing.join("file"));
        let expected = format!("there is no folder `{}`", missing.display());
        assert!(message.ends_with(&expected), "{message}");
        assert_eq!(refused(Path::new("")), ": cannot be written: the path is empty");
        let message = refused(&folder.path().join("x".repeat(300)));
        assert!(!message.contains(".bilro-"), "{message}");
    }

    #[cfg(unix)]
    #[test]
    fn links_and_permissions_stay_and_devices_are_left_alone() {
        use std::os::unix::fs::{PermissionsExt, symlink};

        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("file"), folder.path().join("link"));
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        replace(&path, |file| file.write_all(b"old")).unwrap();
        let usual = folder.path().join("usual");
        fs::write(&usual, "").unwrap();
        assert_eq!(mode(), fs::metadata(&usual).unwrap().permissions().mode() & 0o777);

        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        symlink(&path, &link).unwrap();
        replace(&link, |file| file.write_all(b"new")).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!((fs::read(&path).unwrap(), mode()), (b"new".to_vec(), 0o640));

        assert!(replace(Path::new("/dev/null"), |_| Ok(())).is_err());
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }
}
