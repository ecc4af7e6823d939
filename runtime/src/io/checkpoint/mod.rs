//! The format of checkpoints: safetensors with a checksum of every section.
//!
//! A [`Draft`] collects texts and arrays by name, and is written as a file. A [`Checkpoint`] is such a
//! file, read completely and compared with its checksums before any of it is used. The modules that
//! use it define the names. Equal texts and arrays give equal bytes.
//!
//! A file is a safetensors file: the length of the header in eight bytes, the header in JSON with the texts
//! (`__metadata__`) and the offsets of the tensors, then the tensors. The text `bilro.checkpoint` is the version
//! of the format. The last tensor, `checksums`, has CRC-32s (as gzip and PNG): of
//! the header with its length, of each tensor in the order of the file, and of the checksums before the
//! last. Each byte of the file is in exactly one of these sections, in all versions of the format.

mod folder;

use bilro_compiler::faults::{self, Fault};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ndarray::{ArrayD, ArrayViewD, Axis, Ix2, Slice};
use safetensors::tensor::Dtype;

use crate::error::{Error, Result};
use crate::io::header::{Header, LENGTH, METADATA, Malformed};
use crate::io::replace::replace;
use crate::io::source;

pub(crate) use folder::{file_name, list, newest, prune};

/// The version of the format; other versions are rejected.
const VERSION: u32 = 1;

/// The key of the version.
pub(crate) const FORMAT: &str = "bilro.checkpoint";

/// The name of the tensor of checksums.
const CHECKSUMS: &str = "checksums";

/// Counters are below this limit, so that sums of a few do not overflow.
const COUNTER_LIMIT: u64 = 1 << 53;

/// Elements written at once; at least one row.
const CHUNK: usize = 1 << 16;

/// The values of a tensor.
pub(crate) enum Values<'a> {
    F32(ArrayViewD<'a, f32>),
    F32Vec(Vec<f32>),
    /// With the shape.
    F64([usize; 2], Vec<f64>),
    U32(Vec<u32>),
}

impl Values<'_> {
    fn shape(&self) -> Vec<usize> {
        match self {
            Values::F32(view) => view.shape().to_vec(),
            Values::F64(shape, _) => shape.to_vec(),
            Values::F32Vec(values) => vec![values.len()],
            Values::U32(values) => vec![values.len()],
        }
    }

    fn dtype(&self) -> (&'static str, usize) {
        match self {
            Values::F32(_) | Values::F32Vec(_) => ("F32", 4),
            Values::F64(..) => ("F64", 8),
            Values::U32(_) => ("U32", 4),
        }
    }
}

/// The contents of a checkpoint to be written.
#[derive(Default)]
pub(crate) struct Draft<'a> {
    texts: BTreeMap<String, String>,
    tensors: Vec<(String, Values<'a>)>,
}

impl<'a> Draft<'a> {
    pub fn text(&mut self, key: &str, value: impl ToString) {
        self.texts.insert(key.into(), value.to_string());
    }

    /// Adds a tensor; its name must be unique.
    pub fn tensor(&mut self, name: impl Into<String>, values: Values<'a>) {
        self.tensors.push((name.into(), values));
    }

    /// The header, with its length.
    fn header(&self) -> Vec<u8> {
        let mut texts: serde_json::Map<_, _> =
            self.texts.iter().map(|(key, text)| (key.clone(), text.as_str().into())).collect();
        texts.insert(FORMAT.into(), VERSION.to_string().into());
        texts.insert("bilro".into(), env!("CARGO_PKG_VERSION").into());
        let mut header = format!("{{\"{METADATA}\":{}", serde_json::Value::Object(texts));
        let mut start = 0;
        let mut add = |name: &str, dtype: (&str, usize), shape: &[usize]| {
            let end = start + shape.iter().product::<usize>() * dtype.1;
            let name = serde_json::Value::from(name);
            let dtype = dtype.0;
            header += &format!(
                ",{name}:{{\"dtype\":\"{dtype}\",\"shape\":{shape:?},\"data_offsets\":[{start},{end}]}}"
            );
            start = end;
        };
        for (name, values) in &self.tensors {
            add(name, values.dtype(), &values.shape());
        }
        add(CHECKSUMS, ("U32", 4), &[self.tensors.len() + 2]);
        header.push('}');
        // Tensors begin at a multiple of eight bytes.
        while !header.len().is_multiple_of(8) {
            header.push(' ');
        }
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes
    }

