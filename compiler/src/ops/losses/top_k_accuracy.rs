//! The operation [`TopKAccuracy`].

use super::{
    Attribute, AttributeKind, Attributes, Domain, Lowering, Operation, Reverse, Sample, Signature,
    class_weights::{self, TargetWeights},
    classes,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Dim, Facts, Type};

/// 1 for each example whose target is among the `k` largest scores, else 0. Of equal scores the one
/// with the lower class index ranks first, so that `k = 1` is [`accuracy`](super::accuracy); an example
/// with a NaN score is incorrect. Without gradient.
///
/// Classes are on the last axis. Targets of the class `ignore_index` are 0 and excluded from the
/// mean.
///
/// In the language: `top_k_accuracy(scores, target, k, ignore_index = none)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input scores: [3];
///         input target: class(3);
///         output y = top_k_accuracy(scores, target, 2);
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
pub struct TopKAccuracy {
    /// The number of largest scores, at least 1 and at most the number of classes.
    pub k: usize,
    /// The ignored class; default none.
    pub ignore_index: Option<u32>,
}

impl TopKAccuracy {
    fn target_weights(&self) -> TargetWeights {
        TargetWeights { weight: None, ignore_index: self.ignore_index }
    }
}

impl Operation for TopKAccuracy {
    const NAME: &'static str = "top_k_accuracy";
    const CALL: Option<Signature> = Some(Signature::of(&["scores", "target"]).with(&[
        Attribute { name: "k", kind: AttributeKind::Integer, default: None },
        class_weights::IGNORE_INDEX,
    ]));

    fn from_call(attributes: &Attributes) -> Result<TopKAccuracy, Mistake> {
        let ignore_index = class_weights::class(attributes, "ignore_index")?;
        match attributes.integer("k") {
            Some(k) if k > 0 => Ok(TopKAccuracy { k, ignore_index }),
            _ => Err(Mistake::attribute("k", "`k` must be at least 1")),
        }
    }

    fn shape(&self, x: &[Argument<'_>], facts: &mut Facts) -> Result<Type, Mistake> {
        let ty = classes::shape(Self::NAME, x[0], x[1], facts)?;
        self.target_weights().check(x[0], facts)?;
        match x[0].ty.shape.dims.last().and_then(Dim::fixed) {
            Some(classes) if self.k > classes => Err(Mistake::attribute(
                "k",
                format!(
                    "`k` must be at most the number of classes: `{}` has {classes}, but `k` is {}",
                    x[0].name, self.k
                ),
            )),
            _ => Ok(ty),
        }
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        classes::evaluate(x, at, |scores, target| {
            let is_correct = classes::is_in_top_k(scores, target, self.k);
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
            let is_correct = classes::in_top_k(g, x[0], x[1], self.k);
            self.target_weights().masked(g, x[1], is_correct)
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        let ignored = Some((size / 2) as u32);
        let ks = [(1, None), (size.div_ceil(2), None), (size, None), (size.div_ceil(3), ignored)];
        ks.into_iter()
            .flat_map(|(k, ignore_index)| {
                let op = TopKAccuracy { k, ignore_index };
                [Domain::Separated, Domain::Tied]
                    .map(|domain| classes::samples(size, domain, op.clone()))
            })
            .flatten()
            .collect()
    }
}
