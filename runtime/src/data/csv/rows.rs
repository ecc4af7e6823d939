//! The rows of a table, one by one.
//!
//! Takes the contents of a file; gives its records. Guaranteed: a record has a bounded number of
//! bytes, however the file goes on.

use crate::io::source::Contents;
use csv::{ErrorKind, Reader, ReaderBuilder, StringRecord, Trim};
use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

/// Which part of a file's contents one record may have: of 256 MiB, 16.
const RECORD: u64 = 16;

/// The rows of a table.
pub(super) struct Rows {
    reader: Reader<Bounded>,
    record: StringRecord,
    /// Bytes since the last record.
    since: Rc<Cell<u64>>,
}

/// Contents that come in records of no more than so many bytes.
struct Bounded {
    contents: Contents,
    since: Rc<Cell<u64>>,
    most: u64,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.since.get() > self.most {
            return Err(io::Error::other(format!(
                "a line, or what a quote holds, is longer than {} bytes; is the end of a line, or \
                 a closing quote, missing? (`io::with_limit(path, bytes)` instead of the path lets \
                 it have 1 / {RECORD} of the bytes that it says)",
                self.most
            )));
        }
        let read = self.contents.read(buffer)?;
        self.since.set(self.since.get().saturating_add(read as u64));
        Ok(read)
    }
}

impl Rows {
    pub fn new(contents: Contents, separator: u8) -> Rows {
        let since = Rc::new(Cell::new(0));
        let most = (contents.limit().bytes / RECORD).max(1 << 16);
        let bounded = Bounded { contents, since: Rc::clone(&since), most };
        let reader = ReaderBuilder::new()
            .has_headers(false)
            .delimiter(separator)
            .trim(Trim::All)
            .from_reader(bounded);
        Rows { reader, record: StringRecord::new(), since }
    }

    /// The next record with its line, counted from 1.
    pub fn next(&mut self) -> Result<Option<(u64, &StringRecord)>, String> {
        self.since.set(0);
        let line = self.reader.position().line();
        match self.reader.read_record(&mut self.record) {
            Ok(true) => Ok(Some((self.record.position().map_or(line, |p| p.line()), &self.record))),
            Ok(false) => Ok(None),
            Err(error) => Err(said(&error, line)),
        }
    }
}

/// What the library of the format says, with lines and columns counted from 1.
fn said(error: &csv::Error, line: u64) -> String {
    let at = |position: &Option<csv::Position>| position.as_ref().map_or(line, |p| p.line());
    match error.kind() {
        ErrorKind::Io(error) => format!("line {line}: {error}"),
        ErrorKind::Utf8 { pos, err } => format!(
            "line {}, column {}: the field is not in UTF-8; write the file in it",
            at(pos),
            err.field() + 1
        ),
        ErrorKind::UnequalLengths { pos, expected_len, len } => {
            format!("line {}: it has {len} fields, but those before have {expected_len}", at(pos))
        }
        _ => format!("line {line}: {error}"),
    }
}

/// Appends, unless there is no memory left.
pub(super) fn push<T>(to: &mut Vec<T>, value: T) -> Result<(), String> {
    if to.len() == to.capacity() && to.try_reserve(1).is_err() {
        return Err(format!("there is no memory for more than {} values", to.len()));
    }
    to.push(value);
    Ok(())
}
