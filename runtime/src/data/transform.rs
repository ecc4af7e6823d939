//! Transformations of data sets: map, reshape, filter, concatenate, normalize, one-hot,
//! standardize.
//!
//! Takes a data set and returns a new one. Guaranteed: changes of examples do not affect their
//! targets, and vice versa; every example keeps its target.

use super::Dataset;
use crate::{Error, Result, memory};
use ndarray::{Array, ArrayView, Axis, Dimension, IntoDimension, RemoveAxis, concatenate};

impl<A: Copy, DX: RemoveAxis, B: Copy, DY: RemoveAxis> Dataset<A, DX, B, DY> {
    /// The same data set with `x` transformed by `change`; the type and the shape of an example may
    /// change.
    ///
    /// # Errors
    ///
    /// [`Error::BatchSize`] if `change` returns another number of examples, and the other errors of
    /// [`new`](Self::new).
    ///
    /// ```
    /// # let digits = bilro::data::digits()?;
    /// let inverted = digits.map_x(|x| 1.0 - x)?;
    /// # Ok::<(), bilro::Error>(())
    /// ```
    pub fn map_x<A2: Copy, DX2: RemoveAxis>(
        self,
        change: impl FnOnce(Array<A, DX>) -> Array<A2, DX2>,
    ) -> Result<Dataset<A2, DX2, B, DY>> {
        let examples = self.len();
        let x = change(self.x);
        check_count("x", x.shape(), examples)?;
        Dataset::new(x, self.y)
    }

    /// The same data set with `y` transformed by `change`; the type and the shape may change.
    ///
    /// # Errors
    ///
    /// Those of [`map_x`](Self::map_x).
    ///
    /// ```
    /// use ndarray::Axis;
    ///
    /// # let digits = bilro::data::digits()?;
    /// // Whether a digit is even, as a real of shape [1].
    /// let even = digits.map_y(|y| y.mapv(|y| if y % 2 == 0 { 1.0 } else { 0.0 }).insert_axis(Axis(1)))?;
    /// assert_eq!(even.y().shape(), [1797, 1]);
    /// # Ok::<(), bilro::Error>(())
    /// ```
    pub fn map_y<B2: Copy, DY2: RemoveAxis>(
        self,
        change: impl FnOnce(Array<B, DY>) -> Array<B2, DY2>,
    ) -> Result<Dataset<A, DX, B2, DY2>> {
        let examples = self.len();
        let y = change(self.y);
        check_count("y", y.shape(), examples)?;
        Dataset::new(self.x, y)
    }

    /// The same data set with examples of another shape and the same elements, in row-major order.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if an example has another number of elements.
    ///
    /// ```
    /// # let digits = bilro::data::digits()?;
    /// let images = digits.reshape_x([1, 8, 8])?;
    /// assert_eq!(images.x().shape(), [1797, 1, 8, 8]);
    /// # Ok::<(), bilro::Error>(())
    /// ```
    pub fn reshape_x<E: IntoDimension>(
        self,
        shape: E,
    ) -> Result<Dataset<A, <E::Dim as Dimension>::Larger, B, DY>>
    where
        <E::Dim as Dimension>::Larger: RemoveAxis,
    {
        let example = shape.into_dimension();
        let mut full = <E::Dim as Dimension>::Larger::zeros(example.ndim() + 1);
        full[0] = self.len();
        full.slice_mut()[1..].copy_from_slice(example.slice());
        let expected = self.x.shape()[1..].to_vec();
        let x = self.x.into_shape_with_order(full).map_err(|_| Error::Shape {
            name: "x".into(),
            expected,
            found: example.slice().to_vec(),
        })?;
        Ok(Dataset { x, y: self.y })
    }

    /// The examples for which `keep` returns `true`, in their order.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`] if there are none.
    ///
    /// ```
    /// # let digits = bilro::data::digits()?;
    /// let zeros_and_ones = digits.filter(|_, y| y[()] < 2)?;
    /// assert_eq!(zeros_and_ones.len(), 178 + 182);
    /// # Ok::<(), bilro::Error>(())
    /// ```
    pub fn filter(
        &self,
        mut keep: impl FnMut(ArrayView<'_, A, DX::Smaller>, ArrayView<'_, B, DY::Smaller>) -> bool,
    ) -> Result<Self> {
        let examples = self.x.axis_iter(Axis(0)).zip(self.y.axis_iter(Axis(0)));
        let rows = (0..).zip(examples).filter_map(|(i, (x, y))| keep(x, y).then_some(i));
        self.select(&rows.collect::<Vec<u32>>())
    }

