//! The operation [`Softmax`].

use super::{Attributes, Lowering, Operation, Reverse, Sample, Signature, axis};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Total, Value};
use crate::faults::{self, Fault};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Facts, Type};

/// Softmax, `eˣ / Σ eˣ` over an axis. The maximum is subtracted first to avoid overflow.
///
/// In the language: `softmax(x, axis = -1)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = softmax(x);
///     }
/// }
///
/// let x = array![[1.0, 2.0, 4.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[0.0420101, 0.114195, 0.843795]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Softmax {
    /// The axis, counted from the end if negative; default -1.
    pub axis: i64,
}

impl Operation for Softmax {
    const NAME: &'static str = "softmax";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]).with(&[axis::LANES]));

    fn from_call(attributes: &Attributes) -> Result<Softmax, Mistake> {
        Ok(Softmax { axis: axis::lanes(attributes) })
    }

    fn shape(&self, x: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        axis::unchanged(Self::NAME, self.axis, x[0])
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        axis::map_lanes(self.axis, x[0], at, |lane| {
            let largest = lane.iter().copied().fold(T::neg_infinity(), T::max);
            let sum = lane.iter().map(|x| (*x - largest).exp()).total();
            lane.iter().map(|x| (*x - largest).exp() / sum).collect()
        })
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let axis = axis::resolve(self.axis, g.ty(at.x[0]));
        let product = g.mul(at.dy, at.y);
        let sum = g.sum_axis(product, axis);
        let is_faulty = faults::is(Fault::SoftmaxSum);
        let difference = if is_faulty { at.dy } else { g.sub(at.dy, sum) };
        vec![Some(g.mul(at.y, difference))]
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| {
            let axis = axis::resolve(self.axis, g.ty(x[0]));
            let largest = g.max_axis(x[0], axis);
            let shifted = g.sub(x[0], largest);
            let e = g.exp(shifted);
            let sum = g.sum_axis(e, axis);
            g.div(e, sum)
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        axis::samples_along(size, |axis| Softmax { axis })
    }
}
