//! Sources: files that are read, with limits.
//!
//! Takes a path, with a limit or without; gives the file's contents, of which
//! there are never more than the limit says.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use crate::memory;

/// A file that is read: a path, or a path with a limit of its own, made by
/// [`with_limit`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no path of a file",
    note = "a path is a `&str`, a `String`, a `&Path` or a `PathBuf`; \
            `bilro::io::with_limit(path, bytes)` is one with a limit"
)]
pub trait Source {
    /// The file.
    fn path(&self) -> &Path;

    /// How many bytes its contents, decompressed, may have, where that is told.
    fn limit(&self) -> Option<u64>;
}

impl<P: AsRef<Path>> Source for P {
    fn path(&self) -> &Path {
        self.as_ref()
    }

    fn limit(&self) -> Option<u64> {
        None
    }
}

/// A path with a limit; made by [`with_limit`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WithLimit {
    path: PathBuf,
    bytes: u64,
}

impl Source for WithLimit {
    fn path(&self) -> &Path {
        &self.path
    }

    fn limit(&self) -> Option<u64> {
        Some(self.bytes)
    }
}

/// A file whose contents, decompressed, may have so many bytes, and no more.
///
/// By default, they may have 32 times as many as the file, or 256 MiB where that
/// is more. Arrays take a few times the memory that their file's contents have,
/// never a part of it that the contents do not give reason for.
///
/// ```no_run
/// use bilro::{data, io};
///
/// let clicks = io::with_limit("clicks.csv.gz", 20 << 30); // 20 GiB
/// let (data, _) = data::csv(clicks).target("clicked").classes()?;
/// # Ok::<(), bilro::Error>(())
/// ```
pub fn with_limit(path: impl AsRef<Path>, bytes: u64) -> WithLimit {
    WithLimit { path: path.as_ref().into(), bytes }
}

/// Compression of text and of images stays far below it, DEFLATE ends at 1032.
const EXPANSION: u64 = 32;

/// What any file's contents may have.
const LEAST: u64 = 256 << 20;

/// What is read of a file.
pub(crate) struct Contents {
    reader: Box<dyn Read>,
    /// How many bytes there are, where that is known before they are read.
    length: Option<u64>,
    limit: Limit,
    /// How many bytes of the limit are left.
    left: u64,
}

/// How many bytes there may be, and whether the caller has said so.
#[derive(Clone, Copy)]
pub(crate) struct Limit {
    pub bytes: u64,
    is_told: bool,
}

impl Limit {
    pub fn of(source: &impl Source, file: &File) -> io::Result<Limit> {
        let metadata = file.metadata()?;
        // What is no file, as a pipe, has no length.
        let length = if metadata.is_file() { metadata.len() } else { 0 };
        Ok(Limit {
            bytes: source.limit().unwrap_or(length.saturating_mul(EXPANSION).max(LEAST)),
            is_told: source.limit().is_some(),
        })
    }

    /// What is said where there are more.
    pub fn error(self) -> io::Error {
        let bytes = amount(self.bytes);
        io::Error::other(match self.is_told {
            true => format!("its contents have more than {bytes}, the limit that was given"),
            false => format!(
                "its contents have more than {bytes}, the limit for a file of its length; \
                 `io::with_limit(path, bytes)` instead of its path is one with another limit"
            ),
        })
    }

    /// Refuses more bytes than there may be.
    pub fn check(self, bytes: u64) -> io::Result<()> {
        if bytes > self.bytes { Err(self.error()) } else { Ok(()) }
    }
}

/// A number of bytes in words.
fn amount(bytes: u64) -> String {
    match bytes {
        0 => "0 bytes".into(),
        n if n.is_multiple_of(1 << 30) => format!("{} GiB", n >> 30),
        n if n.is_multiple_of(1 << 20) => format!("{} MiB", n >> 20),
        n => format!("{n} bytes"),
    }
}

