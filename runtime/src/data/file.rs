//! Files that may be compressed.
//!
//! Takes a path; gives the file's bytes in order, decompressed if they are gzip's, and never more
//! than its limit. Guaranteed: what a file is called makes no difference, its first two bytes
//! decide.

use crate::io::Source;
use crate::io::source::{Contents, decompressed};
use crate::{Error, Result};
use std::fmt::Display;
use std::path::Path;

/// Opens a file to be read from its beginning.
pub(super) fn open(source: &impl Source) -> Result<Contents> {
    decompressed(source).map_err(|error| damaged(source.path(), error))
}

/// What is wrong with a file.
pub(super) fn damaged(path: &Path, message: impl Display) -> Error {
    Error::File { path: path.into(), message: message.to_string() }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::{Read, Write};
    use std::path::PathBuf;

    pub(crate) use crate::io::folder::Folder;

    pub fn gzip(contents: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(contents).unwrap();
        encoder.finish().unwrap()
    }

    fn read(path: &PathBuf) -> String {
        let mut text = String::new();
        open(path).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn the_first_bytes_decide_not_the_name() {
        let folder = Folder::new("open");
        assert_eq!(read(&folder.write("plain.gz", "plain")), "plain");
        assert_eq!(read(&folder.write("packed", gzip(b"packed"))), "packed");
        assert_eq!(read(&folder.write("short", "x")), "x");
        assert_eq!(read(&folder.write("empty", "")), "");
        // Two gzip files one after the other are one.
        let two = [gzip(b"one "), gzip(b"two")].concat();
        assert_eq!(read(&folder.write("two", two)), "one two");
    }

    #[test]
    fn what_is_not_there_is_named() {
        let error = open(&"no/such/file").err().unwrap();
        assert!(error.to_string().starts_with("no/such/file: "), "{error}");
    }
}
