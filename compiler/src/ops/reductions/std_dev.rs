//! The operation [`Std`].

use super::var::{self, Var};
use super::{Attributes, Lowering, Operation, Reduced, Reverse, Sample, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::ops::reduce::Reduction;
use crate::shape::{Argument, Facts, Type};

/// The standard deviation over axes of the example, all by default: the square root of the
/// [variance](super::var). Where it is 0, its gradient is 0, as in PyTorch.
///
/// In the language: `std(x, axis = all, unbiased = true, keepdim = false)`.
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

/// Numbers above 2⁵² or below 2⁻⁵⁰ are scaled by 2⁻⁷⁶ or 2⁷⁶ before they are squared.
const LARGE: f32 = 4_503_599_627_370_496.0;
const SMALL: f32 = 8.881_784e-16;
const SHRUNK: f32 = 1.323_489e-23;

/// The root of the sum of squares, or of their sum divided by a number.
pub(in crate::ops) fn root_of_squares(
    over: &Reduced,
    g: &mut Graph,
    x: NodeId,
    divisor: Option<f32>,
) -> NodeId {
    // Squares of large or small numbers would overflow or underflow although the root of their sum does
    // not. Scaling by powers of two is exact.
    let size = g.abs(x);
    let largest = over.decompose(Reduction::Max, g, size);
    let (large, small) = (g.constant(LARGE), g.constant(SMALL));
    let (is_large, is_small) = (g.greater(largest, large), g.greater(small, largest));
    let [one, shrink, grow] = [1.0, SHRUNK, 1.0 / SHRUNK].map(|x| g.constant(x));
    let (scale, unscale) = (g.select(is_small, grow, one), g.select(is_small, shrink, one));
    let (scale, unscale) = (g.select(is_large, shrink, scale), g.select(is_large, grow, unscale));
    let kept = over.kept(g.ty(x));
    let scale = g.reshape(scale, &kept);
    let scaled = g.mul(x, scale);
    let squares = g.square(scaled);
    let sum = over.decompose(Reduction::Sum, g, squares);
    let mean = match divisor {
        Some(divisor) => {
            let divisor = g.constant(divisor);
            g.div(sum, divisor)
        }
        None => sum,
    };
    let root = g.sqrt(mean);
    g.mul(root, unscale)
}

impl Operation for Std {
    const NAME: &'static str = "std";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]).with(var::ATTRIBUTES));

    fn from_call(attributes: &Attributes) -> Result<Std, Mistake> {
        Ok(Std(Var::from_call(attributes)?))
    }

    fn shape(&self, x: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        self.0.over.shape(Self::NAME, x[0])
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        self.0.over.evaluate(x[0], at, |lane| self.0.of(lane).sqrt())
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
            let centred = self.0.centred(g, x[0]);
            let divisor = self.0.divisor(g.ty(x[0]));
            root_of_squares(&self.0.over, g, centred, Some(divisor))
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        var::samples(size, |over, unbiased| Std(Var { over, unbiased }))
    }
}
