//! The rows of a table, one by one.
//!
//! Takes the contents of a file; returns its records. Guaranteed: the size of a record is bounded,
//! even in a file without line ends or with an unclosed quote; and quotes are as in RFC 4180, so that a
//! missing one is an error, and not a field with the next lines of the file.

use crate::io::source::Contents;
use csv::{ErrorKind, Reader, ReaderBuilder, StringRecord, Trim};
use std::cell::Cell;
use std::fmt;
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

/// Contents with a limit on the size of a record, and with checked quotes.
struct Bounded {
    contents: Contents,
    since: Rc<Cell<u64>>,
    max_record: u64,
    quotes: Quotes,
    /// For the next read: bytes before it are returned first.
    fault: Option<Fault>,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(fault) = self.fault.take() {
            return Err(io::Error::other(fault));
        }
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
        let checked = match read {
            0 if !buffer.is_empty() => self.quotes.end().map(|()| 0),
            _ => self.quotes.advance(&buffer[..read]),
        };
        checked.or_else(|(before, fault)| match before {
            0 => Err(io::Error::other(fault)),
            _ => {
                self.fault = Some(fault);
                Ok(before)
            }
        })
    }
}

/// A fault of quotes.
#[derive(Debug)]
struct Fault {
    /// Counted from 1, as columns are.
    line: u64,
    column: u64,
    message: &'static str,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for Fault {}

/// The quotes of a table as the `csv` crate understands them. It accepts more than RFC 4180: a quote
/// without end, and text after a closing quote.
struct Quotes {
    separator: u8,
    state: Quoting,
    /// Of the next byte, counted from 1.
    line: u64,
    column: u64,
    /// Where the last quoted field begins.
    open: (u64, u64),
    /// The number of bytes of a byte order mark at the beginning; beyond it once a field has begun.
    mark: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quoting {
    /// At the beginning of a field.
    Start,
    Unquoted,
    Quoted,
    /// After a quote in a quoted field: its end, or the first of two that are one.
    Quote,
    /// After a quoted field and a space.
    Ended,
}

/// UTF-8's byte order mark.
const MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

impl Quotes {
    fn new(separator: u8) -> Quotes {
        Quotes { separator, state: Quoting::Start, line: 1, column: 1, open: (1, 1), mark: 0 }
    }

    /// Follows the next bytes; returns their number, or the number before a fault.
    fn advance(&mut self, bytes: &[u8]) -> Result<usize, (usize, Fault)> {
        for (i, &byte) in bytes.iter().enumerate() {
            if MARK.get(self.mark) == Some(&byte) {
                self.mark += 1;
                continue;
            }
            self.mark = MARK.len();
            let is_end = byte == self.separator || byte == b'\n' || byte == b'\r';
            self.state = match (self.state, byte) {
                (Quoting::Quoted, b'"') => Quoting::Quote,
                (Quoting::Quoted, _) => Quoting::Quoted,
                (Quoting::Quote, b'"') => Quoting::Quoted,
                (Quoting::Start, b'"') => {
                    self.open = (self.line, self.column);
                    Quoting::Quoted
                }
                _ if is_end => Quoting::Start,
                (Quoting::Quote | Quoting::Ended, b' ' | b'\t') => Quoting::Ended,
                (Quoting::Quote | Quoting::Ended, _) => {
                    let (line, column) = self.open;
                    let message = "text follows the closing quote of a quoted field; is a quote missing \
                                   before? A quote within quotes is written as two";
                    return Err((i, Fault { line, column, message }));
                }
                (Quoting::Start | Quoting::Unquoted, _) => Quoting::Unquoted,
            };
            match byte {
                _ if self.state == Quoting::Start && byte == self.separator => self.column += 1,
                b'\n' | b'\r' if self.state == Quoting::Start => self.column = 1,
                _ => {}
            }
            self.line += u64::from(byte == b'\n');
        }
        Ok(bytes.len())
    }

    /// At the end of the file.
    fn end(&self) -> Result<(), (usize, Fault)> {
        if self.state != Quoting::Quoted {
            return Ok(());
        }
        let (line, column) = self.open;
        Err((0, Fault { line, column, message: "a quoted field has no closing quote" }))
    }
}

impl Rows {
    pub fn new(contents: Contents, separator: u8) -> Rows {
        let since = Rc::new(Cell::new(0));
        let max_record = (contents.limit().bytes / RECORDS).max(1 << 16);
        let since_there = Rc::clone(&since);
        let quotes = Quotes::new(separator);
        let bounded = Bounded { contents, since: since_there, max_record, quotes, fault: None };
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
        ErrorKind::Io(error) => match error.get_ref().and_then(|e| e.downcast_ref::<Fault>()) {
            Some(fault) => fault.to_string(),
            None => format!("line {line}: {error}"),
        },
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