/// What every gzip file begins with (RFC 1952, section 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Opens a file to be read from its beginning, as it is.
pub(crate) fn plain(source: &impl Source) -> io::Result<Contents> {
    let file = File::open(source.path())?;
    let limit = Limit::of(source, &file)?;
    let metadata = file.metadata()?;
    let length = metadata.is_file().then_some(metadata.len());
    Ok(Contents { reader: Box::new(BufReader::new(file)), length, limit, left: limit.bytes })
}

/// Opens a file to be read from its beginning, decompressed if its first bytes
/// are gzip's.
pub(crate) fn decompressed(source: &impl Source) -> io::Result<Contents> {
    let file = File::open(source.path())?;
    let limit = Limit::of(source, &file)?;
    let mut file = BufReader::new(file);
    // A file on a disk gives its first two bytes at once, if it has them.
    let is_gzip = file.fill_buf()?.starts_with(&GZIP);
    let reader: Box<dyn Read> =
        if is_gzip { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    Ok(Contents { reader, length: None, limit, left: limit.bytes })
}

impl Contents {
    /// All of it.
    pub fn all(mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        if let Some(length) = self.length {
            self.limit.check(length)?;
            if !memory::is_available(length.into()) {
                let message = format!("it has {}, and there is not so much memory", amount(length));
                return Err(io::Error::new(io::ErrorKind::OutOfMemory, message));
            }
            // What follows finds out whether it is still there.
            let _ = bytes.try_reserve_exact(usize::try_from(length).unwrap_or(usize::MAX));
        }
        self.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// How long a plain file is, where that is known.
    #[cfg(feature = "npy")]
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    pub fn limit(&self) -> Limit {
        self.limit
    }
}

impl Read for Contents {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // One byte more than there may be is enough to know.
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).saturating_add(1);
        let room = buffer.len().min(most);
        let read = self.reader.read(&mut buffer[..room])?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| self.limit.error())?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::file::tests::{Folder, gzip};

    #[test]
    fn contents_end_at_the_limit_and_not_before() {
        let folder = Folder::new("limit");
        for path in [folder.write("plain", "12345"), folder.write("packed", gzip(b"12345"))] {
            let all = |bytes| decompressed(&with_limit(&path, bytes)).and_then(Contents::all);
            assert_eq!(all(5).unwrap(), b"12345");
            assert_eq!(all(u64::MAX).unwrap(), b"12345");
            let message = all(4).unwrap_err().to_string();
            assert_eq!(message, "its contents have more than 4 bytes, the limit that was given");
            assert!(all(0).is_err());
        }
        let path = folder.write("plain", "12345");
        assert!(plain(&with_limit(&path, 4)).and_then(Contents::all).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn what_has_no_end_is_read_up_to_the_limit() {
        let endless = with_limit("/dev/zero", 1 << 20);
        let message = plain(&endless).and_then(Contents::all).unwrap_err().to_string();
        assert!(message.contains("1 MiB"), "{message}");
        let untold = plain(&"/dev/zero").unwrap().limit().error().to_string();
        assert!(untold.contains("256 MiB") && untold.contains("io::with_limit("), "{untold}");
    }

    #[test]
    fn a_long_file_may_have_more() {
        let folder = Folder::new("limit-long");
        let path = folder.path().join("file");
        File::create(&path).unwrap().set_len(1 << 30).unwrap();
        assert_eq!(plain(&path).unwrap().limit().bytes, 32 << 30);
        assert_eq!(amount(32 << 30), "32 GiB");
    }

    /// A file may be as long as it says and take no room on its disk.
    #[test]
    fn a_file_longer_than_memory_is_not_read() {
        let folder = Folder::new("limit-sparse");
        let path = folder.path().join("file");
        // Some systems have no files that long.
        if File::create(&path).unwrap().set_len(1 << 43).is_err() {
            return;
        }
        let message = plain(&path).and_then(Contents::all).unwrap_err().to_string();
        assert_eq!(message, "it has 8192 GiB, and there is not so much memory");
    }
}
