//! NumPy's files: `.npy`, an array, and `.npz`, a zip archive of named arrays.
//!
//! Reads an array from a path, and writes one to it. Guaranteed: arrays are in row-major order
//! after reading, whatever the file's order is; values are changed only by rounding; and the memory
//! taken is bounded by the contents of the file.
//!
//! Files are read by strict parsers of headers and archives, whose time is linear in the length of
//! the file, and written by `ndarray-npy`. (The header parser of that crate takes four times as
//! long for every two levels of brackets, and its archive reader a minute for a megabyte of
//! repeated end records.)

use super::replace::replace;
use super::source::{self, Limit, Source};
use crate::error::{nearest, there_are};
use crate::{Error, Result};
use archive::Archive;
use header::Header;
use ndarray::{Array, ArrayBase, ArrayRef, Data, Dimension, ShapeBuilder};
use ndarray_npy::{NpzWriter, WritableElement, WriteNpyExt, WriteNpzError};
use std::fmt::Display;
use std::io::{Cursor, Read};
use std::path::Path;

mod archive;
mod element;
mod header;
#[cfg(test)]
mod tests;

pub use element::NpyElement;

/// Reads the array of a `.npy` file, as `numpy.save` writes it.
///
/// All numeric types can be read as [`f32`] or [`f64`]: `float64` is rounded to the nearest `f32`,
/// integers must be exact. Integers of any width can be read as those of any other width if all of
/// them fit: NumPy's `int64` labels as `u32`.
///
/// # Errors
///
/// [`Error::File`] if the file cannot be read, is damaged, or has another type or number of axes
/// than the result.
///
/// ```
/// use bilro::io;
/// use ndarray::{Array2, array};
///
/// let path = std::env::temp_dir().join("bilro-example.npy");
/// io::write_npy(&path, &array![[1.0f32, 2.0], [3.0, 4.0]])?;
/// let array: Array2<f32> = io::read_npy(&path)?;
/// assert_eq!(array[[1, 0]], 3.0);
/// # std::fs::remove_file(path).unwrap();
/// # Ok::<(), bilro::Error>(())
/// ```
pub fn read_npy<A: NpyElement, D: Dimension>(path: impl Source) -> Result<Array<A, D>> {
    let wrong = |message: String| wrong(path.path(), message);
    let contents = source::plain(&path).map_err(|error| wrong(error.to_string()))?;
    let (length, limit) = (contents.length(), contents.limit());
    array(contents, length, length.is_some(), limit).map_err(wrong)
}

/// Reads the array of a file of this length, or up to the limit. `is_complete` is whether the file is
/// known to have so many bytes: otherwise no memory is allocated for bytes before they are read.
fn array<A: NpyElement, D: Dimension>(
    mut file: impl Read,
    length: Option<u64>,
    is_complete: bool,
    limit: Limit,
) -> Result<Array<A, D>, String> {
    let header = Header::read(&mut file)?;
    header.elements.check::<A>()?;
    let (expected, found) = (D::NDIM, header.shape.len());
    if let Some(expected) = expected.filter(|expected| *expected != found) {
        return Err(format!("expected an array with {expected} axes, but found one with {found}"));
    }
    let count = super::tensors::is_valid_shape(&header.shape)
        .then(|| header.shape.iter().product::<usize>());
    let bytes = count.and_then(|count| (count as u64).checked_mul(header.elements.size as u64));
    let Some((count, bytes)) = count.zip(bytes) else {
        let shape = &header.shape;
        return Err(format!("offset 8: the shape {shape:?} is too large for an array"));
    };
    let start = header.length;
    let available = length.map(|length| length.saturating_sub(start));
    match available {
        Some(available) if available < bytes => {
            return Err(format!(
                "offset {start}: the array of shape {:?} takes {bytes} bytes, but the file has \
                 {available} after its header: it is incomplete",
                header.shape
            ));
        }
        Some(available) if available > bytes => {
            let (end, more) = (start + bytes, available - bytes);
            return Err(format!("offset {end}: there are {more} extra bytes after the array"));
        }
        _ => {}
    }
    limit.check(bytes).map_err(|error| format!("offset {start}: {error}"))?;
    let position = |index| header.position(index);
    let elements = header.elements.read::<A>(&mut file, start, count, is_complete, position)?;
    // An entry of an archive may be longer than stated, and pipes have no length.
    let end = start + bytes;
    if file.read(&mut [0]).map_err(|error| format!("offset {end}: {error}"))? > 0 {
        return Err(format!("offset {end}: there are extra bytes after the array"));
    }
    let mut shape = D::zeros(found);
    shape.slice_mut().copy_from_slice(&header.shape);
    let array = Array::from_shape_vec(shape.set_f(header.is_column_major), elements);
    array.map(row_major).map_err(|error| error.to_string())
}

