//! Reading of plain and gzipped files.
//!
//! Takes a path; returns the file's bytes, decompressed if they are gzipped, and never more than
//! its limit. Guaranteed: the format is detected by the first two bytes, not by the name.

use crate::io::Source;
use crate::io::source::{Contents, decompressed};
use crate::{Error, Result};
use std::fmt::Display;
use std::path::Path;

/// Opens a file for reading from its beginning.
pub(super) fn open(source: &impl Source) -> Result<Contents> {
    decompressed(source).map_err(|error| damaged(source.path(), error))
}

/// An error in a file.
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
    fn the_format_is_detected_by_the_first_bytes() {
        let folder = Folder::new("open");
        assert_eq!(read(&folder.write("plain.gz", "plain")), "plain");
        assert_eq!(read(&folder.write("packed", gzip(b"packed"))), "packed");
        assert_eq!(read(&folder.write("short", "x")), "x");
        assert_eq!(read(&folder.write("empty", "")), "");
        // Concatenated gzip files are one file.
        let two = [gzip(b"one "), gzip(b"two")].concat();
        assert_eq!(read(&folder.write("two", two)), "one two");
    }

    #[test]
    fn missing_files_are_named() {
        let error = open(&"no/such/file").err().unwrap();
        assert!(error.to_string().starts_with("no/such/file: "), "{error}");
    }
}
