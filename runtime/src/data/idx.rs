//! Arrays in IDX files, the format of MNIST.
//!
//! Takes a file, gzipped or not; returns its array, with the type and the shape of its header.
//! Guaranteed: a file that is too short, too long, or not an IDX file is an error with the offset;
//! and the memory taken is bounded by the file's length and by its limit, whatever its header
//! claims.
//!
//! The format: two bytes of zero, a byte for the type, a byte for the number of axes; then the size
//! of each axis in four bytes, then the elements row by row; all numbers are big-endian.
//! (Y. LeCun and others, <http://yann.lecun.com/exdb/mnist/>.)

use super::file::{damaged, open};
use crate::io::Source;
use crate::io::source::Limit;
use crate::{Result, memory};
use ndarray::{ArrayD, IxDyn};
use std::io::Read;

/// The array of an IDX file, with the type of its elements.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Idx {
    /// Type `0x08`.
    U8(ArrayD<u8>),
    /// Type `0x09`.
    I8(ArrayD<i8>),
    /// Type `0x0b`.
    I16(ArrayD<i16>),
    /// Type `0x0c`.
    I32(ArrayD<i32>),
    /// Type `0x0d`.
    F32(ArrayD<f32>),
    /// Type `0x0e`.
    F64(ArrayD<f64>),
}

impl Idx {
    /// The sizes of the array's axes.
    pub fn shape(&self) -> &[usize] {
        match self {
            Idx::U8(x) => x.shape(),
            Idx::I8(x) => x.shape(),
            Idx::I16(x) => x.shape(),
            Idx::I32(x) => x.shape(),
            Idx::F32(x) => x.shape(),
            Idx::F64(x) => x.shape(),
        }
    }

    /// The name of the elements' type in Rust.
    pub fn kind(&self) -> &'static str {
        match self {
            Idx::U8(_) => "u8",
            Idx::I8(_) => "i8",
            Idx::I16(_) => "i16",
            Idx::I32(_) => "i32",
            Idx::F32(_) => "f32",
            Idx::F64(_) => "f64",
        }
    }

    /// The elements as reals; those of 32 and 64 bits are rounded to nearest.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`](crate::Error::Memory) if there is not enough for them.
    pub fn into_reals(self) -> Result<ArrayD<f32>> {
        let elements = match &self {
            Idx::U8(x) => x.len(),
            Idx::I8(x) => x.len(),
            Idx::I16(x) => x.len(),
            Idx::I32(x) => x.len(),
            // Not copied.
            Idx::F32(_) => 0,
            Idx::F64(x) => x.len(),
        };
        memory::check::<f32>(|| "the elements as reals".into(), elements)?;
        Ok(match self {
            Idx::U8(x) => x.mapv(f32::from),
            Idx::I8(x) => x.mapv(f32::from),
            Idx::I16(x) => x.mapv(f32::from),
            Idx::I32(x) => x.mapv(|x| x as f32),
            Idx::F32(x) => x,
            Idx::F64(x) => x.mapv(|x| x as f32),
        })
    }
}

/// Reads an IDX file, gzipped or not.
///
/// # Errors
///
/// [`Error::File`](crate::Error::File) if the file cannot be read, has more contents than its limit
/// ([`io::with_limit`](crate::io::with_limit) sets another), or is not a complete IDX file, with
/// the offset of the error in the decompressed file.
///
/// ```
/// use bilro::data::{self, Idx};
///
/// let path = std::env::temp_dir().join("bilro-example-idx");
/// std::fs::write(&path, [0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 3, 10, 20, 30])?;
/// let Idx::U8(array) = data::idx(&path)? else { panic!("another type") };
/// assert_eq!(array, ndarray::array![[10, 20, 30]].into_dyn());
/// # std::fs::remove_file(path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn idx(path: impl Source) -> Result<Idx> {
    let contents = open(&path)?;
    let limit = contents.limit();
    parse(contents, Some(limit)).map_err(|message| damaged(path.path(), message))
}

