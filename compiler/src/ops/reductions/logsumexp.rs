//! The operation [`LogSumExp`].

use super::{Attributes, Domain, Lowering, Operation, Reduced, Reverse, Sample, Signature, axis};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Total, Value};
use crate::graph::{Graph, NodeId};
use crate::ops::reduce::Reduction;
use crate::shape::{Argument, Facts, Type};

/// `ln Σ eˣ` over axes of the example, the last by default. The maximum is subtracted first to avoid overflow.
///
/// In the language: `logsumexp(x, axis = -1, keepdim = false)`.
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
    /// The reduced axes; default the last.
    pub over: Reduced,
}

impl Operation for LogSumExp {
    const NAME: &'static str = "logsumexp";
    const CALL: Option<Signature> =
        Some(Signature::of(&["x"]).with(&[axis::REDUCED_LAST, axis::KEEPDIM]));

    fn from_call(attributes: &Attributes) -> Result<LogSumExp, Mistake> {
        Ok(LogSumExp { over: Reduced::of_last(attributes) })
    }

    fn shape(&self, x: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        self.over.shape(Self::NAME, x[0])
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        self.over.evaluate(x[0], at, |lane| {
            let lane: Vec<T> = lane.copied().collect();
            let largest = lane.iter().copied().fold(T::neg_infinity(), T::max);
            // An infinite maximum makes the result infinite.
            let shift = if largest.is_finite() { largest } else { T::zero() };
            lane.iter().map(|x| (*x - shift).exp()).total().ln() + shift
        })
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let x = at.x[0];
        let kept = self.over.kept(g.ty(x));
        let p = match self.over.axes(g.ty(x))[..] {
            [axis] => g.apply(super::softmax::Softmax { axis: axis as i64 }, &[x]),
            // The softmax over several axes.
            _ => {
                let over = Reduced { keepdim: true, ..self.over.clone() };
                let largest = over.decompose(Reduction::Max, g, x);
                let shifted = g.sub(x, largest);
                let e = g.exp(shifted);
                let sum = over.decompose(Reduction::Sum, g, e);
                g.div(e, sum)
            }
        };
        let dy = g.reshape(at.dy, &kept);
        vec![Some(g.mul(p, dy))]
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| {
            let over = Reduced { keepdim: true, ..self.over.clone() };
            let largest = over.decompose(Reduction::Max, g, x[0]);
            // An infinite maximum makes the result infinite.
            let (zero, infinity) = (g.constant(0.0), g.constant(f32::INFINITY));
            let size = g.abs(largest);
            let is_finite = g.greater(infinity, size);
            let shift = g.select(is_finite, largest, zero);
            let shifted = g.sub(x[0], shift);
            let e = g.exp(shifted);
            let sum = over.decompose(Reduction::Sum, g, e);
            let log = g.log(sum);
            let y = g.add(log, shift);
            let shape = self.over.result(g.ty(x[0]));
            g.reshape(y, &shape)
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        let samples = axis::samples(size, Domain::Normal(3.0), |over| LogSumExp { over });
        samples.into_iter().filter(|sample| sample.operands[0].ty.shape.rank() > 0).collect()
    }
}
