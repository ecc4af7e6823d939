//! [`TargetWeights`]: class weights and ignored classes of losses.

use std::sync::Arc;

use super::accuracy::Accuracy;
use super::is_class::IsClass;
use super::{Attribute, AttributeKind, Attributes, Number, Op, classes};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Dim, Facts, Type};

/// Weights of targets that are classes: a weight per class, and a class that is ignored, as
/// PyTorch's `weight` and `ignore_index`.
///
/// The mean of such a loss is the sum of the weighted losses over the sum of the weights. If all
/// targets are ignored, that is 0 / 0, NaN, and the gradient is 0, as in PyTorch.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct TargetWeights {
    /// A weight per class; `None` for 1.
    pub weight: Option<Arc<[Number]>>,
    /// The ignored class.
    pub ignore_index: Option<u32>,
}

/// `weight = [..]`
pub(in crate::ops) const WEIGHT: Attribute =
    Attribute { name: "weight", kind: AttributeKind::Numbers, default: Some("none") };

/// `ignore_index = 0`
pub(in crate::ops) const IGNORE_INDEX: Attribute =
    Attribute { name: "ignore_index", kind: AttributeKind::Integer, default: Some("none") };

/// The numbers of an attribute.
pub(in crate::ops) fn numbers(attributes: &Attributes, name: &str) -> Option<Arc<[Number]>> {
    Some(attributes.numbers(name)?.into_iter().map(|x| Number(x as f32)).collect())
}

/// The class of an attribute.
pub(in crate::ops) fn class(attributes: &Attributes, name: &str) -> Result<Option<u32>, Mistake> {
    let Some(class) = attributes.integer(name) else { return Ok(None) };
    match u32::try_from(class) {
        Ok(class) => Ok(Some(class)),
        Err(_) => Err(Mistake::attribute(name, format!("`{class}` is too large for a class"))),
    }
}

/// Requires one number per class on the last axis of `scores`.
pub(in crate::ops) fn check_class_count(
    name: &str,
    numbers: &[Number],
    scores: Argument<'_>,
    facts: &mut Facts,
) -> Result<(), Mistake> {
    let Some(classes) = scores.ty.shape.dims.last() else { return Ok(()) };
    facts.same(classes, &Dim::Fixed(numbers.len()), || {
        let plural = if numbers.len() == 1 { "" } else { "s" };
        Mistake::attribute(
            name,
            format!(
                "`{name}` takes a number for each class: `{}` has {classes} classes, \
                 but `{name}` has {} number{plural}",
                scores.name,
                numbers.len()
            ),
        )
    })
}

/// Requires a class of `scores`. Sizes that only rustc can evaluate are checked when the network is
/// built.
pub(in crate::ops) fn check_class(
    name: &str,
    class: Option<u32>,
    scores: Argument<'_>,
) -> Result<(), Mistake> {
    let classes = scores.ty.shape.dims.last().and_then(Dim::fixed);
    match (class, classes) {
        (Some(class), Some(classes)) if class as usize >= classes => Err(Mistake::attribute(
            name,
            format!(
                "`{name}` must be one of the {classes} classes of `{}`, 0 to {}, but is {class}",
                scores.name,
                classes - 1
            ),
        )),
        _ => Ok(()),
    }
}

impl TargetWeights {
    /// From the attributes `weight` and `ignore_index`.
    pub(in crate::ops) fn from_call(attributes: &Attributes) -> Result<TargetWeights, Mistake> {
        let weight = numbers(attributes, WEIGHT.name);
        Ok(TargetWeights { weight, ignore_index: class(attributes, IGNORE_INDEX.name)? })
    }

    /// Requires a weight per class, and an existing class to ignore.
    pub(in crate::ops) fn check(
        &self,
        scores: Argument<'_>,
        facts: &mut Facts,
    ) -> Result<(), Mistake> {
        if let Some(weight) = &self.weight {
            check_class_count(WEIGHT.name, weight, scores, facts)?;
        }
        check_class(IGNORE_INDEX.name, self.ignore_index, scores)
    }

    /// The weight of a class, ignored or not.
    #[cfg(feature = "eval")]
    pub(in crate::ops) fn weight_of<T: Real>(&self, class: usize) -> T {
        self.weight.as_ref().map_or(T::one(), |weight| T::of(weight[class].0))
    }

    /// `value`, or 0 for an ignored target.
    #[cfg(feature = "eval")]
    pub(in crate::ops) fn masked_value<T: Real>(&self, target: usize, value: T) -> T {
        match self.ignore_index.is_some_and(|ignored| ignored as usize == target) {
            true => T::zero(),
            false => value,
        }
    }

    /// The weight of each class as a value.
    pub(in crate::ops) fn class_weights(&self, g: &mut Graph) -> Option<NodeId> {
        self.weight.as_ref().map(|weight| g.vector(weight.clone()))
    }

    /// The class weight of each target, ignored or not, with a last axis of size 1.
    pub(in crate::ops) fn weights_of_targets(
        &self,
        g: &mut Graph,
        scores: NodeId,
        target: NodeId,
    ) -> Option<NodeId> {
        let weight = self.class_weights(g)?;
        let shape = g.shape(scores).clone();
        let weight = g.broadcast(weight, &shape);
        Some(classes::pick(g, weight, target))
    }

    /// Values per target, with 0 for ignored targets.
    pub(in crate::ops) fn masked(&self, g: &mut Graph, target: NodeId, values: NodeId) -> NodeId {
        let Some(class) = self.ignore_index else { return values };
        let ignored = g.apply(IsClass { class }, &[target]);
        let zero = g.constant(0.0);
        g.select(ignored, zero, values)
    }

    /// The weight of each target; see [`Operation::weights`](super::Operation::weights).
    pub(in crate::ops) fn weights(
        &self,
        g: &mut Graph,
        scores: NodeId,
        target: NodeId,
    ) -> Option<NodeId> {
        let shape = g.shape(target).clone();
        let weights = match self.weights_of_targets(g, scores, target) {
            Some(weights) => g.reshape(weights, &shape),
            None if self.ignore_index.is_some() => g.filled(1.0, &shape),
            None => return None,
        };
        Some(self.masked(g, target, weights))
    }

    /// Why targets have different weights; see
    /// [`Operation::weights_reason`](super::Operation::weights_reason).
    pub(in crate::ops) fn reason(&self) -> &'static str {
        match self.weight.is_some() {
            true => "weights its targets by `weight`",
            false => "ignores the targets of class `ignore_index`",
        }
    }

    /// The accuracy over the targets that are not ignored, if targets are classes; see
    /// [`Operation::metric`](super::Operation::metric).
    pub(in crate::ops) fn accuracy(&self, target: &Type) -> Option<Op> {
        let accuracy = Accuracy { ignore_index: self.ignore_index };
        (!target.is_real()).then(|| accuracy.into())
    }

    /// Test cases for this number of classes.
    pub(in crate::ops) fn variants(classes: usize) -> Vec<TargetWeights> {
        let weight = |class: usize| Number((class % 3) as f32 * 0.5 + 0.25);
        let weight: Arc<[Number]> = (0..classes).map(weight).collect();
        [(false, false), (true, false), (false, true), (true, true)]
            .map(|(weighs, ignores)| TargetWeights {
                weight: weighs.then(|| weight.clone()),
                ignore_index: ignores.then_some((classes / 2) as u32),
            })
            .to_vec()
    }
}
