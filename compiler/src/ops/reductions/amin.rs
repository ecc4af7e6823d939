//! The operation [`Amin`].

use super::{Attributes, Domain, Lowering, Operation, Reverse, Sample, Signature, axis};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::ops::reduce::Reduction;
use crate::shape::{Argument, Facts, Type};

/// The minimum over one axis of the example, or over all its axes; NaN if an element is NaN. Equal
/// smallest elements share the gradient evenly.
///
/// In the language: `amin(x, axis = all)`.
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
    /// The axis, counted from the end if negative; `None` for all axes of the example.
    pub axis: Option<i64>,
}

impl Operation for Amin {
    const NAME: &'static str = "amin";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]).with(&[axis::REDUCED]));

    fn from_call(attributes: &Attributes) -> Result<Amin, Mistake> {
        Ok(Amin { axis: attributes.axis("axis") })
    }

    fn shape(&self, x: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        axis::reduced(Self::NAME, self.axis, x[0])
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        axis::evaluate(self.axis, x[0], at, |lane| -T::largest_of(lane.map(|x| -*x)))
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        axis::extreme_gradient(self.axis, g, at)
    }

    fn lower(&self) -> Lowering<'_> {
        // Negation is exact.
        Lowering::Composite(Box::new(|g, x| {
            let minus = g.neg(x[0]);
            let largest = axis::decompose(Reduction::Max, self.axis, g, minus);
            g.neg(largest)
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        axis::samples(size, Domain::Separated, |axis| Amin { axis })
    }
}