    /// The examples of this data set, then those of `other`.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if examples or targets have different shapes, [`Error::InvalidArgument`] if
    /// there are too many examples together, [`Error::Memory`] if there is not enough.
    pub fn concat(&self, other: &Self) -> Result<Self> {
        check_shape("x", self.x.shape(), other.x.shape())?;
        check_shape("y", self.y.shape(), other.y.shape())?;
        self.check_memory(self.len().saturating_add(other.len()))?;
        let too_large = |error: ndarray::ShapeError| Error::InvalidArgument {
            name: "examples".into(),
            expected: "no more than fit into memory".into(),
            found: error.to_string(),
        };
        let x = concatenate(Axis(0), &[self.x.view(), other.x.view()]).map_err(too_large)?;
        let y = concatenate(Axis(0), &[self.y.view(), other.y.view()]).map_err(too_large)?;
        Self::new(x, y)
    }
}

impl<DX: RemoveAxis, B: Copy, DY: RemoveAxis> Dataset<f32, DX, B, DY> {
    /// `(x - mean) / std` of every element, as torchvision's `Normalize`: with 0.5 and 0.5, pixels
    /// of 0 to 1 become -1 to 1.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if `mean` is not finite, or `std` not finite and above 0.
    ///
    /// ```
    /// let digits = bilro::data::digits()?.normalize(0.5, 0.5)?;
    /// assert_eq!(digits.x()[[0, 0]], -1.0);
    /// # Ok::<(), bilro::Error>(())
    /// ```
    pub fn normalize(mut self, mean: f32, std: f32) -> Result<Self> {
        let invalid = |name: &str, expected: &str, found: f32| Error::InvalidArgument {
            name: name.into(),
            expected: expected.into(),
            found: found.to_string(),
        };
        if !mean.is_finite() {
            return Err(invalid("mean", "finite", mean));
        }
        if !(std.is_finite() && std > 0.0) {
            return Err(invalid("std", "finite and above 0", std));
        }
        self.x.mapv_inplace(|x| (x - mean) / std);
        Ok(self)
    }
}

impl<A: Copy, DX: RemoveAxis, DY: RemoveAxis> Dataset<A, DX, u32, DY>
where
    DY::Larger: RemoveAxis,
{
    /// The same data set with a vector of reals for each class: 1 at its index, 0 elsewhere, along
    /// a new last axis of size `classes`.
    ///
    /// # Errors
    ///
    /// [`Error::IndexOutOfRange`] if a class is not below `classes`, [`Error::Memory`] for more
    /// classes than there is memory for.
    ///
    /// ```
    /// let digits = bilro::data::digits()?.one_hot(10)?;
    /// assert_eq!(digits.y().shape(), [1797, 10]);
    /// # Ok::<(), bilro::Error>(())
    /// ```
    pub fn one_hot(self, classes: usize) -> Result<Dataset<A, DX, f32, DY::Larger>> {
        let row = self.y.len() / self.len();
        if let Some(index) = self.y.iter().position(|&class| class as usize >= classes) {
            // `y` has elements, so that `row` is not 0.
            let class = self.y.iter().nth(index).copied().unwrap_or_default();
            return Err(Error::IndexOutOfRange {
                name: "y".into(),
                row: index / row,
                index: class,
                below: classes,
            });
        }
        let mut shape = DY::Larger::zeros(self.y.ndim() + 1);
        shape.slice_mut()[..self.y.ndim()].copy_from_slice(self.y.shape());
        shape[self.y.ndim()] = classes;
        let mut y = memory::array(|| format!("labels as {classes} numbers each"), shape)?;
        for (mut hot, &class) in y.rows_mut().into_iter().zip(&self.y) {
            hot[class as usize] = 1.0;
        }
        Ok(Dataset { x: self.x, y })
    }
}

/// Standardizes features: subtracts the mean of the training set and divides by its standard
/// deviation.
///
/// Fitted on the training set and applied to all sets: statistics of the test set would leak
/// information about it into training.
///
/// ```
/// use bilro::data::{self, Standardizer};
///
/// let (train, test) = data::blobs(100, &[[-20.0, 1.0], [20.0, 2.0]], 0.5, 7)?.split(0.8, 7)?;
/// let standardizer = Standardizer::fit(&train);
/// let (train, test) = (standardizer.apply(train)?, standardizer.apply(test)?);
/// assert!(train.x().mean().unwrap().abs() < 1e-5);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Standardizer<D: Dimension> {
    mean: Array<f32, D>,
    std: Array<f32, D>,
}