    /// Writes the file; see [`replace`].
    pub fn write(mut self, path: &Path) -> Result<()> {
        // Larger elements first: each tensor is aligned to its elements.
        self.tensors.sort_by_key(|(_, values)| std::cmp::Reverse(values.dtype().1));
        replace(path, |file| {
            let mut section = Section { file, checksum: crc32fast::Hasher::new() };
            let mut checksums = Vec::new();
            section.write_all(&self.header())?;
            checksums.push(section.end());
            for (_, values) in &self.tensors {
                section.values(values)?;
                checksums.push(section.end());
            }
            section.values(&Values::U32(checksums))?;
            let last = section.end();
            section.write_all(&last.to_le_bytes())
        })
    }
}

/// A section of a file as it is written.
struct Section<'w> {
    file: &'w mut dyn Write,
    checksum: crc32fast::Hasher,
}

impl Section<'_> {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.checksum.update(bytes);
        self.file.write_all(bytes)
    }

    /// Ends the section; returns its checksum, and the next section begins.
    fn end(&mut self) -> u32 {
        std::mem::take(&mut self.checksum).finalize()
    }

    fn values(&mut self, values: &Values<'_>) -> io::Result<()> {
        match values {
            Values::F32(view) => self.floats(view.view()),
            Values::F32Vec(values) => self.numbers(values, f32::to_le_bytes),
            Values::F64(_, values) => self.numbers(values, f64::to_le_bytes),
            Values::U32(values) => self.numbers(values, u32::to_le_bytes),
        }
    }

    fn numbers<T: bytemuck::NoUninit, const N: usize>(
        &mut self,
        values: &[T],
        bytes: impl Fn(T) -> [u8; N],
    ) -> io::Result<()> {
        for chunk in values.chunks(CHUNK) {
            if cfg!(target_endian = "little") {
                self.write_all(bytemuck::cast_slice(chunk))?;
            } else {
                let bytes: Vec<u8> = chunk.iter().flat_map(|x| bytes(*x)).collect();
                self.write_all(&bytes)?;
            }
        }
        Ok(())
    }

    /// Writes an array row by row, for any strides.
    fn floats(&mut self, view: ArrayViewD<'_, f32>) -> io::Result<()> {
        if let Some(values) = view.as_slice() {
            return self.numbers(values, f32::to_le_bytes);
        }
        // A view without axes is contiguous.
        let rows = view.len_of(Axis(0));
        let in_row = (view.len() / rows.max(1)).max(1);
        let at_once = (CHUNK / in_row).max(1);
        let mut block = Vec::new();
        for start in (0..rows).step_by(at_once) {
            let end = rows.min(start + at_once);
            let rows = view.slice_axis(Axis(0), Slice::from(start..end));
            match rows.view().into_dimensionality::<Ix2>() {
                // The weight of a linear layer is transposed in memory: its columns are read
                // sequentially, into the rows of a block that fits the cache.
                Ok(rows) if rows.strides()[1] != 1 => {
                    block.clear();
                    block.resize(rows.len(), 0.0);
                    for (i, column) in rows.columns().into_iter().enumerate() {
                        let elements = block[i..].iter_mut().step_by(in_row);
                        elements.zip(column).for_each(|(element, x)| *element = *x);
                    }
                }
                _ => {
                    block.clear();
                    block.extend(&rows);
                }
            }
            self.numbers(&block, f32::to_le_bytes)?;
        }
        Ok(())
    }
}

