//! The operation [`LogSumExp`].

use super::{Attributes, Lowering, Operation, Reverse, Sample, Signature, axis};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Total, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Facts, Type};

/// `ln Σ eˣ` over an axis. The maximum is subtracted first to avoid overflow.
///
/// In the language: `logsumexp(x, axis = -1)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = logsumexp(x);
///     }
/// }
///
/// let x = array![[1.0, 2.0, 4.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![4.16985]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct LogSumExp {
    /// The axis, counted from the end if negative; default -1.
    pub axis: i64,
}

impl Operation for LogSumExp {
    const NAME: &'static str = "logsumexp";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]).with(&[axis::LANES]));

    fn from_call(attributes: &Attributes) -> Result<LogSumExp, Mistake> {
        Ok(LogSumExp { axis: axis::lanes(attributes) })
    }

    fn shape(&self, x: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        axis::reduced(Self::NAME, Some(self.axis), x[0])
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        axis::evaluate(Some(self.axis), x[0], at, |lane| {
            let lane: Vec<T> = lane.copied().collect();
            let largest = lane.iter().copied().fold(T::neg_infinity(), T::max);
            // An infinite maximum makes the result infinite.
            let shift = if largest.is_finite() { largest } else { T::zero() };
            lane.iter().map(|x| (*x - shift).exp()).total().ln() + shift
        })
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let keepdim = axis::keepdim(Some(self.axis), g.ty(at.x[0]));
        let p = g.apply(super::softmax::Softmax { axis: self.axis }, &[at.x[0]]);
        let dy = g.reshape(at.dy, &keepdim);
        vec![Some(g.mul(p, dy))]
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| {
            let axis = axis::resolve(self.axis, g.ty(x[0]));
            let largest = g.max_axis(x[0], axis);
            // An infinite maximum makes the result infinite.
            let (zero, infinity) = (g.constant(0.0), g.constant(f32::INFINITY));
            let size = g.abs(largest);
            let is_finite = g.greater(infinity, size);
            let shift = g.select(is_finite, largest, zero);
            let shifted = g.sub(x[0], shift);
            let e = g.exp(shifted);
            let sum = g.sum_axis(e, axis);
            let log = g.log(sum);
            let y = g.add(log, shift);
            let mut shape = g.shape(x[0]).clone();
            shape.dims.remove(axis);
            g.reshape(y, &shape)
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        axis::samples_along(size, |axis| LogSumExp { axis })
    }
}