impl<D: Dimension> Standardizer<D> {
    /// Computes the mean and the standard deviation of each feature over the examples.
    ///
    /// The variance is divided by the number of examples, as in scikit-learn's `StandardScaler`. A
    /// standard deviation of 0 is replaced by 1: a constant feature becomes 0.
    pub fn fit<DX, B, DY>(train: &Dataset<f32, DX, B, DY>) -> Self
    where
        DX: RemoveAxis<Smaller = D>,
        B: Copy,
        DY: RemoveAxis,
    {
        let shape = train.x.raw_dim().remove_axis(Axis(0));
        let n = train.len() as f64;
        // Two passes in f64: first for the mean, then for the squared distances.
        let mut mean = Array::<f64, D>::zeros(shape.clone());
        for x in train.x.axis_iter(Axis(0)) {
            mean.zip_mut_with(&x, |sum, &x| *sum += f64::from(x));
        }
        mean /= n;
        let mut variance = Array::<f64, D>::zeros(shape);
        for x in train.x.axis_iter(Axis(0)) {
            ndarray::Zip::from(&mut variance)
                .and(&x)
                .and(&mean)
                .for_each(|sum, &x, &mean| *sum += (f64::from(x) - mean).powi(2));
        }
        let std = variance.mapv(|sum| match (sum / n).sqrt() as f32 {
            0.0 => 1.0,
            std => std,
        });
        Self { mean: mean.mapv(|mean| mean as f32), std }
    }

    /// The mean of each feature.
    pub fn mean(&self) -> ArrayView<'_, f32, D> {
        self.mean.view()
    }

    /// The standard deviation of each feature, or 1 if it is 0.
    pub fn std(&self) -> ArrayView<'_, f32, D> {
        self.std.view()
    }

    /// `(x - mean) / std` of each feature.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if examples have another shape than those of the training set.
    pub fn apply<DX, B, DY>(
        &self,
        mut data: Dataset<f32, DX, B, DY>,
    ) -> Result<Dataset<f32, DX, B, DY>>
    where
        DX: RemoveAxis<Smaller = D>,
        B: Copy,
        DY: RemoveAxis,
    {
        if data.x.shape()[1..] != *self.mean.shape() {
            return Err(Error::Shape {
                name: "x".into(),
                expected: self.mean.shape().to_vec(),
                found: data.x.shape()[1..].to_vec(),
            });
        }
        for x in data.x.axis_iter_mut(Axis(0)) {
            ndarray::Zip::from(x)
                .and(&self.mean)
                .and(&self.std)
                .for_each(|x, mean, std| *x = (*x - mean) / std);
        }
        Ok(data)
    }
}

/// Requires that a transformed array has the same number of examples.
fn check_count(name: &str, shape: &[usize], expected: usize) -> Result<()> {
    let found = super::examples(name, shape)?;
    if found == expected {
        return Ok(());
    }
    Err(Error::BatchSize {
        name: name.into(),
        found,
        other: format!("{name} before the change"),
        expected,
    })
}