/// Parses a decompressed file; an error is a message with its offset.
fn parse(mut file: impl Read, limit: Option<Limit>) -> Result<Idx, String> {
    let [zero, zero2, kind, rank] = word(&mut file, 0, "the magic number")?;
    if [zero, zero2] != [0, 0] {
        return Err(format!(
            "offset 0: an IDX file begins with two bytes of zero, but these are {zero:#04x} and \
             {zero2:#04x}"
        ));
    }
    let width = match kind {
        0x08 | 0x09 => 1,
        0x0b => 2,
        0x0c | 0x0d => 4,
        0x0e => 8,
        _ => {
            return Err(format!(
                "offset 2: expected a type, 0x08, 0x09 or 0x0b to 0x0e, but found {kind:#04x}"
            ));
        }
    };
    let mut offset = 4;
    let mut sizes = Vec::new();
    for axis in 0..rank {
        let size = word(&mut file, offset, &format!("the size of axis {axis}"))?;
        sizes.push(u32::from_be_bytes(size) as usize);
        offset += 4;
    }
    // As ndarray requires, the product of the sizes other than 0 must be below `isize::MAX`.
    let mut elements = sizes.iter().filter(|&&size| size > 0);
    let bytes = elements.try_fold(width, |n: usize, &size| n.checked_mul(size));
    let Some(bytes) = bytes.filter(|&bytes| isize::try_from(bytes).is_ok()) else {
        return Err(format!("offset 4: an array of shape {sizes:?} does not fit into memory"));
    };
    let bytes = if sizes.contains(&0) { 0 } else { bytes };
    if let Some(limit) = limit {
        limit.check(bytes as u64).map_err(|error| format!("offset 4: {error}"))?;
    }
    let data = elements_of(file, offset, bytes, &sizes)?;
    Ok(match kind {
        0x08 => Idx::U8(array(sizes, data)),
        0x09 => Idx::I8(array(sizes, data.into_iter().map(u8::cast_signed).collect())),
        0x0b => Idx::I16(array(sizes, numbers(&data, i16::from_be_bytes))),
        0x0c => Idx::I32(array(sizes, numbers(&data, i32::from_be_bytes))),
        0x0d => Idx::F32(array(sizes, numbers(&data, f32::from_be_bytes))),
        _ => Idx::F64(array(sizes, numbers(&data, f64::from_be_bytes))),
    })
}

/// The next four bytes, which begin at `offset`.
fn word(file: &mut impl Read, offset: usize, what: &str) -> Result<[u8; 4], String> {
    let mut read = Vec::new();
    let result = file.take(4).read_to_end(&mut read);
    let end = offset + read.len();
    result.map_err(|error| format!("offset {end}: {error}"))?;
    let found = read.len();
    read.try_into()
        .map_err(|_| format!("offset {end}: {what} takes 4 bytes, but the file ends after {found}"))
}

/// The remainder of the file, from `offset` on, which must be `bytes` long.
fn elements_of(
    mut file: impl Read,
    offset: usize,
    bytes: usize,
    sizes: &[usize],
) -> Result<Vec<u8>, String> {
    let mut data = Vec::new();
    let result = file.by_ref().take(bytes as u64).read_to_end(&mut data);
    let end = offset + data.len();
    result.map_err(|error| format!("offset {end}: {error}"))?;
    if data.len() < bytes {
        return Err(format!(
            "offset {end}: the elements of an array of shape {sizes:?} take {bytes} bytes, but \
             the file ends after {}",
            data.len()
        ));
    }
    // Reading to the end also checks gzip's checksum.
    let more = file.take(1).read_to_end(&mut Vec::new());
    match more.map_err(|error| format!("offset {end}: {error}"))? {
        0 => Ok(data),
        _ => Err(format!(
            "offset {end}: an array of shape {sizes:?} ends here, but the file continues"
        )),
    }
}

/// Numbers of `N` bytes each.
fn numbers<const N: usize, T>(data: &[u8], number: fn([u8; N]) -> T) -> Vec<T> {
    let (chunks, _) = data.as_chunks::<N>();
    chunks.iter().map(|&bytes| number(bytes)).collect()
}

