//! The safetensors format: a header in JSON, then the numbers.
//!
//! Writes named views to a file, and reads a file to named arrays. The same names and
//! values give the same bytes.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ndarray::{ArrayD, ArrayViewD, IxDyn};
use safetensors::tensor::{Dtype, View};

use crate::error::{Error, FLOATS, Result};
use crate::io::checkpoint;
use crate::io::header::{Header, Info, METADATA};
use crate::io::replace::replace;
use crate::io::source::{self, Source};
use crate::memory;

/// An array with the `View` of the safetensors library.
struct Tensor<'a>(ArrayViewD<'a, f32>);

impl View for Tensor<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.0.iter().flat_map(|x| x.to_le_bytes()).collect()
    }

    fn data_len(&self) -> usize {
        self.0.len() * size_of::<f32>()
    }
}

/// Writes a file with these tensors and metadata.
pub(crate) fn write(
    path: &Path,
    tensors: Vec<(&str, ArrayViewD<'_, f32>)>,
    metadata: &[(&str, &str)],
) -> Result<()> {
    let refused = |message: String| Error::File { path: path.into(), message };
    let mut names = BTreeSet::from([METADATA]);
    for (name, _) in &tensors {
        if *name == METADATA {
            return Err(refused(format!("a tensor cannot be named `{METADATA}`")));
        }
        if !names.insert(name) {
            return Err(refused(format!("cannot be written: two tensors are named `{name}`")));
        }
    }
    // The library copies each tensor, and then all copies into one buffer.
    let elements = tensors.iter().map(|(_, view)| view.len()).sum::<usize>();
    memory::check::<f32>(|| format!("writing {}", path.display()), 2 * elements)?;
    let tensors = tensors.into_iter().map(|(name, view)| (name, Tensor(view)));
    let encoded = safetensors::serialize(tensors, None)
        .map_err(|e| refused(format!("cannot be written: {e}")))?;
    let (header, numbers) = split(&encoded)
        .ok_or_else(|| refused("cannot be written: its header is malformed".into()))?;
    let header = with_metadata(header, metadata);
    replace(path, |file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(header.as_bytes())?;
        file.write_all(numbers)
    })
}

/// The header of an encoded file, and the numbers after it.
fn split(encoded: &[u8]) -> Option<(&str, &[u8])> {
    let (length, body) = encoded.split_first_chunk()?;
    let (header, numbers) = body.split_at_checked(u64::from_le_bytes(*length).try_into().ok()?)?;
    Some((std::str::from_utf8(header).ok()?, numbers))
}

/// A header with metadata, sorted by key: the library would write it in a random order.
fn with_metadata(header: &str, metadata: &[(&str, &str)]) -> String {
    if metadata.is_empty() {
        return header.to_string();
    }
    let metadata: serde_json::Map<_, _> =
        metadata.iter().map(|(key, text)| (key.to_string(), (*text).into())).collect();
    let metadata = serde_json::Value::Object(metadata);
    let tensors = header.trim_end().trim_start_matches('{');
    let comma = if tensors == "}" { "" } else { "," };
    let mut header = format!("{{\"{METADATA}\":{metadata}{comma}{tensors}");
    // The numbers after it are aligned to eight bytes.
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    header
}

/// A file that has been read.
pub(crate) struct File {
    path: PathBuf,
    bytes: Vec<u8>,
    header: Header,
}

impl File {
    /// Reads a file.
    pub fn open(source: &impl Source) -> Result<File> {
        let path = source.path();
        let refused = |message: String| Error::File { path: path.into(), message };
        let read = source::plain(source).and_then(source::Contents::all);
        let bytes = read.map_err(|e| refused(format!("cannot be read: {e}")))?;
        let header = Header::parse(&bytes).map_err(|malformed| {
            // `torch.save` writes a zip archive; older versions wrote a pickle.
            let pickled = bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"\x80\x02");
            refused(match pickled {
                true => "offset 0: was written by `torch.save`: write it with \
                         `safetensors.torch.save_file(model.state_dict(), path)` instead"
                    .into(),
                false => format!("is not a safetensors file, or incomplete: {malformed}"),
            })
        })?;
        Ok(File { path: path.into(), bytes, header })
    }

    fn refused(&self, message: String) -> Error {
        Error::File { path: self.path.clone(), message }
    }

    /// Its tensors by name.
    pub fn tensors(&self) -> BTreeMap<&str, &Info> {
        self.header.tensors.iter().map(|info| (info.name.as_str(), info)).collect()
    }

    /// Whether it is a checkpoint, and all as it was written.
    ///
    /// # Errors
    /// [`Error::Damaged`] if it is one and disagrees with its checksums.
    pub fn is_checkpoint(&self) -> Result<bool> {
        let is_marked = self.header.texts.contains_key(checkpoint::FORMAT);
        if is_marked {
            checkpoint::verify(&self.path, &self.bytes, &self.header)?;
        }
        Ok(is_marked)
    }

    /// All of its tensors.
    pub fn all(&self) -> Result<BTreeMap<String, ArrayD<f32>>> {
        let array = |info: &Info| match self.floats(info) {
            Ok(array) => Ok((info.name.clone(), array)),
            Err(found) => Err(self.refused(format!(
                "offset {}: `{}` must hold {FLOATS}, but holds {found}",
                info.range.start, info.name
            ))),
        };
        self.header.tensors.iter().map(array).collect()
    }

    /// A tensor's values; or an error with its type, if it is not a floating point type.
    pub fn floats(&self, info: &Info) -> Result<ArrayD<f32>, String> {
        let bytes = &self.bytes[info.range.clone()];
        let values: Vec<f32> = match info.dtype {
            Dtype::F32 => numbers(bytes, f32::from_le_bytes),
            Dtype::F64 => numbers(bytes, |x| f64::from_le_bytes(x) as f32),
            Dtype::F16 => numbers(bytes, |x| half::f16::from_le_bytes(x).to_f32()),
            Dtype::BF16 => numbers(bytes, |x| half::bf16::from_le_bytes(x).to_f32()),
            other => return Err(other.to_string()),
        };
        let array = ArrayD::from_shape_vec(IxDyn(&info.shape), values);
        Ok(array.expect("the header has as many bytes as the shape needs"))
    }
}

/// Whether an array can have this shape: as ndarray requires, the product of the sizes
/// other than 0 must not overflow `isize`.
pub(crate) fn is_valid_shape(shape: &[usize]) -> bool {
    let mut sizes = shape.iter().filter(|size| **size > 0);
    let product = sizes.try_fold(1usize, |product, size| product.checked_mul(*size));
    product.is_some_and(|product| isize::try_from(product).is_ok())
}

fn numbers<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes.as_chunks::<N>().0.iter().map(|x| number(*x)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_before_tensors_and_keeps_the_alignment() {
        let two = [("network", "A \"b\""), ("format", "pt")];
        let header = with_metadata("{\"x\":{}} ", &two);
        assert_eq!(
            header.trim_end(),
            r#"{"__metadata__":{"format":"pt","network":"A \"b\""},"x":{}}"#
        );
        assert!(header.len().is_multiple_of(8));
        assert_eq!(
            with_metadata("{}", &two[1..]).trim_end(),
            r#"{"__metadata__":{"format":"pt"}}"#
        );
        assert_eq!(with_metadata("{}", &[]), "{}");
    }
}
