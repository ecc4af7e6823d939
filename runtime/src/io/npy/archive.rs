//! Reading of zip archives, as NumPy writes them (PKWARE's APPNOTE 6.3.10, sections 4.3 and 4.5.3).
//!
//! Takes a file; returns the names of its entries, and a reader for each. Guaranteed: the end
//! record is searched once, in the last 64 KiB, the directory is read once, and the memory taken is
//! bounded by the length of the file.

use super::super::source::{Limit, Source};
use flate2::CrcReader;
use flate2::bufread::DeflateDecoder;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};

/// Bytes of the end-of-directory record, without its comment.
const END: usize = 22;
/// The maximum length of the comment.
const MAX_COMMENT: usize = u16::MAX as usize;
/// Bytes of the locator of the 64-bit end record, just before the other end record.
const LOCATOR: usize = 20;
/// Bytes of the 64-bit end record that are read.
const END_64: usize = 56;
/// Bytes of an entry in the directory, without its variable fields.
const ENTRY: usize = 46;
/// Bytes of the local header before an entry's data, without its variable fields.
const LOCAL: usize = 30;

const NO_ARCHIVE: &str = "is not a zip archive, or incomplete";

/// An archive for reading.
pub(super) struct Archive {
    file: BufReader<File>,
    length: u64,
    /// In the order of the directory.
    entries: Vec<Entry>,
    /// The index of each name in `entries`.
    indices: HashMap<String, usize>,
    pub limit: Limit,
}

/// An entry of the directory.
#[derive(Clone)]
struct Entry {
    name: String,
    method: u16,
    is_encrypted: bool,
    checksum: u32,
    packed: u64,
    length: u64,
    /// The offset of its local header.
    offset: u64,
}

/// A reader for an entry, decompressed.
pub(super) struct EntryReader<'a> {
    pub reader: CrcReader<Box<dyn Read + 'a>>,
    /// The number of bytes, according to the directory.
    pub length: u64,
    /// Whether the file is known to have them: not if they are compressed.
    pub is_complete: bool,
    checksum: u32,
}

impl EntryReader<'_> {
    /// Checks the checksum of the bytes that were read.
    pub fn check(&self) -> Result<(), String> {
        match self.reader.crc().sum() == self.checksum {
            true => Ok(()),
            false => Err("its checksum differs from the archive's: the file is damaged".into()),
        }
    }
}

impl Archive {
    pub fn open(source: &impl Source) -> Result<Archive, String> {
        let message = |error: std::io::Error| error.to_string();
        let file = File::open(source.path()).map_err(message)?;
        let limit = Limit::of(source, &file).map_err(message)?;
        let mut file = BufReader::new(file);
        let length = file.seek(SeekFrom::End(0)).map_err(message)?;
        let (from, size, count) = directory(&mut file, length)?;
        let bytes = read(&mut file, from, size)?;
        let entries = entries(&bytes, from, count)?;
        let mut indices = HashMap::new();
        for (index, entry) in entries.iter().enumerate() {
            if indices.insert(entry.name.clone(), index).is_some() {
                let name = &entry.name;
                return Err(format!("offset {from}: two arrays have the name `{name}`"));
            }
        }
        Ok(Archive { file, length, entries, indices, limit })
    }

    /// The names of the arrays, in the order of the directory.
    pub fn names(&self) -> Vec<String> {
        self.entries.iter().map(|entry| entry.name.clone()).collect()
    }

    /// The index of the array of this name.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.indices.get(name).copied()
    }

    /// A reader for an entry, from its beginning.
    pub fn entry(&mut self, index: usize) -> Result<EntryReader<'_>, String> {
        let entry = &self.entries[index];
        if entry.is_encrypted {
            return Err("is encrypted".into());
        }
        let offset = entry.offset;
        let local = read(&mut self.file, offset, LOCAL)?;
        if !local.starts_with(b"PK\x03\x04") {
            return Err(format!("it is not at offset {offset} of the file, as in the directory"));
        }
        let before = LOCAL as u64 + u64::from(u16_at(&local, 26)) + u64::from(u16_at(&local, 28));
        let from = entry.offset.checked_add(before);
        let end = from.and_then(|from| from.checked_add(entry.packed));
        let Some((from, _)) = from.zip(end.filter(|end| *end <= self.length)) else {
            return Err(format!(
                "its {} bytes are not completely in the file, from offset {offset} on",
                entry.packed
            ));
        };
        self.file.seek(SeekFrom::Start(from)).map_err(|error| error.to_string())?;
        let packed = self.file.by_ref().take(entry.packed);
        let reader: Box<dyn Read> = match entry.method {
            0 => Box::new(packed),
            8 => Box::new(DeflateDecoder::new(packed)),
            other => return Err(format!("is compressed by method {other}, not 0 or 8 (DEFLATE)")),
        };
        let is_complete = entry.method == 0 && entry.length <= entry.packed;
        let reader = CrcReader::new(reader);
        Ok(EntryReader { reader, length: entry.length, is_complete, checksum: entry.checksum })
    }
}

