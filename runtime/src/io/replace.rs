//! Atomic replacement of files: readers see the old contents or the new ones, never a
//! mixture.
//!
//! While it is written, a file has another name in the same folder and is
//! locked. A lock ends with its process, however that ends: a file left behind by a
//! killed process has no lock, and is removed when the next file is written to the
//! folder.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// Prefix and suffix of the name of a file while it is written.
const UNFINISHED: (&str, &str) = (".bilro-", ".tmp");

/// The maximum length of a chain of links, as in the system: a longer one is a cycle.
const MAX_LINKS: usize = 40;

/// Writes a file: under another name in the same folder, which is renamed at the end.
/// Missing folders are created. After an error, the file is unchanged, and created
/// folders are removed.
///
/// A symbolic link is followed: the file that it points to is written, whether it
/// exists or not. Permissions are preserved; a new file has the system's default.
pub(crate) fn replace(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    let Prepared { target, mut new, folders } = prepare(path)?;
    let written = || {
        let mut writer = BufWriter::new(new.as_file_mut());
        write(&mut writer)?;
        writer.flush()?;
        drop(writer);
        new.as_file().sync_all()?;
        new.persist(&target).map_err(|e| e.error)?;
        folders.commit();
        io::Result::Ok(())
    };
    written().map_err(|e| file_error(path, format!("cannot be written: {}", plain(&e))))
}

/// Checks that a file can be written, as far as possible in advance. Creates missing
/// folders.
pub(crate) fn check(path: &Path) -> Result<()> {
    let Prepared { target: _, new, folders } = prepare(path)?;
    drop(new);
    folders.commit();
    Ok(())
}

/// A file to be written, before it is renamed.
struct Prepared {
    target: PathBuf,
    /// Removed when dropped. Dropped before `folders`, which are removed if empty.
    new: NamedTempFile,
    folders: CreatedFolders,
}

fn prepare(path: &Path) -> Result<Prepared> {
    let refused = |message: String| file_error(path, message);
    if path.as_os_str().is_empty() {
        return Err(refused("cannot be written: the path is empty".into()));
    }
    let target = target(path).map_err(|e| refused(format!("cannot be written: {}", plain(&e))))?;
    let old = fs::metadata(&target).ok();
    // Renaming would also replace a device by a file.
    if old.as_ref().is_some_and(|old| !old.is_file()) {
        return Err(refused("exists and is not a file".into()));
    }
    if old.as_ref().is_some_and(|old| old.permissions().readonly()) {
        return Err(refused("exists and is read-only".into()));
    }
    let folder = match target.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let folders = CreatedFolders::create(folder).map_err(|e| {
        let folder = folder.display();
        refused(format!("its folder `{folder}` cannot be made: {}", plain(&e)))
    })?;
    let prepared = || {
        remove_stale(folder);
        let new = unfinished(folder)?;
        if let Some(old) = old {
            new.as_file().set_permissions(old.permissions())?;
        }
        io::Result::Ok(new)
    };
    match prepared() {
        Ok(new) => Ok(Prepared { target, new, folders }),
        Err(e) => Err(refused(format!("cannot be written: {}", plain(&e)))),
    }
}

/// The file of a path, with symbolic links followed.
fn target(path: &Path) -> io::Result<PathBuf> {
    let mut target = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&target) {
            // Relative to the folder of the link, unless it is absolute.
            Ok(next) => target = target.parent().unwrap_or(Path::new("")).join(next),
            Err(_) => return Ok(target),
        }
    }
    Err(io::Error::other(format!("it is a chain of more than {MAX_LINKS} symbolic links")))
}

/// A new file in a folder, locked as long as it is open.
fn unfinished(folder: &Path) -> io::Result<NamedTempFile> {
    let mut new = tempfile::Builder::new();
    new.prefix(UNFINISHED.0).suffix(UNFINISHED.1).rand_bytes(12);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // The system applies the user's umask.
        new.permissions(fs::Permissions::from_mode(0o666));
    }
    loop {
        let new = new.tempfile_in(folder)?;
        // If the system has no locks, no file is ever taken to be stale.
        let is_locked = new.as_file().lock().is_ok();
        // Between creation and locking, another process may have removed it as stale.
        if !is_locked || fs::symlink_metadata(new.path()).is_ok() {
            return Ok(new);
        }
    }
}

/// Removes unfinished files of processes that no longer run.
fn remove_stale(folder: &Path) {
    // Errors are ignored: files that cannot be removed now are left for the next write.
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_unfinished =
            name.to_str().is_some_and(|n| n.starts_with(UNFINISHED.0) && n.ends_with(UNFINISHED.1));
        // Links are not unfinished files, and opening a pipe would wait for its other end.
        if !is_unfinished || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let path = entry.path();
        if let Ok(file) = File::open(&path)
            && file.try_lock().is_ok()
        {
            let _ = fs::remove_file(&path);
        }
    }
}

/// Created folders, outermost first. They are removed when this is dropped without
/// [`CreatedFolders::commit`].
struct CreatedFolders(Vec<PathBuf>);

