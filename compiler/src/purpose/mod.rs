//! Purposes of machine code, and the graph of a network for each purpose.
//!
//! Takes a [`Declaration`] with a batch size and the user's choices; returns its forward graph, with the
//! gradients and the optimizer's update of the purpose. `check` compares such a graph with the memory
//! that its code will access.

mod check;
mod graph;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

#[cfg(doc)]
use crate::declaration::{Declaration, Measure};
use crate::graph::{Quantity, Root};
use crate::optim::Training;

/// The purpose of machine code. Purposes with a training are equal if their trainings have the same
/// [identity](Training::id).
#[derive(Clone, Debug)]
pub enum Purpose {
    /// Computes outputs from inputs.
    Predict,
    /// Computes loss and metrics.
    Evaluate,
    /// Computes the loss and the gradients of all trained parameters and of the inputs with requested
    /// gradients.
    Gradients,
    /// A training step: computes the loss and updates all parameters in place.
    Step(Arc<Training>),
    /// Computes the loss and adds gradients to those of previous batches, for a step on several batches.
    Accumulate {
        /// The training of the step.
        training: Arc<Training>,
        /// Whether this is the first batch of the step.
        first: bool,
    },
    /// Updates all parameters in place from accumulated gradients only, of fewer batches than usual.
    /// Needs no inputs; the number of batches is an argument of the call.
    Update(Arc<Training>),
}

impl PartialEq for Purpose {
    #[inline]
    fn eq(&self, other: &Purpose) -> bool {
        // Usually the same `Arc`: the comparison of ids would cost a cache miss in small steps.
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
    /// Its name in dumps and messages.
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

    /// Whether layers are in training mode, as for dropout.
    pub fn trains(&self) -> bool {
        match self {
            Purpose::Predict | Purpose::Evaluate => false,
            Purpose::Gradients
            | Purpose::Step(_)
            | Purpose::Accumulate { .. }
            | Purpose::Update(_) => true,
        }
    }

    /// The training, for purposes that update parameters.
    pub fn training(&self) -> Option<&Arc<Training>> {
        match self {
            Purpose::Step(training)
            | Purpose::Accumulate { training, .. }
            | Purpose::Update(training) => Some(training),
            Purpose::Predict | Purpose::Evaluate | Purpose::Gradients => None,
        }
    }

    /// Whether it overwrites parameters or optimizer state.
    pub fn overwrites(&self) -> bool {
        self.training().is_some()
    }

    /// Whether it trains on a batch and updates state from it.
    pub fn trains_on_batch(&self) -> bool {
        matches!(self, Purpose::Step(_) | Purpose::Accumulate { .. })
    }

    /// Whether it needs a root of the forward graph; `is_weighted` is that of the loss, see
    /// [`Measure::weighs`].
    fn needs(&self, root: &Root, is_weighted: bool) -> bool {
        let evaluates = matches!(self, Purpose::Evaluate);
        match root {
            Root::Output(_) => matches!(self, Purpose::Predict),
            Root::Loss => !matches!(self, Purpose::Predict | Purpose::Update(_)),
            Root::Metric(_) => evaluates,
            Root::Sum(Quantity::Loss, _) | Root::Weight(Quantity::Loss, _) => {
                evaluates || (is_weighted && self.trains_on_batch())
            }
            Root::Sum(Quantity::Metric(_), _) | Root::Weight(Quantity::Metric(_), _) => evaluates,
            // Running statistics.
            Root::Assign(_) => self.trains_on_batch(),
            Root::Gradient(_) | Root::InputGradient(_) | Root::Guard => false,
        }
    }
}
