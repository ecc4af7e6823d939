//! The cross entropy of logits and a class index, for each example:
//! `ln Σ eˣ - x[target]`, with the largest taken off first so that nothing overflows.
//!
//! Classes lie on the last axis.

use super::{Attributes, Domain, Lowering, Operation, Reverse, Sample, Signature, classes};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Facts, Type};

/// See the [module](self).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct CrossEntropy;

impl Operation for CrossEntropy {
    const NAME: &'static str = "cross_entropy";
    const CALL: Option<Signature> = Some(Signature::of(&["logits", "target"]));

    fn from_call(_: &Attributes) -> Result<CrossEntropy, Mistake> {
        Ok(CrossEntropy)
    }

    fn shape(&self, x: &[Argument<'_>], facts: &mut Facts) -> Result<Type, Mistake> {
        classes::shape(Self::NAME, x[0], x[1], facts)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        classes::evaluate(x, at, |scores, target| {
            let largest = scores.iter().copied().fold(T::neg_infinity(), T::max);
            let sum = scores.iter().map(|x| (*x - largest).exp()).sum::<T>();
            sum.ln() + largest - scores[target]
        })
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let p = g.apply(super::softmax::Softmax { axis: -1 }, &[at.x[0]]);
        let one_hot = classes::one_hot(g, at.x[1], at.x[0]);
        let difference = g.sub(p, one_hot);
        let dy = classes::column(g, at.dy);
        vec![Some(g.mul(difference, dy)), None]
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| {
            let axis = g.shape(x[0]).rank() - 1;
            let largest = g.max_axis(x[0], axis);
            let shifted = g.sub(x[0], largest);
            let e = g.exp(shifted);
            let sum = g.sum_axis(e, axis);
            let log = g.log(sum);
            let picked = classes::pick(g, shifted, x[1]);
            let loss = g.sub(log, picked);
            let shape = g.shape(x[1]).clone();
            g.reshape(loss, &shape)
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        classes::samples(size, Domain::Normal(2.0), CrossEntropy)
    }
}