impl CreatedFolders {
    /// Creates a folder and its missing parents.
    fn create(folder: &Path) -> io::Result<CreatedFolders> {
        let missing = folder.ancestors().take_while(|f| *f != Path::new("") && !f.exists());
        let mut missing: Vec<PathBuf> = missing.map(Into::into).collect();
        missing.reverse();
        let created = CreatedFolders(missing);
        fs::create_dir_all(folder)?;
        Ok(created)
    }

    /// Keeps the folders.
    fn commit(mut self) {
        self.0.clear();
    }
}

impl Drop for CreatedFolders {
    fn drop(&mut self) {
        for folder in self.0.iter().rev() {
            // Fails if the folder is not empty any more, which is right.
            let _ = fs::remove_dir(folder);
        }
    }
}

fn file_error(path: &Path, message: String) -> Error {
    Error::File { path: path.into(), message }
}

/// The message of an error, without the temporary name of the file.
fn plain(error: &io::Error) -> String {
    let message = error.to_string();
    match message.split_once(" at path ") {
        Some((cause, _)) if error.get_ref().is_some() => cause.into(),
        _ => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names in a folder.
    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

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
    fn missing_folders_are_created_and_removed_after_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("a").join("b");
        let path = missing.join("file");
        let failed = replace(&path, |_| Err(io::Error::other("no")));
        assert!(failed.unwrap_err().to_string().ends_with("cannot be written: no"));
        assert!(names(folder.path()).is_empty());
        check(&path).unwrap();
        assert!(names(&missing).is_empty());
        replace(&path, |file| file.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");

        let message = replace(&path.join("c").join("file"), |_| Ok(())).unwrap_err().to_string();
        let expected = format!("its folder `{}` cannot be made: ", path.join("c").display());
        assert!(message.contains(&expected), "{message}");
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn errors_have_the_users_path_not_the_temporary_name() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |path: &Path| replace(path, |_| Ok(())).unwrap_err().to_string();
        assert_eq!(refused(Path::new("")), ": cannot be written: the path is empty");
        let message = refused(&folder.path().join("x".repeat(300)));
        assert!(!message.contains(".bilro-"), "{message}");
    }

    /// A file with the name of an unfinished one and without a lock, as left by a killed
    /// process.
    fn left_behind(folder: &Path, name: &str) {
        fs::write(folder.join(name), [0; 1000]).unwrap();
    }

    #[test]
    fn unfinished_files_are_removed_unless_they_are_locked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        left_behind(folder.path(), ".bilro-AbCdEf.tmp");
        left_behind(folder.path(), ".bilro-AbCdEfGhIjKl.tmp");
        left_behind(folder.path(), "bilro-mine.tmp");
        fs::create_dir(folder.path().join(".bilro-folder.tmp")).unwrap();
        replace(&path, |file| {
            file.write_all(b"outer ")?;
            // Another file is written meanwhile: this one is locked.
            replace(&folder.path().join("other"), |file| file.write_all(b"inner")).unwrap();
            replace(&path, |file| file.write_all(b"earlier")).unwrap();
            file.write_all(b"one")
        })
        .unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"outer one");
        assert_eq!(names(folder.path()), [".bilro-folder.tmp", "bilro-mine.tmp", "file", "other"]);
    }

    #[test]
    fn threads_write_one_file_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new").join("file");
        std::thread::scope(|scope| {
            for thread in 0..4u8 {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..30 {
                        replace(path, |file| file.write_all(&[thread; 20_000])).unwrap();
                        let read = fs::read(path).unwrap();
                        assert_eq!(read.len(), 20_000);
                        assert!(read.iter().all(|byte| *byte == read[0]));
                    }
                });
            }
        });
        assert_eq!(names(path.parent().unwrap()), ["file"]);
    }

    #[cfg(unix)]
    #[test]
    fn links_and_permissions_are_preserved_and_devices_refused() {
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

    #[cfg(unix)]
    #[test]
    fn links_to_missing_files_are_preserved() {
        use std::os::unix::fs::symlink;

        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        // Over a second link, relative to the folder of the link, with a missing folder.
        symlink("second", at("first")).unwrap();
        symlink("new/file", at("second")).unwrap();
        replace(&at("first"), |file| file.write_all(b"new")).unwrap();
        assert!(fs::symlink_metadata(at("first")).unwrap().is_symlink());
        assert!(fs::symlink_metadata(at("second")).unwrap().is_symlink());
        assert_eq!(fs::read(at("new/file")).unwrap(), b"new");
        assert!(!fs::symlink_metadata(at("new/file")).unwrap().is_symlink());

        symlink("circle", at("circle")).unwrap();
        let message = replace(&at("circle"), |_| Ok(())).unwrap_err().to_string();
        assert!(message.ends_with("it is a chain of more than 40 symbolic links"), "{message}");
        assert!(fs::symlink_metadata(at("circle")).unwrap().is_symlink());
    }
}