/// A checkpoint that has been read and agrees with its checksums.
pub(crate) struct Checkpoint {
    path: PathBuf,
    bytes: Vec<u8>,
    header: Header,
}

impl Checkpoint {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read or has another version, [`Error::Damaged`] if it
    /// is not a checkpoint or disagrees with its checksums.
    pub fn open(path: &Path) -> Result<Checkpoint> {
        let unreadable =
            |e| Error::File { path: path.into(), message: format!("cannot be read: {e}") };
        let bytes = source::plain(&path).and_then(source::Contents::all).map_err(unreadable)?;
        Checkpoint::from_bytes(path, bytes)
    }

    fn from_bytes(path: &Path, bytes: Vec<u8>) -> Result<Checkpoint> {
        let malformed = |fault: Malformed| damaged(path, fault.offset, fault.message);
        let header = Header::parse(&bytes).map_err(malformed)?;
        verify(path, &bytes, &header)?;
        let file = Checkpoint { path: path.into(), header, bytes };
        let version = file.text(FORMAT)?;
        match version.parse() {
            Ok(VERSION) => Ok(file),
            _ => Err(file.rejected(format!(
                "is a checkpoint of version {version}, and this program reads version {VERSION}: \
                 it was written by bilro {}, and this is bilro {}",
                file.text("bilro").unwrap_or("of another version"),
                env!("CARGO_PKG_VERSION"),
            ))),
        }
    }

    fn rejected(&self, message: String) -> Error {
        Error::File { path: self.path.clone(), message }
    }

    /// An error about the values of a tensor, or about the texts.
    pub fn damaged(&self, tensor: Option<&str>, message: impl Into<String>) -> Error {
        let info = tensor.and_then(|name| self.header.info(name));
        let offset = info.map_or(LENGTH, |info| info.range.start);
        damaged(&self.path, offset, message.into())
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it has a text of this key.
    pub fn has(&self, key: &str) -> bool {
        self.header.texts.contains_key(key)
    }

    pub fn text(&self, key: &str) -> Result<&str> {
        let text = self.header.texts.get(key).map(String::as_str);
        text.ok_or_else(|| self.damaged(None, format!("it has no text `{key}`")))
    }

    /// A text that is a number.
    pub fn number<T: FromStr>(&self, key: &str) -> Result<T> {
        let text = self.text(key)?;
        text.parse().map_err(|_| self.unexpected(key, "an integer"))
    }

    /// A text that is a counter.
    pub fn count<T: TryFrom<u64>>(&self, key: &str) -> Result<T> {
        let number = self.number(key).ok().filter(|number| *number < COUNTER_LIMIT);
        let count = number.and_then(|number| T::try_from(number).ok());
        count.ok_or_else(|| self.unexpected(key, "a counter"))
    }

    /// A text that is `true` or `false`.
    pub fn flag(&self, key: &str) -> Result<bool> {
        self.number(key).map_err(|_| self.unexpected(key, "`true` or `false`"))
    }

    /// The error for a text with an unexpected value.
    fn unexpected(&self, key: &str, expected: &str) -> Error {
        match self.text(key) {
            Ok(text) => self.damaged(None, format!("`{key}` must be {expected}, but is `{text}`")),
            Err(error) => error,
        }
    }

    /// Names and shapes of the tensors with this prefix, which is removed from the names.
    pub fn tensors<'f>(&'f self, prefix: &str) -> impl Iterator<Item = (&'f str, &'f [usize])> {
        let tensors = self.header.tensors.iter();
        tensors.filter_map(move |info| Some((info.name.strip_prefix(prefix)?, &info.shape[..])))
    }

    /// Shape and bytes of a tensor, which must have this type.
    fn tensor(&self, name: &str, dtype: Dtype) -> Result<(&[usize], &[u8])> {
        let Some(info) = self.header.info(name) else {
            return Err(self.damaged(None, format!("it has no tensor `{name}`")));
        };
        if info.dtype != dtype {
            let message = format!("`{name}` must hold {dtype}, but holds {}", info.dtype);
            return Err(self.damaged(Some(name), message));
        }
        Ok((&info.shape, &self.bytes[info.range.clone()]))
    }

