//! Statistics, argmax and softmax of arrays: functions of PyTorch's tensors that ndarray lacks.
//!
//! Takes arrays of f32 or f64 of any shape and memory order; returns numbers and new arrays with
//! PyTorch's values: standard deviations divide by n - 1, of equal elements the first is the
//! largest, and NaN is larger than all numbers. Guaranteed: sums are computed in f64, and nothing
//! panics.
//!
//! These are functions, called as PyTorch's are, `tensor::std(&x)` for `torch.std(x)`, because
//! arrays have methods of these names, some with other arguments. An `axis` counts from the first,
//! 0, or from the last, -1.
//!
//! ```
//! use bilro::tensor;
//! use ndarray::array;
//!
//! let x = array![1.0f32, 2.0, 3.0, 4.0, 5.0];
//! assert_eq!(tensor::mean(&x), 3.0);
//! assert_eq!(tensor::std(&x), 1.5811388);
//! let scores = array![[0.1, 0.7, 0.2], [0.5, 0.2, 0.3]];
//! assert_eq!(tensor::argmax(&scores, -1)?, array![1, 0]);
//! # Ok::<(), bilro::Error>(())
//! ```
//!
//! | PyTorch | here |
//! | --- | --- |
//! | `torch.ones(2, 3)`, `torch.zeros(2, 3)` | `Array::ones((2, 3))`, `Array::zeros((2, 3))` |
//! | `torch.rand(2, 3)`, `torch.randn(2, 3)` | [`Generator::rand`](crate::rng::Generator::rand), [`randn`](crate::rng::Generator::randn) |
//! | `x.shape` | `x.shape()` |
//! | `x.view(5, 1)`, which shares memory | `x.view().into_shape_with_order((5, 1))` |
//! | `x.reshape(5, 1)`, which copies where it must | `x.to_shape((5, 1))` |
//! | `x.t()`, `torch.mm(a, b)` | `x.t()`, `a.dot(&b)` |
//! | `x.add_(y)`, `x.mul_(2)` | `x += &y`, `x *= 2.0` |
//! | `x.mean()`, `x.var()`, `x.std()` | [`mean`], [`var`], [`std()`]; along an axis [`var_axis`], [`std_axis`] |
//! | `torch.max(x, dim)`, `x.argmax(dim)` | [`max`], [`argmax`]; [`min`], [`argmin`] |
//! | `torch.softmax(x, dim)` | [`softmax`], [`log_softmax`] |

use crate::{Error, Result};
use bilro_compiler::eval::Real;
use ndarray::{Array, ArrayRef, ArrayView1, ArrayViewMut1, Axis, Dimension, RemoveAxis, Zip};

/// The mean of all elements, `x.mean()`; NaN if there are none.
pub fn mean<T: Real, D: Dimension>(x: &ArrayRef<T, D>) -> T {
    T::of_f64(mean_of(x.iter()))
}

/// The variance of all elements, `x.var()`: the sum of squared distances from the mean, divided by
/// the number of elements less one. NaN if there are fewer than two.
pub fn var<T: Real, D: Dimension>(x: &ArrayRef<T, D>) -> T {
    T::of_f64(variance_of(x.iter()))
}

/// The standard deviation of all elements, `x.std()`: the square root of [`var`].
pub fn std<T: Real, D: Dimension>(x: &ArrayRef<T, D>) -> T {
    T::of_f64(variance_of(x.iter()).sqrt())
}

/// The variance along an axis, which is removed: `x.var(axis)`. See [`var`].
///
/// # Errors
///
/// [`Error::InvalidArgument`] if there is no such axis.
pub fn var_axis<T: Real, D: RemoveAxis>(
    x: &ArrayRef<T, D>,
    axis: isize,
) -> Result<Array<T, D::Smaller>> {
    let axis = axis_of(x, axis)?;
    Ok(x.map_axis(axis, |lane| T::of_f64(variance_of(lane.iter()))))
}

/// The standard deviation along an axis, which is removed: `x.std(axis)`. See [`std()`].
///
/// # Errors
///
/// [`Error::InvalidArgument`] if there is no such axis.
pub fn std_axis<T: Real, D: RemoveAxis>(
    x: &ArrayRef<T, D>,
    axis: isize,
) -> Result<Array<T, D::Smaller>> {
    let axis = axis_of(x, axis)?;
    Ok(x.map_axis(axis, |lane| T::of_f64(variance_of(lane.iter()).sqrt())))
}

