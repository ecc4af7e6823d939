//! numpy's files: `.npy`, an array, and `.npz`, a zip archive of them under names.
//!
//! Takes a path and gives an array, or the other way round. Guaranteed: arrays are in row-major
//! order after reading, whatever the file's is; types are never converted.

use super::replace::replace;
use crate::{Error, Result};
use ndarray::{Array, ArrayBase, ArrayRef, Data, Dimension};
use ndarray_npy::{
    NpzReader, NpzWriter, ReadNpyError, ReadNpyExt, ReadableElement, WritableElement, WriteNpyExt,
    WriteNpzError,
};
use std::fmt::Display;
use std::fs::File;
use std::io::{BufRead, BufReader, Cursor};
use std::path::Path;

/// Reads the array of a `.npy` file, as `numpy.save` writes it.
///
/// # Errors
///
/// [`Error::File`] if the file cannot be read, is damaged, or holds another type or number of axes:
/// both are asked for by the type of the result.
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
pub fn read_npy<A: ReadableElement + Copy, D: Dimension>(
    path: impl AsRef<Path>,
) -> Result<Array<A, D>> {
    let path = path.as_ref();
    let file = File::open(path).map_err(|error| wrong(path, error))?;
    let length = file.metadata().map_err(|error| wrong(path, error))?.len();
    let mut file = BufReader::new(file);
    // The reader makes room for what the header says before it looks for it.
    let header = file.fill_buf().map_err(|error| wrong(path, error))?;
    if let Some(sizes) = shape_in(header) {
        let elements = sizes.iter().try_fold(1u64, |product, size| product.checked_mul(*size));
        if elements.is_none_or(|elements| elements > length) {
            let message = format!(
                "its header says that it holds an array of shape {sizes:?}, but the file has {length} bytes"
            );
            return Err(wrong(path, message));
        }
    }
    let array = Array::<A, D>::read_npy(file);
    array.map(row_major).map_err(|error| wrong(path, said::<A>(&error)))
}

/// Writes an array to a `.npy` file, replacing one that is there as a whole or not at all.
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
pub fn npz_names(path: impl AsRef<Path>) -> Result<Vec<String>> {
    let path = path.as_ref();
    archive(path)?.names().map_err(|error| wrong(path, error))
}

/// Reads the array with this name from a `.npz` file, as `numpy.savez` and
/// `numpy.savez_compressed` write it.
///
/// # Errors
///
/// [`Error::File`] if the file cannot be read, is damaged, has no such array, or has one of another
/// type or number of axes: both are asked for by the type of the result.
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
pub fn read_npz<A: ReadableElement + Copy, D: Dimension>(
    path: impl AsRef<Path>,
    name: &str,
) -> Result<Array<A, D>> {
    use ndarray_npy::ReadNpzError::{Npy, Zip};
    let path = path.as_ref();
    let mut archive = archive(path)?;
    let known = archive.names().map_err(|error| wrong(path, error))?;
    if !known.iter().any(|known| known == name) {
        let message = format!("there is no array `{name}`; there are {}", known.join(", "));
        return Err(wrong(path, message));
    }
    archive.by_name(name).map(row_major).map_err(|error| match error {
        Npy(error) => wrong(path, format!("`{name}`: {}", said::<A>(&error))),
        Zip(error) => wrong(path, format!("`{name}`: {error}")),
    })
}

/// An array that [`write_npz`] takes: owned or a view, with any number of axes, of any type that
/// numpy has.
pub trait NpzArray {
    #[doc(hidden)]
    fn add(&self, name: &str, archive: &mut Archive) -> Result<(), WriteNpzError>;
}

impl<S, D> NpzArray for ArrayBase<S, D>
where
    S: Data,
    S::Elem: WritableElement,
    D: Dimension,
{
    fn add(&self, name: &str, archive: &mut Archive) -> Result<(), WriteNpzError> {
        archive.add_array(name, &self.view())
    }
}

type Archive = NpzWriter<Cursor<Vec<u8>>>;

/// Writes arrays, each under a name, to a compressed `.npz` file, as `numpy.savez_compressed` does,
/// replacing one that is there as a whole or not at all. See [`read_npz`] for an example.
///
/// # Errors
///
/// [`Error::File`] if the file cannot be written, or two arrays have one name.
pub fn write_npz(path: impl AsRef<Path>, arrays: &[(&str, &dyn NpzArray)]) -> Result<()> {
    let path = path.as_ref();
    for (i, (name, _)) in arrays.iter().enumerate() {
        if arrays[..i].iter().any(|(earlier, _)| earlier == name) {
            return Err(wrong(path, format!("two arrays have the name `{name}`")));
        }
    }
    let mut archive = NpzWriter::new_compressed(Cursor::new(Vec::new()));
    for (name, array) in arrays {
        array.add(name, &mut archive).map_err(|error| wrong(path, format!("`{name}`: {error}")))?;
    }
    let archive = archive.finish().map_err(|error| wrong(path, error))?;
    replace(path, |file| file.write_all(archive.get_ref()))
}

fn archive(path: &Path) -> Result<NpzReader<BufReader<File>>> {
    let file = File::open(path).map_err(|error| wrong(path, error))?;
    NpzReader::new(BufReader::new(file)).map_err(|error| wrong(path, error))
}

/// The shape that a header names; `None` where it is not found: what is wrong
/// with it, the reader says. An element takes a byte at least.
fn shape_in(header: &[u8]) -> Option<Vec<u64>> {
    let text = header.strip_prefix(b"\x93NUMPY")?;
    let text = String::from_utf8_lossy(text);
    let (_, shape) = text.split_once("'shape'")?;
    let (_, shape) = shape.split_once('(')?;
    let (shape, _) = shape.split_once(')')?;
    let sizes = shape.split(',').map(str::trim).filter(|size| !size.is_empty());
    sizes.map(|size| size.parse().ok()).collect()
}

