//! Purposes: what machine code is made for, and the graph of a network for each of them.
//!
//! Takes a [`Declaration`] with a batch size and what is chosen; gives its forward graph, with
//! gradients and the optimizer's update as far as the purpose asks for them. `check` compares such
//! a graph with the memory that its code will be given.

mod check;
mod graph;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

#[cfg(doc)]
use crate::declaration::{Declaration, Measure};
use crate::graph::{Quantity, Root};
use crate::optim::Training;

/// What machine code is made for. Two purposes with a training are equal where they are of
/// the [same](Training::id) one.
#[derive(Clone, Debug)]
pub enum Purpose {
    /// Outputs from inputs.
    Predict,
    /// Loss and metrics.
    Evaluate,
    /// Loss and the gradient of every parameter that is trained, and of the
    /// inputs that ask for it.
    Gradients,
    /// Loss, and every parameter's next value in its place.
    Step(Arc<Training>),
    /// Loss, and gradients added to those of batches before it, for a step
    /// that is made from several.
    Accumulate {
        /// For which steps.
        training: Arc<Training>,
        /// Whether there are no batches before it.
        first: bool,
    },
    /// A step from the gradients of fewer batches than it is made from
    /// otherwise, and from no batch besides: every parameter's next value in
    /// its place. It needs no inputs; how many batches they are is a number of the call.
    Update(Arc<Training>),
}

impl PartialEq for Purpose {
    #[inline]
    fn eq(&self, other: &Purpose) -> bool {
        // The same `Arc` most of the time: a small step would notice looking into it.
        let is_same = |a: &Arc<Training>, b: &Arc<Training>| Arc::ptr_eq(a, b) || a.id() == b.id();
        match (self, other) {
            (Purpose::Predict, Purpose::Predict)
            | (Purpose::Evaluate, Purpose::Evaluate)
            | (Purpose::Gradients, Purpose::Gradients) => true,
            (Purpose::Step(a), Purpose::Step(b)) | (Purpose::Update(a), Purpose::Update(b)) => {
                is_same(a, b)
            }
            (
                Purpose::Accumulate { training: a, first },
                Purpose::Accumulate { training: b, first: other },
            ) => first == other && is_same(a, b),
            _ => false,
        }
    }
}

impl Eq for Purpose {}

impl Hash for Purpose {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        matches!(self, Purpose::Accumulate { first: true, .. }).hash(state);
        self.training().map(|training| training.id()).hash(state);
    }
}

impl Purpose {
    /// In a word, for dumps and messages.
    pub fn name(&self) -> &'static str {
        match self {
            Purpose::Predict => "predict",
            Purpose::Evaluate => "evaluate",
            Purpose::Gradients => "gradients",
            Purpose::Step(_) => "step",
            Purpose::Accumulate { .. } => "accumulate",
            Purpose::Update(_) => "update",
        }
    }

    /// Whether the network trains: layers that differ, as dropout does, do then
    /// what they do while training.
    pub fn trains(&self) -> bool {
        match self {
            Purpose::Predict | Purpose::Evaluate => false,
            Purpose::Gradients
            | Purpose::Step(_)
            | Purpose::Accumulate { .. }
            | Purpose::Update(_) => true,
        }
    }

    /// How the network is trained, where it is.
    pub fn training(&self) -> Option<&Arc<Training>> {
        match self {
            Purpose::Step(training)
            | Purpose::Accumulate { training, .. }
            | Purpose::Update(training) => Some(training),
            Purpose::Predict | Purpose::Evaluate | Purpose::Gradients => None,
        }
    }

    /// Whether parameters, or what is kept beside them, are overwritten.
    pub fn overwrites(&self) -> bool {
        self.training().is_some()
    }

    /// Whether it trains on a batch, and keeps what follows from that.
    pub fn trains_on_batch(&self) -> bool {
        matches!(self, Purpose::Step(_) | Purpose::Accumulate { .. })
    }

    /// Whether it needs what the forward graph has under a root; `weighs` says whether the loss
    /// [does](Measure::weighs).
    fn wants(&self, root: &Root, weighs: bool) -> bool {
        let evaluates = matches!(self, Purpose::Evaluate);
        match root {
            Root::Output(_) => matches!(self, Purpose::Predict),
            Root::Loss => !matches!(self, Purpose::Predict | Purpose::Update(_)),
            Root::Metric(_) => evaluates,
            Root::Sum(Quantity::Loss, _) | Root::Weight(Quantity::Loss, _) => {
                evaluates || (weighs && self.trains_on_batch())
            }
            Root::Sum(Quantity::Metric(_), _) | Root::Weight(Quantity::Metric(_), _) => evaluates,
            // Running statistics.
            Root::Assign(_) => self.trains_on_batch(),
            Root::Gradient(_) | Root::InputGradient(_) | Root::Guard => false,
        }
    }
}