/// The offset and the length of the directory, and its number of entries.
fn directory(file: &mut BufReader<File>, length: u64) -> Result<(u64, usize, u64), String> {
    let no_archive = || format!("offset {length}: {NO_ARCHIVE}: there is no end record");
    let tail = length.min((END + MAX_COMMENT + LOCATOR) as u64);
    let start = length - tail;
    let bytes = read(file, start, tail as usize)?;
    // The last one whose comment has the stated length.
    let is_end = |at: &usize| {
        let end = &bytes[*at..];
        end.starts_with(b"PK\x05\x06") && usize::from(u16_at(end, 20)) == end.len() - END
    };
    let last = bytes.len().checked_sub(END).ok_or_else(no_archive)?;
    let at = (0..=last).rev().find(is_end).ok_or_else(no_archive)?;
    let end = &bytes[at..];
    let small = (u32_at(end, 16).into(), u32_at(end, 12).into(), u16_at(end, 10).into());
    let (from, size, count) = match at.checked_sub(LOCATOR).map(|at| &bytes[at..]) {
        Some(locator) if locator.starts_with(b"PK\x06\x07") => {
            let end = read(file, u64_at(locator, 8), END_64)?;
            if !end.starts_with(b"PK\x06\x06") {
                return Err(format!(
                    "offset {}: {NO_ARCHIVE}: there is no 64-bit end record",
                    u64_at(locator, 8)
                ));
            }
            (u64_at(&end, 48), u64_at(&end, 40), u64_at(&end, 32))
        }
        _ => small,
    };
    // The directory must be before the end record.
    match from.checked_add(size) {
        Some(end) if end <= start + at as u64 => Ok((from, size as usize, count)),
        _ => Err(format!(
            "offset {}: {NO_ARCHIVE}: its directory, {size} bytes from offset {from} on, is not before \
             its end record",
            start + at as u64
        )),
    }
}

/// The entries of a directory at the offset `from`, which must be `count`.
fn entries(mut bytes: &[u8], from: u64, count: u64) -> Result<Vec<Entry>, String> {
    let end = from + bytes.len() as u64;
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let offset = end - bytes.len() as u64;
        let damaged = || format!("offset {offset}: the directory is damaged");
        let (head, tail) = bytes.split_at_checked(ENTRY).ok_or_else(damaged)?;
        if !head.starts_with(b"PK\x01\x02") {
            return Err(damaged());
        }
        let sizes = [28, 30, 32].map(|at| usize::from(u16_at(head, at)));
        let (name, tail) = tail.split_at_checked(sizes[0]).ok_or_else(damaged)?;
        let (extra, tail) = tail.split_at_checked(sizes[1]).ok_or_else(damaged)?;
        (_, bytes) = tail.split_at_checked(sizes[2]).ok_or_else(damaged)?;
        // Numbers that exceed 32 bits are in the extra field, in this order.
        let mut large = large(extra);
        let mut size = |small: u32| match small {
            u32::MAX => large.next().ok_or_else(damaged),
            small => Ok(u64::from(small)),
        };
        let length = size(u32_at(head, 24))?;
        let packed = size(u32_at(head, 20))?;
        let offset = size(u32_at(head, 42))?;
        let name = String::from_utf8_lossy(name);
        entries.push(Entry {
            name: name.strip_suffix(".npy").unwrap_or(&name).into(),
            method: u16_at(head, 10),
            is_encrypted: u16_at(head, 8) & 1 != 0,
            checksum: u32_at(head, 16),
            packed,
            length,
            offset,
        });
    }
    match entries.len() as u64 == count {
        true => Ok(entries),
        false => Err(format!(
            "offset {end}: the directory has {} entries, but its end record states {count}",
            entries.len()
        )),
    }
}

/// The 64-bit numbers of an extra field.
fn large(mut extra: &[u8]) -> impl Iterator<Item = u64> {
    let mut found: &[u8] = &[];
    while let Some((head, tail)) = extra.split_at_checked(4) {
        let Some((field, tail)) = tail.split_at_checked(u16_at(head, 2).into()) else { break };
        if u16_at(head, 0) == 1 {
            found = field;
            break;
        }
        extra = tail;
    }
    found.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes))
}