    /// Requires a tensor to have this shape.
    fn require_shape(&self, name: &str, found: &[usize], expected: &[usize]) -> Result<()> {
        match found == expected {
            true => Ok(()),
            false => {
                let message = format!("`{name}` must be {expected:?}, but is {found:?}");
                Err(self.damaged(Some(name), message))
            }
        }
    }

    /// The array of this name, which must have this shape.
    pub fn array(&self, name: &str, shape: &[usize]) -> Result<ArrayD<f32>> {
        let (found, bytes) = self.tensor(name, Dtype::F32)?;
        self.require_shape(name, found, shape)?;
        let values = numbers(bytes, f32::from_le_bytes);
        Ok(ArrayD::from_shape_vec(shape, values)
            .expect("the header has been compared with the shapes"))
    }

    /// A tensor with one axis.
    pub fn floats(&self, name: &str) -> Result<Vec<f32>> {
        let (found, bytes) = self.tensor(name, Dtype::F32)?;
        let values = numbers(bytes, f32::from_le_bytes);
        self.require_shape(name, found, &[values.len()])?;
        Ok(values)
    }

    /// A tensor with two axes, the second of this size.
    pub fn rows(&self, name: &str, in_row: usize) -> Result<Vec<f64>> {
        let (found, bytes) = self.tensor(name, Dtype::F64)?;
        self.require_shape(name, found, &[found.first().copied().unwrap_or(0), in_row])?;
        Ok(numbers(bytes, f64::from_le_bytes))
    }

    /// A tensor with one axis of this size.
    pub fn words(&self, name: &str, length: usize) -> Result<Vec<u32>> {
        let (found, bytes) = self.tensor(name, Dtype::U32)?;
        self.require_shape(name, found, &[length])?;
        Ok(numbers(bytes, u32::from_le_bytes))
    }
}

/// Compares every section of a file with its checksum.
///
/// # Errors
/// [`Error::Damaged`] if one differs, or the file has no checksums.
pub(crate) fn verify(path: &Path, bytes: &[u8], header: &Header) -> Result<()> {
    let last = header.tensors.last().filter(|info| {
        let is_of_sections = info.shape == [header.tensors.len() + 1];
        info.name == CHECKSUMS && info.dtype == Dtype::U32 && is_of_sections
    });
    let Some(table) = last else {
        let hint = match header.texts.contains_key("network") {
            true => " (`Model::load` reads files of parameters)",
            false => "",
        };
        return Err(damaged(path, LENGTH, format!("it has no checksums of its sections{hint}")));
    };
    let table = table.range.clone();
    let checksums = numbers(&bytes[table.clone()], u32::from_le_bytes);
    let (last, of_sections) = checksums.split_last().expect("it has at least two");
    let expect = |name: &str, range: Range<usize>, expected: u32| {
        let found = crc32fast::hash(&bytes[range.clone()]);
        if found == expected || faults::is(Fault::UncheckedChecksum) {
            return Ok(());
        }
        let message = format!(
            "{name}, bytes {} to {}, is not what was written (its checksum must be \
             {expected:08x}, but is {found:08x})",
            range.start,
            range.end.saturating_sub(1)
        );
        Err(damaged(path, range.start, message))
    };
    expect("the list of checksums", table.start..table.end - size_of::<u32>(), *last)?;
    expect("the header", 0..header.start, of_sections[0])?;
    for (info, expected) in header.tensors.iter().zip(&of_sections[1..]) {
        expect(&format!("`{}`", info.name), info.range.clone(), *expected)?;
    }
    Ok(())
}

fn numbers<T, const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|x| number(*x)).collect()
}

fn damaged(path: &Path, offset: usize, message: String) -> Error {
    Error::Damaged { path: path.into(), offset: offset as u64, message }
}

#[cfg(test)]
mod tests;
