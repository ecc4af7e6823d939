//! [`Counting`]: which targets count, and for how much.

use std::sync::Arc;

use super::accuracy::Accuracy;
use super::is_class::IsClass;
use super::{Attribute, AttributeKind, Attributes, Number, Op, classes};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Dim, Facts, Type};

/// What targets that are classes count for: a weight for each class, and a class that does not
/// count at all, as in PyTorch's `weight` and `ignore_index`.
///
/// The mean of a loss that has them is the sum of the targets' weighted losses over the sum of
/// their weights. Where no target counts, that is 0 / 0, NaN, and the gradient is 0, as PyTorch's.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Counting {
    /// A number for each class; `None` where each counts for 1.
    pub weight: Option<Arc<[Number]>>,
    /// The class that does not count.
    pub ignore_index: Option<u32>,
}

/// `weight = [..]`
pub(in crate::ops) const WEIGHT: Attribute =
    Attribute { name: "weight", kind: AttributeKind::Numbers, default: Some("none") };

/// `ignore_index = 0`
pub(in crate::ops) const IGNORE_INDEX: Attribute =
    Attribute { name: "ignore_index", kind: AttributeKind::Whole, default: Some("none") };

/// Numbers as an operation keeps them.
pub(in crate::ops) fn numbers(attributes: &Attributes, name: &str) -> Option<Arc<[Number]>> {
    Some(attributes.numbers(name)?.into_iter().map(|x| Number(x as f32)).collect())
}

/// A class that an attribute names.
pub(in crate::ops) fn class(attributes: &Attributes, name: &str) -> Result<Option<u32>, Mistake> {
    let Some(class) = attributes.whole(name) else { return Ok(None) };
    match u32::try_from(class) {
        Ok(class) => Ok(Some(class)),
        Err(_) => Err(Mistake::attribute(name, format!("`{class}` is too large for a class"))),
    }
}

/// Requires as many numbers as there are classes on the last axis of `scores`, which has one.
pub(in crate::ops) fn one_for_each_class(
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
                "`{name}` takes a number for each class, of which `{}` has {classes}, \
                 but has {} number{plural}",
                scores.name,
                numbers.len()
            ),
        )
    })
}

/// Requires a class that `scores` has. A size that only Rust knows is checked when the network is
/// made.
pub(in crate::ops) fn there_is(
    name: &str,
    class: Option<u32>,
    scores: Argument<'_>,
) -> Result<(), Mistake> {
    let classes = scores.ty.shape.dims.last().and_then(Dim::fixed);
    match (class, classes) {
        (Some(class), Some(classes)) if class as usize >= classes => Err(Mistake::attribute(
            name,
            format!(
                "`{name}` is one of the {classes} classes of `{}`, 0 to {}, and not {class}",
                scores.name,
                classes - 1
            ),
        )),
        _ => Ok(()),
    }
}

impl Counting {
    /// From the attributes `weight` and `ignore_index`.
    pub(in crate::ops) fn from_call(attributes: &Attributes) -> Result<Counting, Mistake> {
        let weight = numbers(attributes, WEIGHT.name);
        Ok(Counting { weight, ignore_index: class(attributes, IGNORE_INDEX.name)? })
    }

    /// Requires a weight for each class, and a class to ignore that is there.
    pub(in crate::ops) fn check(
        &self,
        scores: Argument<'_>,
        facts: &mut Facts,
    ) -> Result<(), Mistake> {
        if let Some(weight) = &self.weight {
            one_for_each_class(WEIGHT.name, weight, scores, facts)?;
        }
        there_is(IGNORE_INDEX.name, self.ignore_index, scores)
    }

    /// A class's weight, whether or not it counts.
    #[cfg(feature = "eval")]
    pub(in crate::ops) fn weight_of<T: Real>(&self, class: usize) -> T {
        self.weight.as_ref().map_or(T::one(), |weight| T::of(weight[class].0))
    }

    /// `value` for a target that counts, else 0.
    #[cfg(feature = "eval")]
    pub(in crate::ops) fn counted<T: Real>(&self, target: usize, value: T) -> T {
        match self.ignore_index.is_some_and(|ignored| ignored as usize == target) {
            true => T::zero(),
            false => value,
        }
    }

    /// The weight of each class as a value.
    pub(in crate::ops) fn of_classes(&self, g: &mut Graph) -> Option<NodeId> {
        self.weight.as_ref().map(|weight| g.vector(weight.clone()))
    }

    /// The weight of each target's class on a last axis of size one, whether or not it counts.
    pub(in crate::ops) fn of_targets(
        &self,
        g: &mut Graph,
        scores: NodeId,
        target: NodeId,
    ) -> Option<NodeId> {
        let weight = self.of_classes(g)?;
        let shape = g.shape(scores).clone();
        let weight = g.broadcast(weight, &shape);
        Some(classes::pick(g, weight, target))
    }

    /// A value for each target with zeros where the target does not count.
    pub(in crate::ops) fn masked(&self, g: &mut Graph, target: NodeId, values: NodeId) -> NodeId {
        let Some(class) = self.ignore_index else { return values };
        let ignored = g.apply(IsClass { class }, &[target]);
        let zero = g.constant(0.0);
        g.select(ignored, zero, values)
    }

    /// What each target counts for; see [`Operation::weights`](super::Operation::weights).
    pub(in crate::ops) fn weights(
        &self,
        g: &mut Graph,
        scores: NodeId,
        target: NodeId,
    ) -> Option<NodeId> {
        let shape = g.shape(target).clone();
        let weights = match self.of_targets(g, scores, target) {
            Some(weights) => g.reshape(weights, &shape),
            None if self.ignore_index.is_some() => g.filled(1.0, &shape),
            None => return None,
        };
        Some(self.masked(g, target, weights))
    }

    /// Why targets do not count alike; see
    /// [`Operation::weights_reason`](super::Operation::weights_reason).
    pub(in crate::ops) fn reason(&self) -> &'static str {
        match self.weight.is_some() {
            true => "weighs its targets by `weight`",
            false => "leaves out the targets of class `ignore_index`",
        }
    }

    /// The share of right answers among the targets that count, where targets are classes; see
    /// [`Operation::metric`](super::Operation::metric).
    pub(in crate::ops) fn accuracy(&self, target: &Type) -> Option<Op> {
        let accuracy = Accuracy { ignore_index: self.ignore_index };
        (!target.is_real()).then(|| accuracy.into())
    }

    /// Ways to count that are worth trying on so many classes.
    pub(in crate::ops) fn variants(classes: usize) -> Vec<Counting> {
        let weight = |class: usize| Number((class % 3) as f32 * 0.5 + 0.25);
        let weight: Arc<[Number]> = (0..classes).map(weight).collect();
        [(false, false), (true, false), (false, true), (true, true)]
            .map(|(weighs, ignores)| Counting {
                weight: weighs.then(|| weight.clone()),
                ignore_index: ignores.then_some((classes / 2) as u32),
            })
            .to_vec()
    }
}
