//! The operation [`Std`].

use super::var::{self, Var};
use super::{Attributes, Lowering, Operation, Reverse, Sample, Signature, axis};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::ops::reduce::Reduction;
use crate::shape::{Argument, Facts, Type};

/// The standard deviation over one axis of the example, or over all its axes: the square root of the
/// [variance](super::var). Where it is 0, its gradient is 0, as in PyTorch.
///
/// In the language: `std(x, axis = all, unbiased = true)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = std(x, unbiased = false);
///     }
/// }
///
/// let x = array![[1.0, 2.0, 4.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![1.24722]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Std(
    /// The variance under the root.
    pub Var,
);

/// Differences above 2⁵² or below 2⁻⁵⁰ are scaled by 2⁻⁷⁶ or 2⁷⁶ before they are squared.
const LARGE: f32 = 4_503_599_627_370_496.0;
const SMALL: f32 = 8.881_784e-16;
const SHRUNK: f32 = 1.323_489e-23;

impl Operation for Std {
    const NAME: &'static str = "std";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]).with(var::ATTRIBUTES));

    fn from_call(attributes: &Attributes) -> Result<Std, Mistake> {
        Ok(Std(Var::from_call(attributes)?))
    }

    fn shape(&self, x: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        axis::reduced(Self::NAME, self.0.axis, x[0])
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        axis::evaluate(self.0.axis, x[0], at, |lane| self.0.of(lane).sqrt())
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let zero = g.constant(0.0);
        let twice = g.scale(at.y, 2.0);
        let share = g.div(at.dy, twice);
        let is_zero = g.equal(at.y, zero);
        let dvar = g.select(is_zero, zero, share);
        vec![Some(self.0.backward(g, at.x[0], dvar))]
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| {
            // Squares of large or small differences would overflow or underflow although the root of
            // their mean does not. Scaling by powers of two is exact.
            let centred = self.0.centred(g, x[0]);
            let size = g.abs(centred);
            let largest = axis::decompose(Reduction::Max, self.0.axis, g, size);
            let (large, small) = (g.constant(LARGE), g.constant(SMALL));
            let (is_large, is_small) = (g.greater(largest, large), g.greater(small, largest));
            let [one, shrink, grow] = [1.0, SHRUNK, 1.0 / SHRUNK].map(|x| g.constant(x));
            let (scale, unscale) = (g.select(is_small, grow, one), g.select(is_small, shrink, one));
            let (scale, unscale) =
                (g.select(is_large, shrink, scale), g.select(is_large, grow, unscale));
            let keepdim = axis::keepdim(self.0.axis, g.ty(x[0]));
            let scale = g.reshape(scale, &keepdim);
            let scaled = g.mul(centred, scale);
            let squares = g.square(scaled);
            let sum = axis::decompose(Reduction::Sum, self.0.axis, g, squares);
            let count = g.constant(self.0.divisor(g.ty(x[0])));
            let mean = g.div(sum, count);
            let root = g.sqrt(mean);
            g.mul(root, unscale)
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        var::samples(size, |axis, unbiased| Std(Var { axis, unbiased }))
    }
}
