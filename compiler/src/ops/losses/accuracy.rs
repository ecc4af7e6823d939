//! The operation [`Accuracy`].

use super::{
    Attributes, Domain, Lowering, Operation, Reverse, Sample, Signature,
    class_weights::{self, TargetWeights},
    classes,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Facts, Type};

/// 1 for each example whose target has the largest score, else 0. Of equal scores the one with the
/// lower class index ranks first; an example with a NaN score is incorrect. Without gradient.
///
/// Classes are on the last axis. Targets of the class `ignore_index` are 0 and excluded from the
/// mean.
///
/// In the language: `accuracy(scores, target, ignore_index = none)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input scores: [3];
///         input target: class(3);
///         output y = accuracy(scores, target);
///     }
/// }
///
/// let scores = array![[1.0, 3.0, 0.5]];
/// let target = array![1];
/// let mut model = Example::model().build()?;
/// let y = model.predict(example::Input { scores: scores.view(), target: target.view() })?.y;
/// assert_eq!(y, array![1.0]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Accuracy {
    /// The ignored class; default none.
    pub ignore_index: Option<u32>,
}

impl Accuracy {
    fn target_weights(&self) -> TargetWeights {
        TargetWeights { weight: None, ignore_index: self.ignore_index }
    }
}

impl Operation for Accuracy {
    const NAME: &'static str = "accuracy";
    const CALL: Option<Signature> =
        Some(Signature::of(&["scores", "target"]).with(&[class_weights::IGNORE_INDEX]));

    fn from_call(attributes: &Attributes) -> Result<Accuracy, Mistake> {
        Ok(Accuracy { ignore_index: class_weights::class(attributes, "ignore_index")? })
    }

    fn shape(&self, x: &[Argument<'_>], facts: &mut Facts) -> Result<Type, Mistake> {
        let ty = classes::shape(Self::NAME, x[0], x[1], facts)?;
        self.target_weights().check(x[0], facts)?;
        Ok(ty)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        classes::evaluate(x, at, |scores, target| {
            let is_correct = classes::is_in_top_k(scores, target, 1);
            self.target_weights()
                .masked_value(target, if is_correct { T::one() } else { T::zero() })
        })
    }

    fn gradient(&self, _: &mut Graph, _: &Reverse<'_>) -> Vec<Option<NodeId>> {
        vec![None, None]
    }

    fn weights(&self, g: &mut Graph, x: &[NodeId]) -> Option<NodeId> {
        self.target_weights().weights(g, x[0], x[1])
    }

    fn weights_reason(&self) -> &'static str {
        self.target_weights().reason()
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| {
            let is_correct = classes::in_top_k(g, x[0], x[1], 1);
            self.target_weights().masked(g, x[1], is_correct)
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        [None, Some((size / 2) as u32)]
            .into_iter()
            .flat_map(|ignore_index| {
                let domains = [Domain::Separated, Domain::Tied];
                domains.map(|domain| classes::samples(size, domain, Accuracy { ignore_index }))
            })
            .flatten()
            .collect()
    }
}