/// The largest elements along an axis, which is removed, and their indices: `torch.max(x, axis)`.
///
/// The first of equal elements; NaN is larger than all numbers.
///
/// # Errors
///
/// [`Error::InvalidArgument`] if there is no such axis, or it has no elements.
///
/// ```
/// use bilro::tensor;
/// use ndarray::array;
///
/// let (values, indices) = tensor::max(&array![[1.0, 3.0, 3.0], [9.0, 5.0, 2.0]], 1)?;
/// assert_eq!((values, indices), (array![3.0, 9.0], array![1, 0]));
/// # Ok::<(), bilro::Error>(())
/// ```
#[expect(clippy::type_complexity, reason = "two arrays of one dimension")]
pub fn max<T: Real, D: RemoveAxis>(
    x: &ArrayRef<T, D>,
    axis: isize,
) -> Result<(Array<T, D::Smaller>, Array<u32, D::Smaller>)> {
    extreme(x, axis, |a, b| a > b)
}

/// The smallest elements along an axis, which is removed, and their indices: `torch.min(x, axis)`.
///
/// The first of equal elements; NaN is smaller than all numbers.
///
/// # Errors
///
/// Those of [`max`].
#[expect(clippy::type_complexity, reason = "two arrays of one dimension")]
pub fn min<T: Real, D: RemoveAxis>(
    x: &ArrayRef<T, D>,
    axis: isize,
) -> Result<(Array<T, D::Smaller>, Array<u32, D::Smaller>)> {
    extreme(x, axis, |a, b| a < b)
}

/// The index of the largest element along an axis, which is removed: `x.argmax(axis)`, the class of
/// scores.
/// See [`max`].
///
/// # Errors
///
/// Those of [`max`].
pub fn argmax<T: Real, D: RemoveAxis>(
    x: &ArrayRef<T, D>,
    axis: isize,
) -> Result<Array<u32, D::Smaller>> {
    max(x, axis).map(|(_, indices)| indices)
}

/// The index of the smallest element along an axis, which is removed: `x.argmin(axis)`. See
/// [`min`].
///
/// # Errors
///
/// Those of [`max`].
pub fn argmin<T: Real, D: RemoveAxis>(
    x: &ArrayRef<T, D>,
    axis: isize,
) -> Result<Array<u32, D::Smaller>> {
    min(x, axis).map(|(_, indices)| indices)
}

/// `exp(x)` divided by its sum along an axis, `torch.softmax(x, axis)`: positive numbers that add
/// up to 1. The largest element is subtracted first, so that nothing overflows.
///
/// # Errors
///
/// [`Error::InvalidArgument`] if there is no such axis.
pub fn softmax<T: Real, D: Dimension>(x: &ArrayRef<T, D>, axis: isize) -> Result<Array<T, D>> {
    lanes(x, axis, |from, mut to| {
        let (top, sum) = exponentials(from);
        Zip::from(&mut to).and(from).for_each(|y, x| *y = T::of_f64((x.wide() - top).exp() / sum));
    })
}

/// The logarithm of [`softmax`], `torch.log_softmax(x, axis)`, also where the softmax underflows.
///
/// # Errors
///
/// [`Error::InvalidArgument`] if there is no such axis.
pub fn log_softmax<T: Real, D: Dimension>(x: &ArrayRef<T, D>, axis: isize) -> Result<Array<T, D>> {
    lanes(x, axis, |from, mut to| {
        let (top, sum) = exponentials(from);
        let log = sum.ln();
        Zip::from(&mut to).and(from).for_each(|y, x| *y = T::of_f64(x.wide() - top - log));
    })
}

fn mean_of<'a, T: Real>(x: impl ExactSizeIterator<Item = &'a T>) -> f64 {
    let n = x.len() as f64;
    x.map(|x| x.wide()).sum::<f64>() / n
}

fn variance_of<'a, T: Real>(x: impl ExactSizeIterator<Item = &'a T> + Clone) -> f64 {
    let mean = mean_of(x.clone());
    match x.len() {
        // The divisor would not be positive, and the sum of no elements is -0.
        0 | 1 => f64::NAN,
        n => x.map(|x| (x.wide() - mean).powi(2)).sum::<f64>() / (n - 1) as f64,
    }
}

/// The largest element, and the sum of `exp(x - largest)`.
fn exponentials<T: Real>(x: ArrayView1<'_, T>) -> (f64, f64) {
    let top = x.iter().fold(f64::NEG_INFINITY, |top, x| top.max(x.wide()));
    (top, x.iter().map(|x| (x.wide() - top).exp()).sum())
}