/// Requires that the examples of two arrays have the same shape.
fn check_shape(name: &str, expected: &[usize], found: &[usize]) -> Result<()> {
    let (expected, found) = (expected[1..].to_vec(), found[1..].to_vec());
    if expected == found {
        return Ok(());
    }
    Err(Error::Shape { name: name.into(), expected, found })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_rows_match, numbered};
    use super::*;
    use ndarray::{Array2, array, s};

    #[test]
    fn more_classes_than_there_is_memory_for_are_refused() {
        let data = Dataset::new(Array2::<f32>::zeros((3, 2)), array![0u32, 1, 2]).unwrap();
        for classes in [1 << 50, usize::MAX] {
            let error = data.clone().one_hot(classes).unwrap_err();
            assert!(matches!(error, Error::Memory { .. }), "{error}");
        }
    }

    #[test]
    fn maps_change_type_and_shape_but_not_the_number_of_examples() {
        let data = numbered(3).map_x(|x| x.mapv(|x| x as u32).slice_move(s![.., 1])).unwrap();
        assert_eq!((data.x(), data.y()), (array![1, 3, 5].view(), array![0, 1, 2].view()));
        let data = numbered(2).map_y(|y| y.mapv(|y| y as f32 / 2.0).insert_axis(Axis(1))).unwrap();
        assert_eq!(data.y(), array![[0.0], [0.5]]);
        // Column-major results become row-major.
        let data = numbered(3)
            .map_x(|x| x.reversed_axes().as_standard_layout().into_owned().reversed_axes());
        assert!(data.unwrap().x().is_standard_layout());
        let fewer = numbered(3).map_x(|x| x.slice_move(s![..2, ..])).unwrap_err();
        assert!(matches!(fewer, Error::BatchSize { found: 2, expected: 3, .. }), "{fewer}");
        let none = numbered(3).map_y(|y| y.slice_move(s![..0])).unwrap_err();
        assert!(matches!(none, Error::BatchSize { found: 0, expected: 3, .. }), "{none}");
    }

    #[test]
    fn reshaping_keeps_elements() {
        let data = numbered(2).reshape_x([1, 2, 1]).unwrap();
        assert_eq!(data.x(), array![[[[0.0], [1.0]]], [[[2.0], [3.0]]]]);
        assert_eq!(numbered(2).reshape_x(2).unwrap(), numbered(2));
        let error = numbered(2).reshape_x([3]).unwrap_err();
        assert_eq!(error.to_string(), "`x` takes examples of shape [2], but was given [3]");
        let one = numbered(2).map_x(|x| x.slice_move(s![.., ..1])).unwrap();
        assert_eq!(one.reshape_x(()).unwrap().x(), array![0.0, 2.0]);
    }

    #[test]
    fn filter_keeps_targets_with_their_examples() {
        let odd = numbered(7).filter(|_, y| y[()] % 2 == 1).unwrap();
        assert_eq!(odd.y(), array![1, 3, 5]);
        assert_rows_match(odd.x(), odd.y());
        let large = numbered(7).filter(|x, _| x[0] > 9.0).unwrap();
        assert_eq!(large.y(), array![5, 6]);
        assert!(matches!(numbered(7).filter(|_, _| false), Err(Error::Empty { .. })));
    }

    #[test]
    fn concat_appends() {
        let (a, b) = numbered(7).split_in_order(0.3).unwrap();
        assert_eq!(a.concat(&b).unwrap(), numbered(7));
        let wider = Dataset::new(Array2::zeros((1, 3)), array![0]).unwrap();
        let error = numbered(1).concat(&wider).unwrap_err();
        assert!(matches!(error, Error::Shape { .. }), "{error}");
    }

    #[test]
    fn normalize_is_torchvisions() {
        let data = Dataset::new(array![[0.0, 0.25], [0.5, 1.0]], array![0, 1]).unwrap();
        assert_eq!(data.clone().normalize(0.5, 0.5).unwrap().x(), array![[-1.0, -0.5], [0.0, 1.0]]);
        for (mean, std) in [(f32::NAN, 1.0), (0.0, 0.0), (0.0, -1.0), (0.0, f32::INFINITY)] {
            let result = data.clone().normalize(mean, std);
            assert!(matches!(result, Err(Error::InvalidArgument { .. })), "{mean}, {std}");
        }
    }

    #[test]
    fn one_hot_marks_the_class() {
        let data = numbered(3).one_hot(4).unwrap();
        assert_eq!(data.y(), array![[1., 0., 0., 0.], [0., 1., 0., 0.], [0., 0., 1., 0.]]);
        let pairs = Dataset::new(array![0.0], array![[1, 0]]).unwrap().one_hot(2).unwrap();
        assert_eq!(pairs.y(), array![[[0.0, 1.0], [1.0, 0.0]]]);
        let error = numbered(4).one_hot(3).unwrap_err();
        assert!(
            matches!(error, Error::IndexOutOfRange { row: 3, index: 3, below: 3, .. }),
            "{error}"
        );
        let error = Dataset::new(array![0.0, 0.0], array![[0, 0], [0, 7]]).unwrap().one_hot(2);
        assert!(matches!(error, Err(Error::IndexOutOfRange { row: 1, index: 7, .. })));
    }

    #[test]
    fn standardizing_uses_the_training_set() {
        let train =
            Dataset::new(array![[1.0, 7.0], [3.0, 7.0], [8.0, 7.0]], array![0, 0, 0]).unwrap();
        let standardizer = Standardizer::fit(&train);
        assert_eq!(standardizer.mean(), array![4.0, 7.0]);
        // √((9 + 1 + 16) / 3), as StandardScaler().fit(...).scale_ has it; and 1 for the constant
        // feature.
        assert!((standardizer.std()[0] - 2.943_920_3).abs() < 1e-6);
        assert_eq!(standardizer.std()[1], 1.0);
        let test = Dataset::new(array![[4.0, 8.0]], array![0]).unwrap();
        assert_eq!(standardizer.apply(test).unwrap().x(), array![[0.0, 1.0]]);
        let other = Dataset::new(array![[4.0]], array![0]).unwrap();
        assert!(matches!(standardizer.apply(other), Err(Error::Shape { .. })));
    }

    #[test]
    fn standardizing_is_exact_far_from_zero() {
        let x = Array2::from_shape_fn((1000, 1), |(i, _)| 10_000.0 + (i % 2) as f32);
        let data = Dataset::new(x, ndarray::Array1::<u32>::zeros(1000)).unwrap();
        let standardizer = Standardizer::fit(&data);
        assert_eq!((standardizer.mean()[0], standardizer.std()[0]), (10_000.5, 0.5));
    }
}
