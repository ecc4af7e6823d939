//! Data sets: examples in memory, split, shuffled and cut into batches.
//!
//! A [`Dataset`] has two arrays with the examples along axis 0, and returns them complete
//! ([`x`](Dataset::x), [`y`](Dataset::y)), split ([`split`](Dataset::split),
//! [`random_split`](Dataset::random_split), [`split_stratified`](Dataset::split_stratified)), with
//! transformed elements ([`map_x`](Dataset::map_x), [`normalize`](Dataset::normalize),
//! [`one_hot`](Dataset::one_hot), [`Standardizer`]) or in [`batches`](Dataset::batches).
//! [`ShuffledOrder`] has the order of shuffled epochs: PyTorch's.
//!
//! Sources of examples:
//!
//! - [`digits()`] is included in the library.
//! - [`mnist()`] reads MNIST's files and others of the same form, [`idx()`] any array in their
//!   format.
//! - [`csv()`] reads tables, and `npy`, with the feature of this name, NumPy's arrays.
//! - [`blobs`], [`circles`], [`moons`] and [`spiral`] generate points in the plane.
//!
//! Most of them are a [`Classification`] or a [`Regression`]: types for functions that take one.
//!
//! Guaranteed: a data set has at least one example, as many labels as examples, and both arrays in
//! row-major order, so that an example is contiguous. Batches in order borrow; only
//! shuffled ones copy.

use crate::{Error, Result, memory};
use ndarray::{Array, ArrayRef, ArrayView, Axis, Dimension, Ix1, Ix2, RemoveAxis, Slice};
use std::ops::{Bound, RangeBounds};

mod batches;
mod csv;
mod digits;
pub(crate) mod file;
mod idx;
mod mnist;
#[cfg(feature = "npy")]
mod npy;
mod order;
mod points;
mod split;
mod transform;

pub use self::csv::{Column, Csv, csv};
pub use batches::{Batch, Batches};
pub use digits::digits;
pub use idx::{Idx, idx};
pub use mnist::{FASHION_MNIST_CLASSES, mnist, mnist_folder};
#[cfg(feature = "npy")]
pub use npy::npy;
pub use order::ShuffledOrder;
pub use points::{blobs, circles, moons, spiral};
pub use transform::Standardizer;

/// Examples `x` and their targets `y`; both have the examples along axis 0.
///
/// `A` and `B` are the element types, `f32` or, for indices and classes, `u32`; `DX` and `DY` the
/// dimensions of the arrays, the axis of the examples included. [`Classification`] and
/// [`Regression`] are aliases for the usual ones.
///
/// ```
/// use bilro::data::Dataset;
/// use ndarray::array;
///
/// let data = Dataset::new(array![[0.0, 0.5], [1.0, 1.5], [2.0, 2.5]], array![0, 1, 0])?;
/// for batch in data.batches(2)?.shuffle(7) {
///     assert_eq!(batch.x().nrows(), batch.len());
/// }
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset<A, DX: Dimension, B, DY: Dimension> {
    x: Array<A, DX>,
    y: Array<B, DY>,
}

/// Examples with a class each: `x` are reals, `[examples, features]`, and `y` classes,
/// `[examples]`, counted from 0.
///
/// Returned by [`digits()`], [`mnist()`], [`blobs`], [`moons`] and the like, and [`Csv::classes`];
/// for networks with `input x: [features]` and `target y: class(n)`. With examples of other
/// dimensions it is `Classification<Ix3>` (images, `[examples, rows, columns]`).
///
/// ```
/// use bilro::data::{self, Classification};
///
/// fn fraction_of_class_0(data: &Classification) -> f32 {
///     data.y().iter().filter(|class| **class == 0).count() as f32 / data.len() as f32
/// }
///
/// assert_eq!(fraction_of_class_0(&data::moons(200, 0.1, 7)?), 0.5);
/// # Ok::<(), bilro::Error>(())
/// ```
pub type Classification<DX = Ix2> = Dataset<f32, DX, u32, Ix1>;

