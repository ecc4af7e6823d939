//! The operation [`NllLoss`].

use super::{
    Attributes, Domain, Lowering, Op, Operation, Reverse, Sample, Signature,
    class_weights::{self, TargetWeights},
    classes,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Facts, Type};

/// The negative log likelihood of a class index, for each example: `-x[target]`, where `x` are log
/// probabilities, as from `log_softmax`.
///
/// Classes are on the last axis. `weight` is a factor per class; examples of the class `ignore_index`
/// are 0. The mean is weighted by the class weights of the targets, without ignored ones.
///
/// In the language: `nll_loss(log_probabilities, target, weight = none, ignore_index = none)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input scores: [3];
///         input target: class(3);
///         output y = nll_loss(log_softmax(scores), target);
///     }
/// }
///
/// let scores = array![[1.0, 3.0, 0.5]];
/// let target = array![1];
/// let mut model = Example::model().build()?;
/// let y = model.predict(example::Input { scores: scores.view(), target: target.view() })?.y;
/// assert!((y - array![0.196734]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct NllLoss {
    /// Class weights and the ignored class.
    pub target_weights: TargetWeights,
}

impl Operation for NllLoss {
    const NAME: &'static str = "nll_loss";
    const CALL: Option<Signature> = Some(
        Signature::of(&["log_probabilities", "target"])
            .with(&[class_weights::WEIGHT, class_weights::IGNORE_INDEX]),
    );

    fn from_call(attributes: &Attributes) -> Result<NllLoss, Mistake> {
        Ok(NllLoss { target_weights: TargetWeights::from_call(attributes)? })
    }

    fn shape(&self, x: &[Argument<'_>], facts: &mut Facts) -> Result<Type, Mistake> {
        let ty = classes::shape(Self::NAME, x[0], x[1], facts)?;
        self.target_weights.check(x[0], facts)?;
        Ok(ty)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        classes::evaluate(x, at, |scores, target| {
            self.target_weights
                .masked_value(target, -self.target_weights.weight_of::<T>(target) * scores[target])
        })
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let one_hot = classes::one_hot(g, at.x[1], at.x[0]);
        let dy = self.target_weights.masked(g, at.x[1], at.dy);
        let mut dy = classes::column(g, dy);
        if let Some(weight) = self.target_weights.weights_of_targets(g, at.x[0], at.x[1]) {
            dy = g.mul(dy, weight);
        }
        let minus = g.neg(dy);
        vec![Some(g.mul(one_hot, minus)), None]
    }

    fn weights(&self, g: &mut Graph, x: &[NodeId]) -> Option<NodeId> {
        self.target_weights.weights(g, x[0], x[1])
    }

    fn weights_reason(&self) -> &'static str {
        self.target_weights.reason()
    }

    fn metric(&self, x: &[&Type]) -> Option<Op> {
        self.target_weights.accuracy(x[1])
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| {
            let picked = classes::pick(g, x[0], x[1]);
            let mut loss = g.neg(picked);
            if let Some(weight) = self.target_weights.weights_of_targets(g, x[0], x[1]) {
                loss = g.mul(loss, weight);
            }
            let shape = g.shape(x[1]).clone();
            let loss = g.reshape(loss, &shape);
            self.target_weights.masked(g, x[1], loss)
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        TargetWeights::variants(size)
            .into_iter()
            .flat_map(|target_weights| {
                classes::samples(size, Domain::Normal(2.0), NllLoss { target_weights })
            })
            .collect()
    }
}