fn array<T>(sizes: Vec<usize>, data: Vec<T>) -> ArrayD<T> {
    ArrayD::from_shape_vec(IxDyn(&sizes), data).expect("the product of the sizes has been read")
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::file::tests::{Folder, gzip};
    use super::*;
    use ndarray::array;

    /// The bytes of an IDX file.
    pub fn file(kind: u8, sizes: &[u32], data: &[u8]) -> Vec<u8> {
        let mut file = vec![0, 0, kind, sizes.len() as u8];
        sizes.iter().for_each(|size| file.extend(size.to_be_bytes()));
        file.extend(data);
        file
    }

    #[test]
    fn every_type_is_read_big_endian() {
        let read =
            |kind, sizes: &[u32], data: &[u8]| parse(&file(kind, sizes, data)[..], None).unwrap();
        assert_eq!(read(0x08, &[2, 2], &[0, 1, 254, 255]), {
            Idx::U8(array![[0, 1], [254, 255]].into_dyn())
        });
        assert_eq!(read(0x09, &[2], &[127, 255]), Idx::I8(array![127, -1].into_dyn()));
        assert_eq!(read(0x0b, &[2], &[1, 2, 255, 254]), Idx::I16(array![258, -2].into_dyn()));
        assert_eq!(read(0x0c, &[1], &[0, 1, 0, 0]), Idx::I32(array![65536].into_dyn()));
        assert_eq!(read(0x0d, &[1], &1.5f32.to_be_bytes()), Idx::F32(array![1.5].into_dyn()));
        assert_eq!(read(0x0e, &[1], &(-2.5f64).to_be_bytes()), Idx::F64(array![-2.5].into_dyn()));
        assert_eq!(read(0x08, &[], &[9]), Idx::U8(ArrayD::from_elem(vec![], 9)));
        assert_eq!(read(0x08, &[3, 0, 2], &[]).shape(), [3, 0, 2]);
        assert_eq!(
            read(0x0b, &[2], &[1, 2, 255, 254]).into_reals().unwrap(),
            array![258., -2.].into_dyn()
        );
    }

    #[test]
    fn gzipped_files_are_read_too() {
        let folder = Folder::new("idx");
        let bytes = file(0x08, &[2, 3], &[1, 2, 3, 4, 5, 6]);
        let plain = idx(folder.write("plain", &bytes)).unwrap();
        assert_eq!(plain, idx(folder.write("packed", gzip(&bytes))).unwrap());
        assert_eq!((plain.shape(), plain.kind()), (&[2, 3][..], "u8"));
    }

    #[test]
    fn damage_is_reported_with_its_offset() {
        let good = file(0x08, &[2, 3], &[1, 2, 3, 4, 5, 6]);
        let longer = [&good[..], &[7]].concat();
        for (bad, message) in [
            (
                &b"PNG."[..],
                "offset 0: an IDX file begins with two bytes of zero, but these are 0x50",
            ),
            (&[], "offset 0: the magic number takes 4 bytes, but the file ends after 0"),
            (&good[..3], "offset 3: the magic number takes 4 bytes, but the file ends after 3"),
            (
                &[0, 0, 0x0a, 1],
                "offset 2: expected a type, 0x08, 0x09 or 0x0b to 0x0e, but found 0x0a",
            ),
            (&good[..10], "offset 10: the size of axis 1 takes 4 bytes, but the file ends after 2"),
            (
                &good[..15],
                "offset 15: the elements of an array of shape [2, 3] take 6 bytes, but the file ends after 3",
            ),
            (&longer, "offset 18: an array of shape [2, 3] ends here, but the file continues"),
            (&file(0x0e, &[u32::MAX; 3], &[]), "does not fit into memory"),
            (&file(0x08, &[u32::MAX, u32::MAX, 0, 8], &[]), "does not fit into memory"),
            // Claims four gigabytes and has none: an error without allocating them.
            (&file(0x08, &[u32::MAX], &[]), "take 4294967295 bytes, but the file ends after 0"),
        ] {
            let error = parse(bad, None).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn a_damaged_gzip_file_is_an_error_of_the_file() {
        let folder = Folder::new("idx-gzip");
        let mut packed = gzip(&file(0x08, &[4], &[1, 2, 3, 4]));
        let checksum = packed.len() - 8;
        packed[checksum] ^= 1;
        let path = folder.write("packed", packed);
        let error = idx(&path).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{}: offset 12: ", path.display())), "{error}");
    }
}
