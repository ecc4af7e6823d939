//! The negative log likelihood of a class index, for each example: `-x[target]`, where `x` are
//! logarithms of probabilities, as from `log_softmax`.
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
pub struct NllLoss;

impl Operation for NllLoss {
    const NAME: &'static str = "nll_loss";
    const CALL: Option<Signature> = Some(Signature::of(&["log_probabilities", "target"]));

    fn from_call(_: &Attributes) -> Result<NllLoss, Mistake> {
        Ok(NllLoss)
    }

    fn shape(&self, x: &[Argument<'_>], facts: &mut Facts) -> Result<Type, Mistake> {
        classes::shape(Self::NAME, x[0], x[1], facts)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        classes::evaluate(x, at, |scores, target| -scores[target])
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let one_hot = classes::one_hot(g, at.x[1], at.x[0]);
        let dy = classes::column(g, at.dy);
        let minus = g.neg(dy);
        vec![Some(g.mul(one_hot, minus)), None]
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| {
            let picked = classes::pick(g, x[0], x[1]);
            let loss = g.neg(picked);
            let shape = g.shape(x[1]).clone();
            g.reshape(loss, &shape)
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        classes::samples(size, Domain::Normal(2.0), NllLoss)
    }
}
