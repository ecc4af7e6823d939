//! Zip archives, as numpy writes them (PKWARE's APPNOTE 6.3.10, sections 4.3 and 4.5.3).
//!
//! Takes a file; gives the names of its parts, and each part to be read. Guaranteed: the end of an
//! archive is looked for once, in its last 64 KiB, its directory is gone through once, and it takes
//! no more memory than it has bytes.

use super::super::source::{Limit, Source};
use flate2::CrcReader;
use flate2::bufread::DeflateDecoder;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};

/// The end of a directory, without the comment after it.
const END: usize = 22;
/// The longest comment.
const MOST_COMMENT: usize = u16::MAX as usize;
/// Where the end is of an archive that needs 64 bits, just before the other end.
const LOCATOR: usize = 20;
/// What of that end is read.
const END_64: usize = 56;
/// A part in the directory, without its name and what follows.
const ENTRY: usize = 46;
/// What stands before a part, without its name and what follows.
const LOCAL: usize = 30;

/// An archive that is read.
pub(super) struct Archive {
    file: BufReader<File>,
    length: u64,
    /// In the order of the directory.
    entries: Vec<Entry>,
    places: HashMap<String, usize>,
    pub limit: Limit,
}

/// What the directory says of a part.
#[derive(Clone)]
struct Entry {
    name: String,
    method: u16,
    is_encrypted: bool,
    checksum: u32,
    packed: u64,
    length: u64,
    /// Where it begins.
    at: u64,
}

/// A part, decompressed.
pub(super) struct Part<'a> {
    pub reader: CrcReader<Box<dyn Read + 'a>>,
    /// How many bytes it has, as the directory says.
    pub length: u64,
    checksum: u32,
}

impl Part<'_> {
    /// Whether what was read is what was written.
    pub fn check(&self) -> Result<(), String> {
        match self.reader.crc().sum() == self.checksum {
            true => Ok(()),
            false => Err("its checksum is not the archive's: the file is damaged".into()),
        }
    }
}

impl Archive {
    pub fn open(source: &impl Source) -> Result<Archive, String> {
        let said = |error: std::io::Error| error.to_string();
        let file = File::open(source.path()).map_err(said)?;
        let limit = Limit::of(source, &file).map_err(said)?;
        let mut file = BufReader::new(file);
        let length = file.seek(SeekFrom::End(0)).map_err(said)?;
        let (from, size, count) = directory(&mut file, length)?;
        let bytes = read(&mut file, from, size)?;
        let entries = entries(&bytes, count)?;
        let mut places = HashMap::new();
        for (place, entry) in entries.iter().enumerate() {
            if places.insert(entry.name.clone(), place).is_some() {
                return Err(format!("two arrays have the name `{}`", entry.name));
            }
        }
        Ok(Archive { file, length, entries, places, limit })
    }

    /// The names of the arrays, in the order of the directory.
    pub fn names(&self) -> Vec<String> {
        self.entries.iter().map(|entry| entry.name.clone()).collect()
    }

    /// The place of the array of this name.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }

    /// A part, to be read from its beginning.
    pub fn part(&mut self, place: usize) -> Result<Part<'_>, String> {
        let entry = &self.entries[place];
        if entry.is_encrypted {
            return Err("is encrypted".into());
        }
        let local = read(&mut self.file, entry.at, LOCAL)?;
        if !local.starts_with(b"PK\x03\x04") {
            return Err("is not where the archive says".into());
        }
        let before = LOCAL as u64 + u64::from(u16_at(&local, 26)) + u64::from(u16_at(&local, 28));
        let from = entry.at.checked_add(before);
        let end = from.and_then(|from| from.checked_add(entry.packed));
        let Some((from, _)) = from.zip(end.filter(|end| *end <= self.length)) else {
            return Err("is not all in the file".into());
        };
        self.file.seek(SeekFrom::Start(from)).map_err(|error| error.to_string())?;
        let packed = self.file.by_ref().take(entry.packed);
        let reader: Box<dyn Read> = match entry.method {
            0 => Box::new(packed),
            8 => Box::new(DeflateDecoder::new(packed)),
            other => return Err(format!("is compressed by method {other}, not 0 or 8 (DEFLATE)")),
        };
        let reader = CrcReader::new(reader);
        Ok(Part { reader, length: entry.length, checksum: entry.checksum })
    }
}

/// Where the directory is, how long it is, and how many parts it has.
fn directory(file: &mut BufReader<File>, length: u64) -> Result<(u64, usize, u64), String> {
    let no_archive = || "is no archive, or not all of one".to_string();
    let tail = length.min((END + MOST_COMMENT + LOCATOR) as u64);
    let start = length - tail;
    let bytes = read(file, start, tail as usize)?;
    // The last that is followed by a comment as long as it says.
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
                return Err(no_archive());
            }
            (u64_at(&end, 48), u64_at(&end, 40), u64_at(&end, 32))
        }
        _ => small,
    };
    // It lies before its end.
    match from.checked_add(size) {
        Some(behind) if behind <= start + at as u64 => Ok((from, size as usize, count)),
        _ => Err(no_archive()),
    }
}