/// What a reader says, in the words of this library where it speaks of the caller's types.
fn said<A>(error: &ReadNpyError) -> String {
    match error {
        ReadNpyError::WrongNdim(Some(expected), found) => {
            format!("expected an array with {expected} axes, but found one with {found}")
        }
        ReadNpyError::WrongDescriptor(found) => {
            format!("expected elements of type {}, but found {found}", std::any::type_name::<A>())
        }
        error => error.to_string(),
    }
}

fn row_major<A: Copy, D: Dimension>(array: Array<A, D>) -> Array<A, D> {
    if array.is_standard_layout() { array } else { array.as_standard_layout().into_owned() }
}

fn wrong(path: &Path, message: impl Display) -> Error {
    Error::File { path: path.into(), message: message.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::file::tests::Folder;
    use ndarray::{Array1, Array2, Array3, ArrayD, array};

    /// `numpy.save(path, numpy.asfortranarray([[1, 2, 3], [4, 5, 6]], dtype="f4"))`, numpy 2.4.
    fn by_numpy() -> Vec<u8> {
        let header = "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }";
        let mut file = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
        file.extend(format!("{header:<117}\n").bytes());
        [1f32, 4., 2., 5., 3., 6.].iter().for_each(|x| file.extend(x.to_le_bytes()));
        file
    }

    #[test]
    fn numpys_files_are_read_row_major() {
        let folder = Folder::new("npy-numpy");
        let array: Array2<f32> = read_npy(folder.write("file", by_numpy())).unwrap();
        assert_eq!(array, array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
        assert!(array.is_standard_layout());
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = Folder::new("npy");
        let path = folder.path().join("file.npy");
        let reals = Array3::from_shape_fn((2, 3, 4), |(i, j, k)| (i * 100 + j * 10 + k) as f64);
        write_npy(&path, &reals).unwrap();
        assert_eq!(read_npy::<f64, _>(&path).unwrap(), reals);
        assert_eq!(read_npy::<f64, _>(&path).unwrap(), reals.clone().into_dyn());
        write_npy(&path, &reals.t()).unwrap();
        assert_eq!(read_npy::<f64, _>(&path).unwrap(), reals.t());
        write_npy(&path, &array![-1i64, 7]).unwrap();
        assert_eq!(read_npy::<i64, _>(&path).unwrap(), array![-1, 7]);

        let path = folder.path().join("file.npz");
        let (a, b) = (array![1.5f32].into_dyn(), ArrayD::<f32>::zeros(vec![2, 0]));
        let turned = array![[1u8, 2], [3, 4]];
        write_npz(&path, &[("fc1.weight", &a), ("b", &b.view()), ("t", &turned.t())]).unwrap();
        assert_eq!(npz_names(&path).unwrap(), ["fc1.weight", "b", "t"]);
        assert_eq!(read_npz::<u8, _>(&path, "t").unwrap(), turned.t());
        assert_eq!(read_npz::<f32, _>(&path, "fc1.weight").unwrap(), a);
        assert_eq!(read_npz::<f32, _>(&path, "b").unwrap(), b);
    }

    #[test]
    fn what_does_not_fit_is_an_error_of_the_file() {
        let folder = Folder::new("npy-errors");
        let good = by_numpy();
        let path = folder.write("file", &good);
        let named = |error: Error, message: &str| {
            let error = error.to_string();
            assert!(error.starts_with(&path.display().to_string()), "{error}");
            assert!(error.contains(message), "{error}");
        };
        let axes = "expected an array with 1 axes, but found one with 2";
        named(read_npy::<f32, ndarray::Ix1>(&path).unwrap_err(), axes);
        let kind = "expected elements of type u32, but found '<f4'";
        named(read_npy::<u32, ndarray::Ix2>(&path).unwrap_err(), kind);
        folder.write("file", &good[..good.len() - 1]);
        named(read_npy::<f32, ndarray::Ix2>(&path).unwrap_err(), "EOF");
        folder.write("file", [&good[..], &[0]].concat());
        named(read_npy::<f32, ndarray::Ix2>(&path).unwrap_err(), "1 extra bytes");
        // Room is made for no more than the file can hold.
        for sizes in ["1099511627776,", "4294967296, 4294967296, 4294967296", "200,"] {
            let mut header =
                format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({sizes}), }}");
            header += &format!("{:>1$}", '\n', 118 - header.len());
            let file = [&b"\x93NUMPY\x01\x00\x76\x00"[..], header.as_bytes(), &[0; 8]].concat();
            folder.write("file", file);
            let shape = format!("[{}]", sizes.trim_end_matches(','));
            named(read_npy::<f32, ndarray::IxDyn>(&path).unwrap_err(), &shape);
        }
        folder.write("file", "nothing of the kind");
        named(read_npy::<f32, ndarray::Ix2>(&path).unwrap_err(), "");
        named(npz_names(&path).unwrap_err(), "");
        let a = Array1::<f32>::zeros(1);
        named(write_npz(&path, &[("a", &a), ("a", &a)]).unwrap_err(), "`a`");
        write_npz(&path, &[("a", &a), ("b", &a)]).unwrap();
        let missing = "there is no array `c`; there are a, b";
        named(read_npz::<f32, ndarray::Ix1>(&path, "c").unwrap_err(), missing);
        let axes = "`a`: expected an array with 2 axes, but found one with 1";
        named(read_npz::<f32, ndarray::Ix2>(&path, "a").unwrap_err(), axes);
        let nowhere = read_npy::<f32, ndarray::Ix1>("no/such/file").unwrap_err().to_string();
        assert!(nowhere.starts_with("no/such/file: "), "{nowhere}");
    }
}
