//! MNIST, Fashion-MNIST and other data sets in the same files.
//!
//! Takes a folder with the four files of the data set, or one in torchvision's layout; returns the
//! training and the test set, and for Fashion-MNIST the names of the classes. Guaranteed: every
//! image has its label, and labels are below 10.
//!
//! The data sets are not included in the library. MNIST is Y. LeCun, C. Cortes and C. Burges, "The
//! MNIST database of handwritten digits", 1998; Fashion-MNIST, with clothes instead of digits, H.
//! Xiao, K. Rasul and R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine
//! Learning Algorithms", arXiv:1708.07747, 2017.

use super::file::damaged;
use super::{Classification, Dataset, Idx, idx};
use crate::Result;
use crate::io::{Source, with_limit};
use ndarray::{Array1, Array2, ArrayD};
use std::path::{Path, PathBuf};

const CLASSES: u8 = 10;
/// The prefixes of the file names, training and test.
const SPLITS: [&str; 2] = ["train", "t10k"];
/// The folders of torchvision's `MNIST(root)` and `FashionMNIST(root)`, relative to `root`.
const TORCHVISION: [&str; 2] = ["MNIST/raw", "FashionMNIST/raw"];
/// The value of a pixel that is full of ink.
const INK: f32 = 255.0;

/// The names of Fashion-MNIST's ten classes, in the order of its labels.
///
/// Source: the table "Labels" in <https://github.com/zalandoresearch/fashion-mnist>, by the data
/// set's authors; torchvision's `FashionMNIST.classes` are the same.
///
/// ```
/// use bilro::data::FASHION_MNIST_CLASSES;
/// use bilro::metrics::ConfusionMatrix;
/// use bilro::ndarray::array;
///
/// let (targets, predictions) = (array![0, 9, 9], array![6, 9, 9]);
/// let confusion = ConfusionMatrix::new(&targets, &predictions, FASHION_MNIST_CLASSES.len())?;
/// let table = confusion.named(FASHION_MNIST_CLASSES)?.to_string();
/// assert!(table.contains("T-shirt/top") && table.contains("Ankle boot"));
/// # Ok::<(), bilro::Error>(())
/// ```
pub const FASHION_MNIST_CLASSES: [&str; CLASSES as usize] = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];

/// MNIST's training and test set, from a folder with the files `train-images-idx3-ubyte`,
/// `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte`, gzipped or
/// not, with `.gz` at the end of their names or without.
///
/// Fashion-MNIST and others have the same files: Debian's package `dataset-fashion-mnist` installs
/// them in `/usr/share/datasets/fashion-mnist`. [`FASHION_MNIST_CLASSES`] has the names of its
/// classes.
///
/// Each of the two has in `x` the images, `[examples, pixels]`, pixels from 0 to 1, row after row
/// from the top left, 784 of them for 28×28; in `y` their classes, `[examples]`, from 0 to 9.
///
/// A folder that has none of the files may be the root of torchvision's: they are searched in
/// `MNIST/raw` within it, then in `FashionMNIST/raw`. [`mnist_folder`] returns the folder where
/// they were found.
///
/// A limit set by [`io::with_limit`](crate::io::with_limit) applies to each file.
///
/// Pixels of 0 to 255 are scaled to 0 to 1; [`normalize`](Dataset::normalize) is PyTorch's
/// `Normalize(0.5, 0.5)`.
///
/// # Errors
///
/// Those of [`mnist_folder`] if there is no folder with one of the files;
/// [`Error::File`](crate::Error::File), with the file and the offset, if one of the four is not
/// there, is damaged or holds something else, or has not as many labels as there are images;
/// [`Error::Empty`](crate::Error::Empty) if there are none.
///
/// ```no_run
/// use bilro::data;
///
/// let (train, test) = data::mnist("/usr/share/datasets/fashion-mnist")?;
/// assert_eq!((train.x().dim(), test.len()), ((60_000, 784), 10_000));
/// # Ok::<(), bilro::Error>(())
/// ```
pub fn mnist(folder: impl Source) -> Result<(Classification, Classification)> {
    let (limit, folder) = (folder.limit(), mnist_folder(folder.path())?);
    let [train, test] = SPLITS;
    Ok((read_split(&folder, train, limit)?, read_split(&folder, test, limit)?))
}

