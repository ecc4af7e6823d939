//! Sources: files to read, with limits on their contents.
//!
//! Takes a path, with a limit or without; returns the file's contents, never more
//! than the limit.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use crate::memory;

/// A file to read: a path, or a path with a limit, made by [`with_limit`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a path of a file",
    note = "a path is a `&str`, a `String`, a `&Path` or a `PathBuf`; \
            `bilro::io::with_limit(path, bytes)` is one with a limit"
)]
pub trait Source {
    /// The file.
    fn path(&self) -> &Path;

    /// The limit on its contents, decompressed, in bytes, if it is set.
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

/// A file with a limit on its contents, decompressed, in bytes.
///
/// The default is 32 times the length of the file, or 256 MiB if that is more. Arrays
/// take at most a few times the memory of their file's contents, whatever a header
/// claims.
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

/// The default limit in lengths of the file. Compression of text and of images is far below it;
/// the maximum of DEFLATE is 1032.
const EXPANSION: u64 = 32;

/// The minimum of the default limit.
const MIN_LIMIT: u64 = 256 << 20;

/// The contents of a file, for reading up to a limit.
pub(crate) struct Contents {
    reader: Box<dyn Read>,
    /// The number of bytes, if known before reading.
    length: Option<u64>,
    limit: Limit,
    /// The number of bytes left until the limit.
    remaining: u64,
}

/// A limit in bytes, and whether the caller has set it.
#[derive(Clone, Copy)]
pub(crate) struct Limit {
    pub bytes: u64,
    is_explicit: bool,
}

impl Limit {
    pub fn of(source: &impl Source, file: &File) -> io::Result<Limit> {
        let metadata = file.metadata()?;
        // Pipes and devices have no length.
        let length = if metadata.is_file() { metadata.len() } else { 0 };
        Ok(Limit {
            bytes: source.limit().unwrap_or(length.saturating_mul(EXPANSION).max(MIN_LIMIT)),
            is_explicit: source.limit().is_some(),
        })
    }

    /// The error for contents beyond the limit.
    pub fn error(self) -> io::Error {
        let bytes = amount(self.bytes);
        io::Error::other(match self.is_explicit {
            true => format!("its contents have more than {bytes}, the limit that was given"),
            false => format!(
                "its contents have more than {bytes}, the limit for a file of its length; \
                 `io::with_limit(path, bytes)` instead of its path sets another limit"
            ),
        })
    }

    /// Requires a number of bytes within the limit.
    pub fn check(self, bytes: u64) -> io::Result<()> {
        if bytes > self.bytes { Err(self.error()) } else { Ok(()) }
    }
}

/// A number of bytes for a message.
fn amount(bytes: u64) -> String {
    match bytes {
        0 => "0 bytes".into(),
        n if n.is_multiple_of(1 << 30) => format!("{} GiB", n >> 30),
        n if n.is_multiple_of(1 << 20) => format!("{} MiB", n >> 20),
        n => format!("{n} bytes"),
    }
}

/// The first bytes of gzip files (RFC 1952, section 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Opens a file for reading from its beginning, without decompression.
pub(crate) fn plain(source: &impl Source) -> io::Result<Contents> {
    let file = File::open(source.path())?;
    let limit = Limit::of(source, &file)?;
    let metadata = file.metadata()?;
    let length = metadata.is_file().then_some(metadata.len());
    Ok(Contents { reader: Box::new(BufReader::new(file)), length, limit, remaining: limit.bytes })
}

/// Opens a file for reading from its beginning, decompressed if its first bytes are
/// gzip's.
pub(crate) fn decompressed(source: &impl Source) -> io::Result<Contents> {
    let file = File::open(source.path())?;
    let limit = Limit::of(source, &file)?;
    let mut file = BufReader::new(file);
    // For a file on a disk, the first read returns at least two bytes, if it has them.
    let is_gzip = file.fill_buf()?.starts_with(&GZIP);
    let reader: Box<dyn Read> =
        if is_gzip { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    Ok(Contents { reader, length: None, limit, remaining: limit.bytes })
}

impl Contents {
    /// Reads all contents.
    pub fn all(mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        if let Some(length) = self.length {
            self.limit.check(length)?;
            if !memory::is_available(length.into()) {
                let message = format!("it has {}, more than there is memory", amount(length));
                return Err(io::Error::new(io::ErrorKind::OutOfMemory, message));
            }
            // Failure is found again by the read below.
            let _ = bytes.try_reserve_exact(usize::try_from(length).unwrap_or(usize::MAX));
        }
        self.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// The length of a plain file, if known.
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
        // One byte beyond the limit is enough for the error.
        let max = usize::try_from(self.remaining).unwrap_or(usize::MAX).saturating_add(1);
        let size = buffer.len().min(max);
        let read = self.reader.read(&mut buffer[..size])?;
        self.remaining =
            self.remaining.checked_sub(read as u64).ok_or_else(|| self.limit.error())?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::file::tests::{Folder, gzip};

    #[test]
    fn contents_are_limited_exactly() {
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
    fn endless_files_are_read_up_to_the_limit() {
        let endless = with_limit("/dev/zero", 1 << 20);
        let message = plain(&endless).and_then(Contents::all).unwrap_err().to_string();
        assert!(message.contains("1 MiB"), "{message}");
        let default = plain(&"/dev/zero").unwrap().limit().error().to_string();
        assert!(default.contains("256 MiB") && default.contains("io::with_limit("), "{default}");
    }

    #[test]
    fn the_default_limit_grows_with_the_file() {
        let folder = Folder::new("limit-long");
        let path = folder.path().join("file");
        File::create(&path).unwrap().set_len(1 << 30).unwrap();
        assert_eq!(plain(&path).unwrap().limit().bytes, 32 << 30);
        assert_eq!(amount(32 << 30), "32 GiB");
    }

    /// A sparse file takes no space on its disk.
    #[test]
    fn a_file_longer_than_memory_is_not_read() {
        let folder = Folder::new("limit-sparse");
        let path = folder.path().join("file");
        // Not all file systems allow files of this length.
        if File::create(&path).unwrap().set_len(1 << 43).is_err() {
            return;
        }
        let message = plain(&path).and_then(Contents::all).unwrap_err().to_string();
        assert_eq!(message, "it has 8192 GiB, more than there is memory");
    }
}