/// The extreme elements along an axis, of which `beats` is true against every earlier one, and
/// their indices.
#[expect(clippy::type_complexity, reason = "two arrays of one dimension")]
fn extreme<T: Real, D: RemoveAxis>(
    x: &ArrayRef<T, D>,
    axis: isize,
    beats: impl Fn(T, T) -> bool,
) -> Result<(Array<T, D::Smaller>, Array<u32, D::Smaller>)> {
    let reduced = axis_of(x, axis)?;
    let len = x.len_of(reduced);
    if len == 0 || u32::try_from(len).is_err() {
        return Err(Error::InvalidArgument {
            name: format!("the size of axis {axis}"),
            expected: "at least 1 and below 2³²".into(),
            found: len.to_string(),
        });
    }
    let better = |best: T, x: T| !best.is_nan() && (x.is_nan() || beats(x, best));
    let values = x.map_axis(reduced, |lane| {
        let first = lane[0];
        lane.iter().fold(first, |best, &x| if better(best, x) { x } else { best })
    });
    let indices = x.map_axis(reduced, |lane| {
        let best = |best: usize, i: usize| if better(lane[best], lane[i]) { i } else { best };
        (1..len).fold(0, best) as u32
    });
    Ok((values, indices))
}

/// A new array of the same shape; each lane along `axis` is computed from that of `x`.
fn lanes<T: Real, D: Dimension>(
    x: &ArrayRef<T, D>,
    axis: isize,
    mut compute: impl FnMut(ArrayView1<'_, T>, ArrayViewMut1<'_, T>),
) -> Result<Array<T, D>> {
    let axis = axis_of(x, axis)?;
    let mut y = Array::zeros(x.raw_dim());
    for (from, to) in x.lanes(axis).into_iter().zip(y.lanes_mut(axis)) {
        compute(from, to);
    }
    Ok(y)
}

/// Zeros; `None` if there is not enough memory.
pub(crate) fn zeros<T: Copy + Default, D: Dimension>(shape: D) -> Option<Array<T, D>> {
    // As in ndarray: the sizes other than 0 must not overflow, even if one size is 0.
    let mut sizes = shape.slice().iter().filter(|size| **size > 0);
    let product = sizes.try_fold(1usize, |product, size| product.checked_mul(*size))?;
    isize::try_from(product).ok()?;
    let count = if shape.slice().contains(&0) { 0 } else { product };
    let mut elements = Vec::new();
    elements.try_reserve_exact(count).ok()?;
    elements.resize(count, T::default());
    Array::from_shape_vec(shape, elements).ok()
}

/// The axis of a number that counts from the first or, if negative, from the last.
fn axis_of<T, D: Dimension>(x: &ArrayRef<T, D>, axis: isize) -> Result<Axis> {
    let rank = x.ndim();
    let from_first =
        if axis < 0 { rank.checked_sub(axis.unsigned_abs()) } else { Some(axis as usize) };
    match from_first.filter(|&axis| axis < rank) {
        Some(axis) => Ok(Axis(axis)),
        None => Err(Error::InvalidArgument {
            name: "axis".into(),
            expected: match rank {
                0 => "left out, since the array has no axes".into(),
                _ => format!("from -{rank} to {}", rank - 1),
            },
            found: axis.to_string(),
        }),
    }
}

#[cfg(test)]
mod tests {
    //! Expected values are those of torch 2.15.

    use super::*;
    use ndarray::{Array1, Array2, arr0, array};
    use std::f32::consts::LN_2;

    const NAN: f32 = f32::NAN;
    const INFINITY: f32 = f32::INFINITY;

    fn assert_close<D: Dimension>(a: &ArrayRef<f32, D>, b: &ArrayRef<f32, D>, relative: f32) {
        assert_eq!(a.shape(), b.shape());
        for (a, b) in a.iter().zip(b) {
            assert!((a - b).abs() <= relative * b.abs(), "{a} and {b}");
        }
    }

    #[test]
    fn zeros_are_none_without_enough_memory() {
        assert_eq!(zeros::<f32, _>(ndarray::Ix2(2, 3)).unwrap(), Array2::<f32>::zeros((2, 3)));
        assert_eq!(zeros::<f32, _>(ndarray::Ix2(0, 3)).unwrap().dim(), (0, 3));
        for (rows, columns) in [(usize::MAX, 2), (1 << 40, 1 << 20), (0, usize::MAX)] {
            assert!(zeros::<f32, _>(ndarray::Ix2(rows, columns)).is_none(), "{rows} {columns}");
        }
    }