/// Examples with reals to predict: `x` are reals, `[examples, features]`, and `y` too,
/// `[examples, targets]`.
///
/// Returned by [`Csv::reals`]; for networks with `input x: [features]` and `target y: [targets]`.
/// `Regression<Ix2, Ix1>` has one number for each example, `[examples]`, for `target y: []`;
/// [`Dataset::map_y`] converts one to the other.
///
/// ```
/// use bilro::data::Regression;
/// use bilro::ndarray::{Array2, Axis, array};
///
/// fn mean_target(data: &Regression) -> Option<f32> {
///     data.y().mean()
/// }
///
/// let x = Array2::from_shape_fn((4, 3), |(i, j)| (i + j) as f32);
/// let data: Regression = Regression::new(x, array![[1.0], [2.0], [3.0], [4.0]])?;
/// assert_eq!(mean_target(&data), Some(2.5));
/// let flat: Regression<_, bilro::ndarray::Ix1> = data.map_y(|y| y.remove_axis(Axis(1)))?;
/// assert_eq!(flat.y(), array![1.0, 2.0, 3.0, 4.0]);
/// # Ok::<(), bilro::Error>(())
/// ```
pub type Regression<DX = Ix2, DY = Ix2> = Dataset<f32, DX, f32, DY>;

impl<A: Copy, DX: RemoveAxis, B: Copy, DY: RemoveAxis> Dataset<A, DX, B, DY> {
    /// A data set of the examples `x`, `[examples, ...]`, with `y`, `[examples, ...]`.
    ///
    /// Arrays in row-major order are moved, others are copied.
    ///
    /// # Errors
    ///
    /// [`Error::BatchSize`] if `x` and `y` have different numbers of examples, [`Error::Empty`] if
    /// they have none, [`Error::InvalidArgument`] if one has no axis at all or there are too many
    /// examples to count in a `u32`.
    pub fn new(x: Array<A, DX>, y: Array<B, DY>) -> Result<Self> {
        let (x_len, y_len) = (examples("x", x.shape())?, examples("y", y.shape())?);
        if x_len != y_len {
            return Err(Error::BatchSize {
                name: "y".into(),
                found: y_len,
                other: "x".into(),
                expected: x_len,
            });
        }
        if x_len == 0 {
            return Err(empty("the data set"));
        }
        if u32::try_from(x_len).is_err() {
            return Err(Error::InvalidArgument {
                name: "number of examples".into(),
                expected: format!("at most {}", u32::MAX),
                found: x_len.to_string(),
            });
        }
        Ok(Self { x: row_major("x", x)?, y: row_major("y", y)? })
    }

    /// The number of examples, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a data set is never empty")]
    pub fn len(&self) -> usize {
        self.x.len_of(Axis(0))
    }