/// Writes an array to a `.npy` file, replacing an existing one atomically.
///
/// # Errors
///
/// [`Error::File`] if the file cannot be written.
pub fn write_npy<A: WritableElement, D: Dimension>(
    path: impl AsRef<Path>,
    array: &ArrayRef<A, D>,
) -> Result<()> {
    replace(path.as_ref(), |file| array.view().write_npy(file).map_err(std::io::Error::other))
}

/// The names of the arrays in a `.npz` file, in its order.
///
/// # Errors
///
/// [`Error::File`] if the file cannot be read as an archive.
pub fn npz_names(path: impl Source) -> Result<Vec<String>> {
    Archive::open(&path)
        .map(|archive| archive.names())
        .map_err(|message| wrong(path.path(), message))
}

/// Reads the array with this name from a `.npz` file, as `numpy.savez` and
/// `numpy.savez_compressed` write it. Types are those of [`read_npy`].
///
/// An array, decompressed, is limited to 32 times the length of the file, or 256 MiB if that is
/// more; [`io::with_limit`](crate::io::with_limit) sets another limit.
///
/// # Errors
///
/// [`Error::File`] if the file cannot be read, is damaged, has no such array, has one of another
/// type or number of axes than the result, or one beyond its limit.
///
/// ```
/// use bilro::io;
/// use ndarray::{Array1, array};
///
/// let path = std::env::temp_dir().join("bilro-example.npz");
/// let (x, y) = (array![[0.5f32, 1.0], [2.0, 0.0]], array![1u32, 0]);
/// io::write_npz(&path, &[("x", &x), ("y", &y)])?;
/// let labels: Array1<u32> = io::read_npz(&path, "y")?;
/// assert_eq!(labels, y);
/// # std::fs::remove_file(path).unwrap();
/// # Ok::<(), bilro::Error>(())
/// ```
pub fn read_npz<A: NpyElement, D: Dimension>(path: impl Source, name: &str) -> Result<Array<A, D>> {
    let wrong = |message: String| wrong(path.path(), message);
    let mut archive = Archive::open(&path).map_err(wrong)?;
    let Some(index) = archive.find(name) else {
        let known = archive.names();
        let near = nearest(name, known.iter().map(String::as_str));
        return Err(wrong(format!("there is no array `{name}`{}", there_are(near, &known))));
    };
    let mut read = || {
        let limit = archive.limit;
        let mut entry = archive.entry(index)?;
        let (length, is_complete) = (Some(entry.length), entry.is_complete);
        let array = array(&mut entry.reader, length, is_complete, limit)?;
        entry.check()?;
        Ok(array)
    };
    read().map_err(|message: String| wrong(format!("`{name}`: {message}")))
}

/// An array for [`write_npz`]: owned or a view, with any number of axes, of any type of NumPy's.
pub trait NpzArray {
    #[doc(hidden)]
    fn add(&self, name: &str, archive: &mut Writer) -> Result<(), WriteNpzError>;
}

impl<S, D> NpzArray for ArrayBase<S, D>
where
    S: Data,
    S::Elem: WritableElement,
    D: Dimension,
{
    fn add(&self, name: &str, archive: &mut Writer) -> Result<(), WriteNpzError> {
        archive.add_array(name, &self.view())
    }
}

/// An archive for writing.
type Writer = NpzWriter<Cursor<Vec<u8>>>;

/// Writes arrays, each under a name, to a compressed `.npz` file, as `numpy.savez_compressed` does,
/// replacing an existing one atomically. See [`read_npz`] for an example.
///
/// # Errors
///
/// [`Error::File`] if the file cannot be written, or two arrays have the same name.
pub fn write_npz(path: impl AsRef<Path>, arrays: &[(&str, &dyn NpzArray)]) -> Result<()> {
    let path = path.as_ref();
    for (i, (name, _)) in arrays.iter().enumerate() {
        if arrays[..i].iter().any(|(earlier, _)| earlier == name) {
            return Err(wrong(path, format!("two arrays have the name `{name}`")));
        }
        if name.len() > MAX_NAME {
            let message = format!(
                "a name has {} bytes, but an archive's have at most {MAX_NAME}",
                name.len()
            );
            return Err(wrong(path, message));
        }
    }
    let mut archive = NpzWriter::new_compressed(Cursor::new(Vec::new()));
    for (name, array) in arrays {
        array.add(name, &mut archive).map_err(|error| wrong(path, format!("`{name}`: {error}")))?;
    }
    let archive = archive.finish().map_err(|error| wrong(path, error))?;
    replace(path, |file| file.write_all(archive.get_ref()))
}

/// The maximum length of a name in bytes: archives store it in 16 bits, with the suffix `.npy`.
const MAX_NAME: usize = u16::MAX as usize - ".npy".len();

fn row_major<A: Copy, D: Dimension>(array: Array<A, D>) -> Array<A, D> {
    if array.is_standard_layout() { array } else { array.as_standard_layout().into_owned() }
}

fn wrong(path: &Path, message: impl Display) -> Error {
    Error::File { path: path.into(), message: message.to_string() }
}
