//! MNIST, and what is stored as MNIST is.
//!
//! Takes a folder with the four files of the data set; gives its two parts. Guaranteed: every image
//! has its label, and labels are below 10.
//!
//! The data sets do not come with the library. MNIST is Y. LeCun, C. Cortes and C. Burges, "The
//! MNIST database of handwritten digits", 1998; Fashion-MNIST, with clothes instead of digits, H.
//! Xiao, K. Rasul and R. Vollgraf, "Fashion-MNIST", 2017.

use super::file::damaged;
use super::{Dataset, Idx, idx};
use crate::Result;
use ndarray::{Array1, Array2, ArrayD, Ix1, Ix2};
use std::path::{Path, PathBuf};

const CLASSES: u8 = 10;
/// The value of a pixel that is all ink.
const INK: f32 = 255.0;

/// Images, `[examples, pixels]` with pixels from 0 to 1, row after row from the top left, and their
/// classes, `[examples]` from 0 to 9. The pixels are 784 for 28×28.
pub type Mnist = Dataset<f32, Ix2, u32, Ix1>;

/// MNIST's training and test set, from a folder with the files `train-images-idx3-ubyte`,
/// `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte`, gzipped or
/// not, with `.gz` at the end of their names or without.
///
/// Fashion-MNIST and others have the same files: Debian's package `dataset-fashion-mnist` puts
/// them into `/usr/share/datasets/fashion-mnist`.
///
/// Pixels of 0 to 255 become 0 to 1; for PyTorch's `Normalize(0.5, 0.5)` there is
/// [`normalize`](Dataset::normalize).
///
/// # Errors
///
/// [`Error::File`](crate::Error::File), with the file and the offset, if the folder or one of the
/// four is not there, is damaged or holds something else, or has not as many labels as there are
/// images; [`Error::Empty`](crate::Error::Empty) if there are none.
///
/// ```no_run
/// use bilro::data;
///
/// let (train, test) = data::mnist("/usr/share/datasets/fashion-mnist")?;
/// assert_eq!((train.x().dim(), test.len()), ((60_000, 784), 10_000));
/// # Ok::<(), bilro::Error>(())
/// ```
pub fn mnist(folder: impl AsRef<Path>) -> Result<(Mnist, Mnist)> {
    let folder = folder.as_ref();
    if !folder.is_dir() {
        return Err(damaged(folder, "there is no such folder"));
    }
    Ok((part(folder, "train")?, part(folder, "t10k")?))
}

/// The images and labels of one part.
fn part(folder: &Path, part: &str) -> Result<Mnist> {
    let path = find(folder, &format!("{part}-images-idx3-ubyte"))?;
    let images = bytes(&path, 3, "images, rows and columns")?;
    let path = find(folder, &format!("{part}-labels-idx1-ubyte"))?;
    let labels = bytes(&path, 1, "labels")?;
    if images.shape()[0] != labels.len() {
        return Err(damaged(
            &path,
            format!(
                "offset 4: {} labels, but there are {} images",
                labels.len(),
                images.shape()[0]
            ),
        ));
    }
    if let Some(place) = labels.iter().position(|&label| label >= CLASSES) {
        let (offset, label) = (8 + place, labels[place]);
        return Err(damaged(
            &path,
            format!("offset {offset}: a label is below {CLASSES}, but this is {label}"),
        ));
    }
    let (examples, pixels) = (images.shape()[0], images.shape()[1] * images.shape()[2]);
    let images = images.iter().map(|&pixel| f32::from(pixel) / INK).collect();
    let x = Array2::from_shape_vec((examples, pixels), images).expect("the same elements");
    let y = labels.iter().map(|&label| u32::from(label)).collect::<Array1<u32>>();
    Dataset::new(x, y)
}

/// The file of this name, or of this name and `.gz`.
fn find(folder: &Path, name: &str) -> Result<PathBuf> {
    let plain = folder.join(name);
    if plain.exists() {
        return Ok(plain);
    }
    let packed = folder.join(format!("{name}.gz"));
    match packed.exists() {
        true => Ok(packed),
        false => Err(damaged(&plain, "there is no such file, nor one with `.gz` at its end")),
    }
}

/// The bytes of an IDX file with this number of axes.
fn bytes(path: &Path, rank: usize, axes: &str) -> Result<ArrayD<u8>> {
    match idx(path)? {
        Idx::U8(array) if array.ndim() == rank => Ok(array),
        Idx::U8(array) => Err(damaged(
            path,
            format!("offset 3: expected {rank} axes, {axes}, but found {}", array.ndim()),
        )),
        other => Err(damaged(
            path,
            format!("offset 2: expected bytes, type 0x08, but found {}", other.kind()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::tests::{Folder, gzip};
    use super::super::idx::tests::file;
    use super::*;
    use ndarray::array;

    const TRAIN: [&str; 2] = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"];
    const TEST: [&str; 2] = ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

    /// Three images of 1×2 to train, two to test.
    fn small(test: &str) -> Folder {
        let folder = Folder::new(test);
        folder.write(TRAIN[0], file(8, &[3, 1, 2], &[0, 255, 51, 102, 0, 0]));
        folder.write(TRAIN[1], file(8, &[3], &[9, 0, 1]));
        // As Debian's package has them.
        folder.write(&format!("{}.gz", TEST[0]), gzip(&file(8, &[2, 1, 2], &[255, 0, 0, 51])));
        folder.write(&format!("{}.gz", TEST[1]), gzip(&file(8, &[2], &[3, 4])));
        folder
    }

    #[test]
    fn both_parts_are_read() {
        let (train, test) = mnist(small("mnist").path()).unwrap();
        assert_eq!(train.x(), array![[0.0, 1.0], [0.2, 0.4], [0.0, 0.0]]);
        assert_eq!(train.y(), array![9, 0, 1]);
        assert_eq!(
            (test.x(), test.y()),
            (array![[1.0, 0.0], [0.0, 0.2]].view(), array![3, 4].view())
        );
    }

    #[test]
    fn files_that_do_not_fit_are_reported() {
        let folder = small("mnist-damage");
        let fails = |name: &str, contents: Vec<u8>, message: &str| {
            let good = std::fs::read(folder.path().join(name)).unwrap();
            let path = folder.write(name, contents);
            let error = mnist(folder.path()).unwrap_err().to_string();
            assert_eq!(error, format!("{}: {message}", path.display()));
            std::fs::write(path, good).unwrap();
        };
        fails(TRAIN[1], file(8, &[2], &[9, 0]), "offset 4: 2 labels, but there are 3 images");
        let label = "offset 9: a label is below 10, but this is 10";
        fails(TRAIN[1], file(8, &[3], &[9, 10, 1]), label);
        let axes = "offset 3: expected 3 axes, images, rows and columns, but found 1";
        fails(TRAIN[0], file(8, &[3], &[9, 0, 1]), axes);
        let kind = "offset 2: expected bytes, type 0x08, but found i8";
        fails(TRAIN[1], file(9, &[3], &[9, 0, 1]), kind);
        mnist(folder.path()).unwrap();
    }

    #[test]
    fn a_missing_file_is_named() {
        let folder = small("mnist-missing");
        std::fs::remove_file(folder.path().join(format!("{}.gz", TEST[1]))).unwrap();
        let error = mnist(folder.path()).unwrap_err().to_string();
        assert!(
            error.contains("t10k-labels-idx1-ubyte: there is no such file, nor one"),
            "{error}"
        );
        let missing = folder.path().join("missing");
        let error = mnist(&missing).unwrap_err().to_string();
        assert_eq!(error, format!("{}: there is no such folder", missing.display()));
    }
}