    #[test]
    fn deviations_divide_by_n_minus_1() {
        let x = array![1.0f32, 2.0, 3.0, 4.0, 5.0];
        assert_eq!((mean(&x), var(&x), std(&x)), (3.0, 2.5, 1.581_138_8));
        assert_eq!(std(&array![[10.0, 16.0], [10.0, 8.0]]), 3.464_101_615_137_754_6); // √12
        let x = array![[1.0f32, 2.0, 4.0], [8.0, 16.0, 32.0]];
        assert_close(&var_axis(&x, 1).unwrap(), &array![2.333_333_3, 149.333_33], 1e-7);
        assert_close(&std_axis(&x, 0).unwrap(), &array![4.949_747_6, 9.899_495, 19.798_99], 1e-7);
        assert_eq!(std_axis(&x.t(), -1).unwrap(), std_axis(&x, 0).unwrap());
        // Far from zero, exact to f32's last bit: torch.tensor([1e4, 1e4 + 1]).var()
        assert_eq!(var(&array![1e4f32, 1e4 + 1.0]), 0.5);
        assert_eq!(mean(&Array1::from_elem(1 << 20, 0.1f32)), 0.1);
    }

    #[test]
    fn deviations_of_fewer_than_two_elements_are_nan() {
        assert!(var(&arr0(3.0f32)).is_nan() && std(&array![1.0f64]).is_nan());
        assert!(mean(&Array1::<f32>::zeros(0)).is_nan() && var(&Array1::<f64>::zeros(0)).is_nan());
        assert!(var_axis(&Array2::<f32>::zeros((3, 1)), 1).unwrap().iter().all(|x| x.is_nan()));
    }

    #[test]
    fn the_first_of_equals_and_nan_win() {
        let x = array![[1.0, 3.0, 3.0, 2.0], [NAN, 5.0, NAN, 9.0], [-1.0, -2.0, -INFINITY, -1.0]];
        let (values, indices) = max(&x, 1).unwrap();
        assert_eq!(indices, array![1, 0, 0]);
        assert!(values[0] == 3.0 && values[1].is_nan() && values[2] == -1.0);
        let (values, indices) = min(&x, -1).unwrap();
        assert_eq!(indices, array![0, 0, 2]);
        assert!(values[0] == 1.0 && values[1].is_nan() && values[2] == -INFINITY);
        assert_eq!(argmax(&x, 0).unwrap(), array![1, 1, 1, 1]);
        assert_eq!(argmin(&x, -2).unwrap(), array![1, 2, 1, 2]);
        assert_eq!(argmax(&array![2.0, 7.0, 1.0], 0).unwrap(), arr0(1));
    }

    #[test]
    fn softmax_is_pytorchs() {
        let x = array![[1.0f32, 2.0, 4.0], [8.0, 16.0, 32.0]];
        let rows = array![
            [0.042_010_065, 0.114_195_19, 0.843_794_7],
            [3.775_134e-11, 1.125_351_6e-7, 0.999_999_9]
        ];
        assert_close(&softmax(&x, 1).unwrap(), &rows, 1e-6);
        let columns =
            array![[9.110_512e-4, 8.315_280_4e-7, 6.914_4e-13], [0.999_089, 0.999_999_17, 1.0]];
        assert_close(&softmax(&x, 0).unwrap(), &columns, 1e-6);
        let logs = array![[-1000.0f32, 0.0], [1000.0, 1000.0]];
        assert_eq!(log_softmax(&logs, 1).unwrap(), { array![[-1000.0, 0.0], [-LN_2, -LN_2]] });
        let with_nan = softmax(&array![[1.0, INFINITY], [NAN, 1.0]], 1).unwrap();
        assert!(with_nan.iter().all(|x| x.is_nan()), "{with_nan}");
        assert_eq!(softmax(&Array2::<f32>::zeros((3, 0)), 1).unwrap().dim(), (3, 0));
    }

    #[test]
    fn axes_out_of_range_are_refused() {
        let x = Array2::<f32>::zeros((2, 3));
        for axis in [2, -3, isize::MIN, isize::MAX] {
            let error = argmax(&x, axis).unwrap_err().to_string();
            assert_eq!(error, format!("axis must be from -2 to 1, but is {axis}"));
        }
        assert!(matches!(softmax(&arr0(1.0), 0), Err(Error::InvalidArgument { .. })));
        assert!(matches!(
            max(&Array2::<f32>::zeros((3, 0)), 1),
            Err(Error::InvalidArgument { .. })
        ));
        assert_eq!(argmax(&Array2::<f32>::zeros((0, 3)), 1).unwrap().len(), 0);
    }
}
