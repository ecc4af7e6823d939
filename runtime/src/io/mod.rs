//! Files of arrays: safetensors, and NumPy's `.npy` and `.npz`.
//!
//! [`save_tensors`] and [`load_tensors`] write and read any arrays, by name, in
//! the format [safetensors](https://huggingface.co/docs/safetensors), which
//! PyTorch, JAX and NumPy also read and write. The weights of a network have
//! their own methods, [`Model::save`](crate::Model::save) and
//! [`Model::load`](crate::Model::load), which use the same format.
//!
//! With the feature `npy`, arrays of any type are written to and read from NumPy's
//! own files, `.npy` and `.npz`; an error names the file, and for an archive the
//! array in it.
//!
//! Reading has a limit, so that time and memory are bounded by the length of the
//! file: the contents, decompressed, may have 32 times as many bytes as the file, or
//! 256 MiB if that is more. [`with_limit`] sets another limit.
//!
//! Files are replaced atomically: a file is written under another name in the same
//! folder, and renamed when it is complete. Missing folders are created. Symbolic
//! links are followed: the file that they point to is written. Unfinished files of
//! killed processes, `.bilro-….tmp`, are removed when the next file is written to
//! the same folder.

pub(crate) mod checkpoint;
#[cfg(test)]
pub(crate) mod folder;
mod header;
#[cfg(feature = "npy")]
mod npy;
pub(crate) mod replace;
pub(crate) mod source;
pub(crate) mod tensors;

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::{ArrayBase, ArrayD, Data, Dimension};

use crate::error::Result;

#[cfg(feature = "npy")]
pub use ndarray_npy::WritableElement;
#[cfg(feature = "npy")]
pub use npy::{NpyElement, NpzArray, npz_names, read_npy, read_npz, write_npy, write_npz};
pub use source::{Source, WithLimit, with_limit};

/// Writes arrays by name, as F32 in row-major order.
///
/// ```
/// use bilro::io;
/// use bilro::ndarray::array;
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("points.safetensors");
/// # let path = path.to_str().unwrap();
/// # /*
/// let path = "points.safetensors";
/// # */
/// let points = array![[0.0, 0.5], [1.0, 1.5], [2.0, 2.5]];
/// io::save_tensors(path, [("points", points.view())])?;
///
/// let tensors = io::load_tensors(path)?;
/// assert_eq!(tensors["points"], points.into_dyn());
/// # Ok::<(), bilro::Error>(())
/// ```
///
/// # Errors
/// [`Error::File`](crate::Error::File) if the file cannot be written, or two arrays
/// have the same name; then an existing file is unchanged.
pub fn save_tensors<N, S, D>(
    path: impl AsRef<Path>,
    tensors: impl IntoIterator<Item = (N, ArrayBase<S, D>)>,
) -> Result<()>
where
    N: Into<String>,
    S: Data<Elem = f32>,
    D: Dimension,
{
    let tensors: Vec<_> = tensors.into_iter().map(|(name, x)| (name.into(), x)).collect();
    let views = tensors.iter().map(|(name, x)| (name.as_str(), x.view().into_dyn()));
    tensors::write(path.as_ref(), views.collect(), &[])
}

/// All arrays of a file, by name. F64, F16 and BF16 are converted to `f32`, rounded to
/// nearest.
///
/// # Errors
/// [`Error::File`](crate::Error::File) if the file cannot be read, is not a
/// safetensors file, or does not hold floating point numbers.
pub fn load_tensors(path: impl Source) -> Result<BTreeMap<String, ArrayD<f32>>> {
    tensors::File::open(&path)?.all()
}

/// Renames layers. For [`Model::load_renamed`](crate::Model::load_renamed), pairs of a
/// name in the file and one in the network; for
/// [`Model::save_renamed`](crate::Model::save_renamed), the other way round. Other
/// names are unchanged.
///
/// ```
/// let rename = bilro::io::rename_layers([("0", "fc1"), ("2", "fc2")]);
/// assert_eq!(rename("2.weight"), "fc2.weight");
/// assert_eq!(rename("20.weight"), "20.weight");
/// ```
pub fn rename_layers<A, B>(pairs: impl IntoIterator<Item = (A, B)>) -> impl Fn(&str) -> String
where
    A: Into<String>,
    B: Into<String>,
{
    let pairs: Vec<(String, String)> =
        pairs.into_iter().map(|(from, to)| (from.into(), to.into())).collect();
    move |name| {
        let renamed = pairs.iter().find_map(|(from, to)| {
            let suffix = name.strip_prefix(from.as_str())?;
            (suffix.is_empty() || suffix.starts_with('.')).then(|| format!("{to}{suffix}"))
        });
        renamed.unwrap_or_else(|| name.to_string())
    }
}
