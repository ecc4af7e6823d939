//! The rows of a table, one by one.
//!
//! Takes the contents of a file; returns its records. Guaranteed: the size of a record is bounded,
//! even in a file without line ends or with an unclosed quote.

use crate::io::source::Contents;
use csv::{ErrorKind, Reader, ReaderBuilder, StringRecord, Trim};
use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

/// The limit on a record is that on the file's contents divided by this: 16 MiB of 256.
const RECORDS: u64 = 16;

/// The rows of a table.
pub(super) struct Rows {
    reader: Reader<Bounded>,
    record: StringRecord,
    /// Bytes since the last record.
    since: Rc<Cell<u64>>,
}

/// Contents with a limit on the size of a record.
struct Bounded {
    contents: Contents,
    since: Rc<Cell<u64>>,
    max_record: u64,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.since.get() > self.max_record {
            return Err(io::Error::other(format!(
                "a line or a quoted field is longer than {} bytes; is the end of a line, or a closing \
                 quote, missing? (The limit is 1/{RECORDS} of that on the contents; \
                 `io::with_limit(path, bytes)` instead of the path sets another)",
                self.max_record
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
        let max_record = (contents.limit().bytes / RECORDS).max(1 << 16);
        let bounded = Bounded { contents, since: Rc::clone(&since), max_record };
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
            Err(error) => Err(message(&error, line)),
        }
    }
}

/// The message of an error of the `csv` crate, with lines and columns counted from 1.
fn message(error: &csv::Error, line: u64) -> String {
    let at = |position: &Option<csv::Position>| position.as_ref().map_or(line, |p| p.line());
    match error.kind() {
        ErrorKind::Io(error) => format!("line {line}: {error}"),
        ErrorKind::Utf8 { pos, err } => format!(
            "line {}, column {}: the field is not in UTF-8; convert the file to UTF-8",
            at(pos),
            err.field() + 1
        ),
        ErrorKind::UnequalLengths { pos, expected_len, len } => {
            format!("line {}: it has {len} fields, but earlier lines have {expected_len}", at(pos))
        }
        _ => format!("line {line}: {error}"),
    }
}

/// Appends a value, with an error if there is no memory left.
pub(super) fn push<T>(to: &mut Vec<T>, value: T) -> Result<(), String> {
    if to.len() == to.capacity() && to.try_reserve(1).is_err() {
        return Err(format!("there is no memory for more than {} values", to.len()));
    }
    to.push(value);
    Ok(())
}