/// Reads `size` bytes of a file from an offset; an error if it is shorter.
fn read(file: &mut BufReader<File>, from: u64, size: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let found = file.seek(SeekFrom::Start(from));
    found
        .and_then(|_| file.take(size as u64).read_to_end(&mut bytes))
        .map_err(|e| e.to_string())?;
    match bytes.len() == size {
        true => Ok(bytes),
        false => Err(format!("offset {from}: {NO_ARCHIVE}: it has fewer than {size} bytes here")),
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::io::folder::Folder;
    use flate2::Crc;
    use flate2::write::DeflateEncoder;
    use std::io::Write;

    /// An archive with one entry. With `wide`, all numbers that may have 64 bits do.
    pub fn archive(name: &str, data: &[u8], is_packed: bool, wide: bool) -> Vec<u8> {
        let mut crc = Crc::new();
        crc.update(data);
        let packed = match is_packed {
            true => {
                let mut encoder = DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(data).unwrap();
                encoder.finish().unwrap()
            }
            false => data.to_vec(),
        };
        let method = if is_packed { 8u16 } else { 0 };
        let sizes = [data.len() as u64, packed.len() as u64];
        let u32s = |x: [u32; 3]| x.map(u32::to_le_bytes).concat();
        let u64s = |x: &[u64]| x.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
        let extra = |numbers: &[u64]| match wide {
            true => {
                let size = (numbers.len() as u16 * 8).to_le_bytes();
                [&[9, 9, 1, 0, 7, 1, 0][..], &size, &u64s(numbers)].concat()
            }
            false => vec![],
        };
        let small = |x: u64| if wide { u32::MAX } else { x as u32 };
        let names = |extra: &[u8]| {
            [(name.len() as u16).to_le_bytes(), (extra.len() as u16).to_le_bytes()].concat()
        };
        let head = [&[20, 0, 0, 0][..], &method.to_le_bytes(), &[0; 4]].concat();
        let numbers = u32s([crc.sum(), small(sizes[1]), small(sizes[0])]);
        let local = extra(&sizes);
        let mut file = b"PK\x03\x04".to_vec();
        file.extend([&head, &numbers, &names(&local), name.as_bytes(), &local, &packed].concat());
        let directory = file.len() as u64;
        let in_directory = extra(&[sizes[0], sizes[1], 0]);
        file.extend(b"PK\x01\x02\x14\0");
        file.extend(
            [&head, &numbers, &names(&in_directory), &[0; 10][..], &small(0).to_le_bytes()]
                .concat(),
        );
        file.extend([name.as_bytes(), &in_directory].concat());
        let size = file.len() as u64 - directory;
        if wide {
            let at = file.len() as u64;
            file.extend(b"PK\x06\x06");
            file.extend([&44u64.to_le_bytes()[..], &[0; 12]].concat());
            file.extend(u64s(&[1, 1, size, directory]));
            file.extend([&b"PK\x06\x07\0\0\0\0"[..], &at.to_le_bytes(), &[1, 0, 0, 0]].concat());
        }
        let count = if wide { u16::MAX } else { 1 }.to_le_bytes();
        file.extend([&b"PK\x05\x06\0\0\0\0"[..], &count, &count].concat());
        file.extend([small(size).to_le_bytes(), small(directory).to_le_bytes()].concat());
        file.extend(b"\x07\0comment");
        file
    }

    fn read_all(archive: &mut Archive) -> Result<Vec<u8>, String> {
        let mut entry = archive.entry(0)?;
        let mut bytes = Vec::new();
        entry.reader.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        entry.check().map(|()| bytes)
    }

    #[test]
    fn archives_of_32_and_of_64_bits_are_read() {
        let folder = Folder::new("archive");
        for (is_packed, wide) in [(false, false), (true, false), (false, true), (true, true)] {
            let bytes = archive("größe.npy", b"some bytes, some bytes", is_packed, wide);
            let mut archive = Archive::open(&folder.write("file", &bytes)).unwrap();
            assert_eq!(archive.names(), ["größe"]);
            assert_eq!(archive.find("größe"), Some(0));
            assert_eq!(read_all(&mut archive).unwrap(), b"some bytes, some bytes");
        }
    }

    #[test]
    fn damage_is_detected() {
        let folder = Folder::new("archive-damage");
        let good = archive("x.npy", b"some bytes", false, false);
        let of = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            let opened = Archive::open(&folder.write("file", &bytes));
            opened.and_then(|mut archive| read_all(&mut archive)).unwrap_err()
        };
        let directory = LOCAL + 5 + 10;
        assert_eq!(
            of(LOCAL + 6, b'?'),
            "its checksum differs from the archive's: the file is damaged"
        );
        assert_eq!(of(0, b'?'), "it is not at offset 0 of the file, as in the directory");
        let damaged = format!("offset {directory}: the directory is damaged");
        assert_eq!(of(directory, b'?'), damaged);
        assert_eq!(of(directory + 8, 1), "is encrypted");
        assert_eq!(of(directory + 10, 12), "is compressed by method 12, not 0 or 8 (DEFLATE)");
        let incomplete = "its 1660944394 bytes are not completely in the file, from offset 0 on";
        assert_eq!(of(directory + 23, 99), incomplete);
        assert_eq!(of(directory + 28, 99), damaged);
        let end = directory + ENTRY + 5;
        let many =
            format!("offset {end}: the directory has 1 entries, but its end record states 99");
        assert_eq!(of(end + 10, 99), many);
        let before = format!(
            "offset {end}: {NO_ARCHIVE}: its directory, 51 bytes from offset 1660944429 on, is not \
             before its end record"
        );
        assert_eq!(of(end + 19, 99), before);
        for bytes in [&good[..good.len() - 1], &good[..20], &[], b"PK\x05\x06"] {
            let opened = Archive::open(&folder.write("file", bytes));
            let length = bytes.len();
            let expected = format!("offset {length}: {NO_ARCHIVE}: there is no end record");
            assert_eq!(opened.err().unwrap(), expected);
        }
    }
}
