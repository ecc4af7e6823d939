//! Atomic replacement of files.
//!
//! Writing a file so that whoever reads it finds the old one or the new one,
//! never a part.
//!
//! While it is written, a file has another name in the same folder and is
//! locked. A lock ends with its process, however that ends: what a killed
//! process has left behind has no lock, and goes when the next file is written
//! to the folder.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// What the name of a file begins and ends with while it is written.
const UNFINISHED: (&str, &str) = (".bilro-", ".tmp");

/// Links to links: more of them are a circle, as for the system.
const MOST_LINKS: usize = 40;

/// Writes a file: under another name in the same folder, which becomes its name
/// at the end. Folders that are missing are made. After an error, the file is
/// what it was, and the folders that were missing are again.
///
/// When it returns, the file and its name are on the disk: they are there after a crash of the
/// system, too. Only where the name alone cannot be brought there, the file is the new one after an error.
///
/// A link stays, and what it points to is written, be it there already or not.
/// Permissions stay; those of a new file are what the system gives new files.
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
        folders.keep()?;
        sync(folder_of(&target))
    };
    written().map_err(|e| refused(path, format!("cannot be written: {}", plain(&e))))
}

/// Whether a file can be written there, as far as that can be known before. A
/// folder that was missing is there then.
pub(crate) fn check(path: &Path) -> Result<()> {
    let Prepared { target: _, new, folders } = prepare(path)?;
    drop(new);
    folders.keep().map_err(|e| refused(path, format!("cannot be written: {}", plain(&e))))
}

/// What is to become a file.
struct Prepared {
    target: PathBuf,
    /// Goes where it is dropped. Before the folders: they go when they are empty.
    new: NamedTempFile,
    folders: Made,
}

fn prepare(path: &Path) -> Result<Prepared> {
    let refused = |message: String| refused(path, message);
    if path.as_os_str().is_empty() {
        return Err(refused("cannot be written: the path is empty".into()));
    }
    let target = target(path).map_err(|e| refused(format!("cannot be written: {}", plain(&e))))?;
    let old = fs::metadata(&target).ok();
    // Renaming would put a file in the place of a device, too.
    if old.as_ref().is_some_and(|old| !old.is_file()) {
        return Err(refused("is not a file, so none is written in its place".into()));
    }
    if old.as_ref().is_some_and(|old| old.permissions().readonly()) {
        return Err(refused("is there already, and may only be read".into()));
    }
    let folder = folder_of(&target);
    let folders = Made::folder(folder).map_err(|e| {
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

/// The file that a path means: where it is a link, what that points to.
fn target(path: &Path) -> io::Result<PathBuf> {
    let mut target = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&target) {
            // From the folder of the link, unless it begins at the root.
            Ok(next) => target = target.parent().unwrap_or(Path::new("")).join(next),
            Err(_) => return Ok(target),
        }
    }
    Err(io::Error::other(format!("more than {MOST_LINKS} links lead from it, one to the next")))
}

/// The folder that a file or a folder is in.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// Makes the names in a folder survive a crash of the system: on Unix a file's are not on the disk
/// where the file is.
#[cfg(unix)]
fn sync(folder: &Path) -> io::Result<()> {
    // What may not be read can be written to all the same.
    let Ok(folder) = File::open(folder) else { return Ok(()) };
    match folder.sync_all() {
        // Some file systems of networks cannot: there is no more to be done.
        Err(e) if matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            Ok(())
        }
        synced => synced,
    }
}

/// Other systems write names and files in the order in which they change.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "as on other systems")]
fn sync(_: &Path) -> io::Result<()> {
    Ok(())
}

/// A new file in a folder, which is locked as long as it is open.
fn unfinished(folder: &Path) -> io::Result<NamedTempFile> {
    let mut new = tempfile::Builder::new();
    new.prefix(UNFINISHED.0).suffix(UNFINISHED.1).rand_bytes(12);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Of which the system takes away what the user's mask says.
        new.permissions(fs::Permissions::from_mode(0o666));
    }
    loop {
        let new = new.tempfile_in(folder)?;
        // Where a system has no locks, nothing is ever taken for stale.
        let is_locked = new.as_file().lock().is_ok();
        // Between the two, another process may have taken it for stale.
        if !is_locked || fs::symlink_metadata(new.path()).is_ok() {
            return Ok(new);
        }
    }
}

/// Removes what processes have left behind that no longer run.
fn remove_stale(folder: &Path) {
    // What cannot be looked at or removed is left to the next: it is in nobody's way.
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_unfinished =
            name.to_str().is_some_and(|n| n.starts_with(UNFINISHED.0) && n.ends_with(UNFINISHED.1));
        // A link is none of them, and opening a pipe would wait for its other end.
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

/// Folders that were missing, outermost first. They go again where they are
/// dropped, unless they are kept.
struct Made(Vec<PathBuf>);

impl Made {
    /// Makes a folder, and those around it.
    fn folder(folder: &Path) -> io::Result<Made> {
        let missing = folder.ancestors().take_while(|f| *f != Path::new("") && !f.exists());
        let mut missing: Vec<PathBuf> = missing.map(Into::into).collect();
        missing.reverse();
        let made = Made(missing);
        fs::create_dir_all(folder)?;
        Ok(made)
    }

    /// Lets them stay, after a crash of the system too.
    fn keep(mut self) -> io::Result<()> {
        std::mem::take(&mut self.0).iter().try_for_each(|made| sync(folder_of(made)))
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for folder in self.0.iter().rev() {
            // Not where something is in it by now.
            let _ = fs::remove_dir(folder);
        }
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
    fn missing_folders_are_made_and_go_after_an_error() {
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
    fn where_nothing_can_be_written_is_told_by_the_users_names() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |path: &Path| replace(path, |_| Ok(())).unwrap_err().to_string();
        assert_eq!(refused(Path::new("")), ": cannot be written: the path is empty");
        let message = refused(&folder.path().join("x".repeat(300)));
        assert!(!message.contains(".bilro-"), "{message}");
    }

    /// The name of an unfinished file, and no lock: so it is with what a killed
    /// process leaves.
    fn left_behind(folder: &Path, name: &str) {
        fs::write(folder.join(name), [0; 1000]).unwrap();
    }

    #[test]
    fn what_killed_processes_leave_goes_and_what_runs_stays() {
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
    fn many_write_one_file_at_once() {
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

    #[cfg(unix)]
    #[test]
    fn links_to_what_is_not_there_yet_stay_too() {
        use std::os::unix::fs::symlink;

        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        // Over a second link, from the folder of the link, which is made.
        symlink("second", at("first")).unwrap();
        symlink("new/file", at("second")).unwrap();
        replace(&at("first"), |file| file.write_all(b"new")).unwrap();
        assert!(fs::symlink_metadata(at("first")).unwrap().is_symlink());
        assert!(fs::symlink_metadata(at("second")).unwrap().is_symlink());
        assert_eq!(fs::read(at("new/file")).unwrap(), b"new");
        assert!(!fs::symlink_metadata(at("new/file")).unwrap().is_symlink());

        symlink("circle", at("circle")).unwrap();
        let message = replace(&at("circle"), |_| Ok(())).unwrap_err().to_string();
        assert!(message.ends_with("more than 40 links lead from it, one to the next"), "{message}");
        assert!(fs::symlink_metadata(at("circle")).unwrap().is_symlink());
    }
}
