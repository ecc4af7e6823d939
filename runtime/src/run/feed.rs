//! Feeds: the arrays passed to a network.

use ndarray::{ArrayView, ArrayViewD, Dimension};

/// The array for an input or a target, examples along the first axis.
#[derive(Clone, Debug)]
pub enum Feed<'a> {
    /// Reals.
    Real(ArrayViewD<'a, f32>),
    /// Integers.
    Index(ArrayViewD<'a, u32>),
}

impl<'a, D: Dimension> From<ArrayView<'a, f32, D>> for Feed<'a> {
    fn from(array: ArrayView<'a, f32, D>) -> Feed<'a> {
        Feed::Real(array.into_dyn())
    }
}

impl<'a, D: Dimension> From<ArrayView<'a, u32, D>> for Feed<'a> {
    fn from(array: ArrayView<'a, u32, D>) -> Feed<'a> {
        Feed::Index(array.into_dyn())
    }
}
