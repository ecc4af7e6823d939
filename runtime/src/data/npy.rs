//! Data sets in NumPy's files.
//!
//! Takes two `.npy` files with the examples along axis 0; returns a data set.

use super::Dataset;
use crate::Result;
use crate::io::{NpyElement, Source, read_npy};
use ndarray::RemoveAxis;

/// A data set from the examples in one `.npy` file, `[examples, ...]`, and their targets in
/// another, `[examples, ...]`. Types and numbers of axes are those of the result: commonly `f32`,
/// and `u32` for classes, to which NumPy's `float64` and `int64` are converted: see [`read_npy`].
///
/// # Errors
///
/// Those of [`read_npy`] and of [`Dataset::new`].
///
/// ```no_run
/// use bilro::data::{self, Dataset};
/// use ndarray::{Ix1, Ix2};
///
/// let data: Dataset<f32, Ix2, u32, Ix1> = data::npy("x.npy", "y.npy")?;
/// # Ok::<(), bilro::Error>(())
/// ```
pub fn npy<A, DX, B, DY>(x: impl Source, y: impl Source) -> Result<Dataset<A, DX, B, DY>>
where
    A: NpyElement,
    DX: RemoveAxis,
    B: NpyElement,
    DY: RemoveAxis,
{
    Dataset::new(read_npy(x)?, read_npy(y)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::io::folder::Folder;
    use crate::io::write_npy;
    use ndarray::{Ix1, Ix2, array};

    #[test]
    fn two_files_are_a_data_set() {
        let folder = Folder::new("data-npy");
        let (x, y) = (folder.path().join("x.npy"), folder.path().join("y.npy"));
        write_npy(&x, &array![[1.0f32, 2.0], [3.0, 4.0]]).unwrap();
        write_npy(&y, &array![1u32, 0]).unwrap();
        let data: Dataset<f32, Ix2, u32, Ix1> = npy(&x, &y).unwrap();
        assert_eq!((data.x()[[1, 0]], data.y()[0]), (3.0, 1));
        write_npy(&y, &array![1u32]).unwrap();
        let fewer = npy::<f32, Ix2, u32, Ix1>(&x, &y).unwrap_err();
        assert!(matches!(fewer, Error::BatchSize { .. }), "{fewer}");
    }
}
