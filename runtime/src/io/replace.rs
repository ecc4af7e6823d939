//! Writing a file so that whoever reads it finds the old one or the new one,
//! never a part.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::Path;

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
    let refused = |message: String| Error::File { path: path.into(), message };
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
    let written = || {
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
        let mut writer = BufWriter::new(new.as_file());
        write(&mut writer)?;
        writer.flush()?;
        drop(writer);
        new.as_file().sync_all()?;
        new.persist(&target).map_err(|e| e.error)?;
        io::Result::Ok(())
    };
    written().map_err(|e| refused(format!("cannot be written: {e}")))
}
