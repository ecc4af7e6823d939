//! The operation [`Amin`].

use super::{Attributes, Domain, Lowering, Operation, Reduced, Reverse, Sample, Signature, axis};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::ops::reduce::Reduction;
use crate::shape::{Argument, Facts, Type};

/// The minimum over axes of the example, all by default; NaN if an element is NaN. Equal
/// smallest elements share the gradient evenly.
///
/// In the language: `amin(x, axis = all, keepdim = false)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = amin(x);
///     }
/// }
///
/// let x = array![[1.0, 2.0, 4.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![1.0]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Amin {
    /// The reduced axes.
    pub over: Reduced,
}

impl Operation for Amin {
    const NAME: &'static str = "amin";
    const CALL: Option<Signature> =
        Some(Signature::of(&["x"]).with(&[axis::REDUCED, axis::KEEPDIM]));

    fn from_call(attributes: &Attributes) -> Result<Amin, Mistake> {
        Ok(Amin { over: Reduced::of(attributes) })
    }

    fn shape(&self, x: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        self.over.shape(Self::NAME, x[0])
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        self.over.evaluate(x[0], at, |lane| -T::largest_of(lane.map(|x| -*x)))
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        self.over.extreme_gradient(g, at)
    }

    fn lower(&self) -> Lowering<'_> {
        // Negation is exact.
        Lowering::Composite(Box::new(|g, x| {
            let minus = g.neg(x[0]);
            let largest = self.over.decompose(Reduction::Max, g, minus);
            g.neg(largest)
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        axis::samples(size, Domain::Separated, |over| Amin { over })
    }
}