/// The folder that [`mnist`] reads the files from: `folder` itself if it has one of the four, else
/// `MNIST/raw` or `FashionMNIST/raw` within it, the first that has one. Only the folder tells the
/// two data sets apart: the files have the same names.
///
/// # Errors
///
/// [`Error::File`](crate::Error::File) if there is no such folder, or no file in one of the three.
///
/// ```no_run
/// use bilro::data;
///
/// // torchvision.datasets.FashionMNIST("data", download=True)
/// let folder = data::mnist_folder("data")?;
/// println!("fashion: {}", folder.ends_with("FashionMNIST/raw"));
/// # Ok::<(), bilro::Error>(())
/// ```
pub fn mnist_folder(folder: impl AsRef<Path>) -> Result<PathBuf> {
    let folder = folder.as_ref();
    if !folder.is_dir() {
        return Err(damaged(folder, "there is no such folder"));
    }
    let names = || SPLITS.iter().flat_map(|split| [images_of(split), labels_of(split)]);
    let has_one = |folder: &PathBuf| names().any(|name| find(folder, &name).is_some());
    let [mnist, fashion] = TORCHVISION.map(|subfolder| folder.join(subfolder));
    let searched = [folder.to_path_buf(), mnist, fashion];
    searched.iter().find(|folder| has_one(folder)).cloned().ok_or_else(|| {
        damaged(
            folder,
            format!(
                "none of {} found, with or without `.gz` at the end; searched in {}",
                names().collect::<Vec<_>>().join(", "),
                searched.each_ref().map(|folder| folder.display().to_string()).join(", ")
            ),
        )
    })
}

fn images_of(split: &str) -> String {
    format!("{split}-images-idx3-ubyte")
}

fn labels_of(split: &str) -> String {
    format!("{split}-labels-idx1-ubyte")
}

/// The images and labels of one split.
fn read_split(folder: &Path, split: &str, limit: Option<u64>) -> Result<Classification> {
    let path = required(folder, &images_of(split))?;
    let images = bytes(&path, limit, 3, "images, rows and columns")?;
    let path = required(folder, &labels_of(split))?;
    let labels = bytes(&path, limit, 1, "labels")?;
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
    if let Some(index) = labels.iter().position(|&label| label >= CLASSES) {
        let (offset, label) = (8 + index, labels[index]);
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

/// The file of this name, or of this name with `.gz`, if there is one.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    [name.to_string(), format!("{name}.gz")]
        .map(|name| folder.join(name))
        .into_iter()
        .find(|path| path.exists())
}

/// The same, or an error if there is none.
fn required(folder: &Path, name: &str) -> Result<PathBuf> {
    find(folder, name).ok_or_else(|| {
        damaged(&folder.join(name), "there is no such file, nor one with `.gz` at its end")
    })
}

/// The bytes of an IDX file with this number of axes.
fn bytes(path: &Path, limit: Option<u64>, rank: usize, axes: &str) -> Result<ArrayD<u8>> {
    let array = match limit {
        Some(limit) => idx(with_limit(path, limit)),
        None => idx(path),
    };
    match array? {
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
    fn training_and_test_set_are_read() {
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

    /// Files in one of torchvision's folders; all labels are `label`.
    fn torchvision(folder: &Folder, subfolder: &str, label: u8) {
        std::fs::create_dir_all(folder.path().join(subfolder)).unwrap();
        for split in SPLITS {
            let images = file(8, &[1, 1, 2], &[0, 255]);
            folder.write(&format!("{subfolder}/{}", images_of(split)), images);
            folder.write(&format!("{subfolder}/{}", labels_of(split)), file(8, &[1], &[label]));
        }
    }

    #[test]
    fn files_are_found_in_torchvisions_folders() {
        let folder = Folder::new("mnist-torchvision");
        let found = || {
            let (train, test) = mnist(folder.path()).unwrap();
            assert_eq!(train.y(), test.y());
            (mnist_folder(folder.path()).unwrap(), train.y()[0])
        };
        torchvision(&folder, TORCHVISION[1], 2);
        assert_eq!(found(), (folder.path().join("FashionMNIST/raw"), 2));
        // MNIST comes first, and the folder itself before both.
        torchvision(&folder, TORCHVISION[0], 1);
        assert_eq!(found(), (folder.path().join("MNIST/raw"), 1));
        torchvision(&folder, ".", 0);
        assert_eq!(found(), (folder.path().to_path_buf(), 0));
        // One file selects its folder: missing ones are an error, not searched elsewhere.
        for name in [TRAIN[0], TRAIN[1], TEST[0]] {
            std::fs::remove_file(folder.path().join(name)).unwrap();
        }
        let error = mnist(folder.path()).unwrap_err().to_string();
        let path = folder.path().join(TRAIN[0]);
        assert!(error.starts_with(&format!("{}: there is no such", path.display())), "{error}");
    }

    #[test]
    fn a_folder_without_files_lists_the_searched_folders() {
        let folder = Folder::new("mnist-empty");
        folder.write("train-images.idx3-ubyte", "another name");
        let path = folder.path().display();
        assert_eq!(
            mnist(folder.path()).unwrap_err().to_string(),
            format!(
                "{path}: none of {}, {}, {}, {} found, with or without `.gz` at the end; \
                 searched in {path}, {path}/MNIST/raw, {path}/FashionMNIST/raw",
                TRAIN[0], TRAIN[1], TEST[0], TEST[1]
            )
        );
    }
}