/// So many parts of a directory, which has no others.
fn entries(mut bytes: &[u8], count: u64) -> Result<Vec<Entry>, String> {
    let damaged = || "its directory is damaged".to_string();
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let (head, rest) = bytes.split_at_checked(ENTRY).ok_or_else(damaged)?;
        if !head.starts_with(b"PK\x01\x02") {
            return Err(damaged());
        }
        let sizes = [28, 30, 32].map(|at| usize::from(u16_at(head, at)));
        let (name, rest) = rest.split_at_checked(sizes[0]).ok_or_else(damaged)?;
        let (extra, rest) = rest.split_at_checked(sizes[1]).ok_or_else(damaged)?;
        (_, bytes) = rest.split_at_checked(sizes[2]).ok_or_else(damaged)?;
        // What does not fit into 32 bits stands behind the name, in this order.
        let mut large = large(extra);
        let mut size = |small: u32| match small {
            u32::MAX => large.next().ok_or_else(damaged),
            small => Ok(u64::from(small)),
        };
        let length = size(u32_at(head, 24))?;
        let packed = size(u32_at(head, 20))?;
        let at = size(u32_at(head, 42))?;
        let name = String::from_utf8_lossy(name);
        entries.push(Entry {
            name: name.strip_suffix(".npy").unwrap_or(&name).into(),
            method: u16_at(head, 10),
            is_encrypted: u16_at(head, 8) & 1 != 0,
            checksum: u32_at(head, 16),
            packed,
            length,
            at,
        });
    }
    if entries.len() as u64 == count { Ok(entries) } else { Err(damaged()) }
}

/// The numbers of 64 bits among what follows a name.
fn large(mut extra: &[u8]) -> impl Iterator<Item = u64> {
    let mut found: &[u8] = &[];
    while let Some((head, rest)) = extra.split_at_checked(4) {
        let Some((field, rest)) = rest.split_at_checked(u16_at(head, 2).into()) else { break };
        if u16_at(head, 0) == 1 {
            found = field;
            break;
        }
        extra = rest;
    }
    found.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes))
}

/// Some bytes of a file, all of which have to be there.
fn read(file: &mut BufReader<File>, from: u64, size: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let found = file.seek(SeekFrom::Start(from));
    found
        .and_then(|_| file.take(size as u64).read_to_end(&mut bytes))
        .map_err(|e| e.to_string())?;
    match bytes.len() == size {
        true => Ok(bytes),
        false => Err("is no archive, or not all of one".into()),
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

    /// An archive of one part. With `wide`, all that may be is of 64 bits.
    pub fn archive(name: &str, part: &[u8], is_packed: bool, wide: bool) -> Vec<u8> {
        let mut crc = Crc::new();
        crc.update(part);
        let packed = match is_packed {
            true => {
                let mut encoder = DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(part).unwrap();
                encoder.finish().unwrap()
            }
            false => part.to_vec(),
        };
        let method = if is_packed { 8u16 } else { 0 };
        let sizes = [part.len() as u64, packed.len() as u64];
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
        let own = extra(&[sizes[0], sizes[1], 0]);
        file.extend(b"PK\x01\x02\x14\0");
        file.extend(
            [&head, &numbers, &names(&own), &[0; 10][..], &small(0).to_le_bytes()].concat(),
        );
        file.extend([name.as_bytes(), &own].concat());
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
        let mut part = archive.part(0)?;
        let mut bytes = Vec::new();
        part.reader.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        part.check().map(|()| bytes)
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
    fn damage_is_found() {
        let folder = Folder::new("archive-damage");
        let good = archive("x.npy", b"some bytes", false, false);
        let of = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            let opened = Archive::open(&folder.write("file", &bytes));
            opened.and_then(|mut archive| read_all(&mut archive)).unwrap_err()
        };
        let directory = LOCAL + 5 + 10;
        assert_eq!(of(LOCAL + 6, b'?'), "its checksum is not the archive's: the file is damaged");
        assert_eq!(of(0, b'?'), "is not where the archive says");
        assert_eq!(of(directory, b'?'), "its directory is damaged");
        assert_eq!(of(directory + 8, 1), "is encrypted");
        assert_eq!(of(directory + 10, 12), "is compressed by method 12, not 0 or 8 (DEFLATE)");
        assert_eq!(of(directory + 23, 99), "is not all in the file");
        assert_eq!(of(directory + 28, 99), "its directory is damaged");
        let no_archive = "is no archive, or not all of one";
        assert_eq!(of(directory + ENTRY + 5 + 19, 99), no_archive);
        for bytes in [&good[..good.len() - 1], &good[..20], &[], b"PK\x05\x06"] {
            let opened = Archive::open(&folder.write("file", bytes));
            assert_eq!(opened.err().unwrap(), no_archive);
        }
    }
}