    /// All examples, `[examples, ...]`.
    pub fn x(&self) -> ArrayView<'_, A, DX> {
        self.x.view()
    }

    /// The targets of all examples, `[examples, ...]`.
    pub fn y(&self) -> ArrayView<'_, B, DY> {
        self.y.view()
    }

    /// The arrays, without a copy.
    pub fn into_arrays(self) -> (Array<A, DX>, Array<B, DY>) {
        (self.x, self.y)
    }

    /// A copy of the examples at these indices, in this order; an index may be repeated.
    ///
    /// # Errors
    ///
    /// [`Error::IndexOutOfRange`] if there is no such example, [`Error::Empty`] if `rows` is.
    pub fn select(&self, rows: &[u32]) -> Result<Self> {
        if rows.is_empty() {
            return Err(empty("the selection"));
        }
        self.check_rows(rows)?;
        self.check_memory(rows.len())?;
        Ok(Self { x: gather(&self.x, rows), y: gather(&self.y, rows) })
    }

    /// A copy of a range of examples: `data.rows(..1500)`, `data.rows(1500..)`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if the range is not within the data set, [`Error::Empty`] if it
    /// is empty.
    pub fn rows(&self, range: impl RangeBounds<usize>) -> Result<Self> {
        let len = self.len();
        let start = match range.start_bound() {
            Bound::Included(&start) => Some(start),
            Bound::Excluded(&before) => before.checked_add(1),
            Bound::Unbounded => Some(0),
        };
        let end = match range.end_bound() {
            Bound::Included(&last) => last.checked_add(1),
            Bound::Excluded(&end) => Some(end),
            Bound::Unbounded => Some(len),
        };
        match (start, end) {
            (Some(start), Some(end)) if start <= end && end <= len => {
                if start == end {
                    return Err(empty("the range of rows"));
                }
                self.copy_rows(start, end)
            }
            _ => Err(Error::InvalidArgument {
                name: "rows".into(),
                expected: format!("a range within 0..{len}"),
                found: format!("{:?} to {:?}", range.start_bound(), range.end_bound()),
            }),
        }
    }

    /// One epoch in batches of `batch_size` examples; the last may have fewer. See [`Batches`]
    /// for how to shuffle and how to drop the last.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if `batch_size` is 0.
    pub fn batches(&self, batch_size: usize) -> Result<Batches<'_, A, DX, B, DY>> {
        Batches::new(self, batch_size)
    }

    /// Copies the examples at these indices to `x` and `y`, arrays or views, without allocating:
    /// for training loops with their own buffers.
    ///
    /// # Errors
    ///
    /// [`Error::BatchSize`] if `x` or `y` does not have room for exactly `rows.len()` examples,
    /// [`Error::Shape`] if their examples have another shape, [`Error::IndexOutOfRange`] if there
    /// is no such example. Nothing is written then.
    pub fn gather_into(
        &self,
        rows: &[u32],
        x: &mut ArrayRef<A, DX>,
        y: &mut ArrayRef<B, DY>,
    ) -> Result<()> {
        check_room("x", self.x.shape(), x.shape(), rows.len())?;
        check_room("y", self.y.shape(), y.shape(), rows.len())?;
        self.check_rows(rows)?;
        copy_rows_into(&self.x, rows, x);
        copy_rows_into(&self.y, rows, y);
        Ok(())
    }

    fn check_rows(&self, rows: &[u32]) -> Result<()> {
        let below = self.len();
        match rows.iter().position(|&row| row as usize >= below) {
            Some(row) => {
                Err(Error::IndexOutOfRange { name: "rows".into(), row, index: rows[row], below })
            }
            None => Ok(()),
        }
    }

    /// The examples `start..end`, which must be within the data set and not empty.
    fn copy_rows(&self, start: usize, end: usize) -> Result<Self> {
        self.check_memory(end - start)?;
        Ok(Self {
            x: rows_of(&self.x, start, end).to_owned(),
            y: rows_of(&self.y, start, end).to_owned(),
        })
    }

    /// Requires that there is memory for a copy of a number of examples, and for a
    /// list of their indices.
    fn check_memory(&self, examples: usize) -> Result<()> {
        let example = size_of::<A>() * (self.x.len() / self.len())
            + size_of::<B>() * (self.y.len() / self.len())
            + size_of::<usize>();
        memory::check::<u8>(|| format!("{examples} examples"), example.saturating_mul(examples))
    }
}

/// The number of examples of an array of this shape.
fn examples(name: &str, shape: &[usize]) -> Result<usize> {
    shape.first().copied().ok_or_else(|| Error::InvalidArgument {
        name: name.into(),
        expected: "an array with the examples along axis 0".into(),
        found: "an array without axes".into(),
    })
}

fn empty(what: &str) -> Error {
    Error::Empty { what: what.into() }
}

fn row_major<A: Copy, D: Dimension>(name: &str, array: Array<A, D>) -> Result<Array<A, D>> {
    if array.is_standard_layout() {
        return Ok(array);
    }
    memory::check::<A>(|| format!("`{name}` row by row"), array.len())?;
    Ok(array.as_standard_layout().into_owned())
}

