//! Whether the largest score is the target's, for each example: 1 or 0. Where several are the
//! largest, the first counts. Without gradient.
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
pub struct Accuracy;

impl Operation for Accuracy {
    const NAME: &'static str = "accuracy";
    const CALL: Option<Signature> = Some(Signature::of(&["scores", "target"]));

    fn from_call(_: &Attributes) -> Result<Accuracy, Mistake> {
        Ok(Accuracy)
    }

    fn shape(&self, x: &[Argument<'_>], facts: &mut Facts) -> Result<Type, Mistake> {
        classes::shape(Self::NAME, x[0], x[1], facts)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        classes::evaluate(x, at, |scores, target| {
            let mut best = 0;
            for (i, score) in scores.iter().enumerate() {
                if *score > scores[best] {
                    best = i;
                }
            }
            if best == target && !scores.iter().any(|s| s.is_nan()) { T::one() } else { T::zero() }
        })
    }

    fn gradient(&self, _: &mut Graph, _: &Reverse<'_>) -> Vec<Option<NodeId>> {
        vec![None, None]
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| {
            let axis = g.shape(x[0]).rank() - 1;
            let largest = g.max_axis(x[0], axis);
            let is_largest = g.equal(x[0], largest);
            let hit = classes::pick(g, is_largest, x[1]);
            let before = classes::before(g, x[1], x[0]);
            let earlier = g.mul(is_largest, before);
            let earlier = g.max_axis(earlier, axis);
            // A hit that no earlier class shares.
            let y = g.greater(hit, earlier);
            let shape = g.shape(x[1]).clone();
            g.reshape(y, &shape)
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        classes::samples(size, Domain::Apart, Accuracy)
    }
}