/// Requires that `to` has `rows` examples of the same shape as those in `from`.
fn check_room(name: &str, from: &[usize], to: &[usize], rows: usize) -> Result<()> {
    let found = examples(name, to)?;
    if found != rows {
        return Err(Error::BatchSize {
            name: name.into(),
            found,
            other: "rows".into(),
            expected: rows,
        });
    }
    if from[1..] != to[1..] {
        return Err(Error::Shape {
            name: name.into(),
            expected: from[1..].to_vec(),
            found: to[1..].to_vec(),
        });
    }
    Ok(())
}

/// The examples `start..end` of an array, which must exist.
fn rows_of<A, D: Dimension>(array: &Array<A, D>, start: usize, end: usize) -> ArrayView<'_, A, D> {
    array.slice_axis(Axis(0), Slice::from(start..end))
}

/// A copy of the examples `rows`, which must exist.
fn gather<A: Copy, D: RemoveAxis>(from: &Array<A, D>, rows: &[u32]) -> Array<A, D> {
    let rows: Vec<usize> = rows.iter().map(|&row| row as usize).collect();
    from.select(Axis(0), &rows)
}

/// Copies the examples `rows` of `from`, which must exist, to `to`, which must have as many.
fn copy_rows_into<A: Copy, D: RemoveAxis>(
    from: &Array<A, D>,
    rows: &[u32],
    to: &mut ArrayRef<A, D>,
) {
    let width = from.len() / from.len_of(Axis(0));
    match (from.as_slice(), to.as_slice_mut()) {
        (Some(from), Some(to)) if width > 0 => {
            for (&row, target) in rows.iter().zip(to.chunks_exact_mut(width)) {
                target.copy_from_slice(&from[row as usize * width..][..width]);
            }
        }
        _ => {
            for (&row, mut target) in rows.iter().zip(to.axis_iter_mut(Axis(0))) {
                target.assign(&from.index_axis(Axis(0), row as usize));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array1, Array2, IxDyn, array, s};

    /// Example `i` is `[2i, 2i + 1]`, its label `i`, so that a label identifies its example.
    pub fn numbered(n: usize) -> Classification {
        let x = Array2::from_shape_fn((n, 2), |(i, j)| (2 * i + j) as f32);
        Dataset::new(x, Array1::from_iter(0..n as u32)).unwrap()
    }

    pub fn assert_rows_match(x: ArrayView<f32, Ix2>, y: ArrayView<u32, Ix1>) {
        assert_eq!(x.nrows(), y.len());
        for (x, &y) in x.rows().into_iter().zip(y) {
            assert_eq!(x, array![2.0 * y as f32, 2.0 * y as f32 + 1.0]);
        }
    }

    #[test]
    fn unequal_numbers_of_examples_are_refused() {
        let error = Dataset::new(Array2::<f32>::zeros((3, 2)), Array1::<u32>::zeros(4));
        let Err(Error::BatchSize { name, found, other, expected }) = error else { panic!() };
        assert_eq!((name.as_str(), found, other.as_str(), expected), ("y", 4, "x", 3));
    }

    #[test]
    fn no_examples_or_no_axes_or_too_many_examples_are_refused() {
        let none = Dataset::new(Array2::<f32>::zeros((0, 2)), Array1::<u32>::zeros(0));
        assert!(matches!(none, Err(Error::Empty { .. })));
        let no_axes = Dataset::new(Array::<f32, _>::zeros(IxDyn(&[])), Array1::<u32>::zeros(1));
        assert!(matches!(no_axes, Err(Error::InvalidArgument { .. })));
        let many = Array2::<f32>::zeros((1 << 32, 0)); // takes no memory
        assert!(matches!(Dataset::new(many.clone(), many), Err(Error::InvalidArgument { .. })));
    }

    #[test]
    fn column_major_arrays_become_row_major() {
        let transposed = array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]].reversed_axes();
        let data = Dataset::new(transposed.clone(), array![0, 1, 2]).unwrap();
        assert!(data.x().is_standard_layout());
        assert_eq!(data.x(), transposed);
    }

    #[test]
    fn select_takes_rows_in_the_order_given() {
        let some = numbered(5).select(&[4, 0, 4]).unwrap();
        assert_eq!(some.y(), array![4, 0, 4]);
        assert_rows_match(some.x(), some.y());
        assert!(some.x().is_standard_layout());
        assert!(matches!(
            numbered(5).select(&[0, 5]),
            Err(Error::IndexOutOfRange { row: 1, index: 5, below: 5, .. })
        ));
        assert!(matches!(numbered(5).select(&[]), Err(Error::Empty { .. })));
    }

    #[test]
    fn rows_takes_every_kind_of_range() {
        let data = numbered(5);
        assert_eq!(data.rows(..2).unwrap().y(), array![0, 1]);
        assert_eq!(data.rows(3..).unwrap().y(), array![3, 4]);
        assert_eq!(data.rows(1..=2).unwrap().y(), array![1, 2]);
        assert_eq!(data.rows(..).unwrap(), data);
        assert!(matches!(data.rows(2..2), Err(Error::Empty { .. })));
        assert!(matches!(data.rows(2..6), Err(Error::InvalidArgument { .. })));
        assert!(matches!(data.rows(..=usize::MAX), Err(Error::InvalidArgument { .. })));
        let backwards = (Bound::Included(3), Bound::Excluded(2));
        assert!(matches!(data.rows(backwards), Err(Error::InvalidArgument { .. })));
    }

    #[test]
    fn gather_into_fills_arrays_and_views() {
        let data = numbered(5);
        let (mut x, mut y) = (Array2::zeros((2, 2)), Array1::zeros(2));
        data.gather_into(&[3, 1], &mut x, &mut y).unwrap();
        assert_eq!(y, array![3, 1]);
        assert_rows_match(x.view(), y.view());

        // The columns of a wider buffer: rows that are not contiguous.
        let (mut x, mut y) = (Array2::zeros((3, 4)), Array1::zeros(3));
        let rows = &[4, 0];
        data.gather_into(rows, &mut x.slice_mut(s![..2, 1..3]), &mut y.slice_mut(s![..2])).unwrap();
        assert_eq!(y, array![4, 0, 0]);
        assert_rows_match(x.slice(s![..2, 1..3]), y.slice(s![..2]));
    }

    #[test]
    fn gather_into_writes_nothing_when_it_fails() {
        let data = numbered(5);
        let (mut x, mut y) = (Array2::from_elem((2, 2), -1.0), Array1::from_elem(2, 9));
        let error = data.gather_into(&[0, 5], &mut x, &mut y);
        assert!(matches!(error, Err(Error::IndexOutOfRange { row: 1, index: 5, .. })));
        let error = data.gather_into(&[0], &mut x, &mut y);
        assert!(matches!(error, Err(Error::BatchSize { found: 2, expected: 1, .. })));
        let error = data.gather_into(&[0, 1], &mut Array2::zeros((2, 3)), &mut y);
        assert!(matches!(error, Err(Error::Shape { .. })));
        assert!(x.iter().all(|&v| v == -1.0) && y.iter().all(|&v| v == 9));
    }

    #[test]
    fn examples_may_be_of_size_zero() {
        let data = Dataset::new(Array2::<f32>::zeros((3, 0)), array![0, 1, 2]).unwrap();
        let (mut x, mut y) = (Array2::zeros((2, 0)), Array1::zeros(2));
        data.gather_into(&[2, 0], &mut x, &mut y).unwrap();
        assert_eq!(y, array![2, 0]);
        assert_eq!(data.batches(2).unwrap().shuffle(0).count(), 2);
    }
}
