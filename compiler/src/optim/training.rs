//! Training: an optimizer with clipping, accumulation, per-layer learning rates, freezing.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Optimizer, Update, WrongNumber};
use crate::declaration::{Init, Parameter};
use crate::faults::{self, Fault};
use crate::graph::{Graph, NodeId, Root};
use crate::ops;

/// The step scalar that scales accumulated gradients of an incomplete update to their mean: the number
/// of batches of a complete update, divided by the number of batches.
pub const ACCUMULATED: &str = "accumulated";

/// The training of a network: an optimizer with clipping, accumulation and per-layer rates.
///
/// Compiled steps and optimizer state belong to one training: it is immutable and has an
/// [identity](Training::id). The current learning rate is an argument of the call of a step.
#[derive(Debug)]
pub struct Training {
    id: u64,
    optimizer: Box<dyn Optimizer>,
    clip: Option<Clip>,
    rates: Vec<Option<f32>>,
    accumulate: usize,
}

/// A unique identity of a training.
fn new_id() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

/// Gradient clipping, before the optimizer's update.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Clip {
    /// Clamps every element to `-x..=x`.
    Value(f32),
    /// Scales all gradients by one factor, so that their global Euclidean norm is at most this.
    Norm(f32),
}

impl<O: Optimizer + 'static> From<O> for Training {
    fn from(optimizer: O) -> Training {
        Training::new(Box::new(optimizer))
    }
}

impl Training {
    /// Trains all parameters at the optimizer's learning rate, without clipping, with an update per batch.
    pub fn new(optimizer: Box<dyn Optimizer>) -> Training {
        Training { id: new_id(), optimizer, clip: None, rates: Vec::new(), accumulate: 1 }
    }

    /// Sets gradient clipping.
    pub fn with_clip(self, clip: Clip) -> Training {
        Training { id: new_id(), clip: Some(clip), ..self }
    }

    /// Sets the learning rate of each of the network's parameters as a factor of the optimizer's; `None`
    /// freezes a parameter. Missing entries have the factor 1.
    pub fn with_rates(self, rates: Vec<Option<f32>>) -> Training {
        Training { id: new_id(), rates, ..self }
    }

    /// Sets the number of batches per update, at least 1; the update uses the mean of their gradients.
    pub fn with_accumulate(self, batches: usize) -> Training {
        Training { id: new_id(), accumulate: batches, ..self }
    }

    /// A unique number, greater than 0. Trainings with one identity have the same updates, except for the
    /// learning rate and other step scalars.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The optimizer.
    pub fn optimizer(&self) -> &dyn Optimizer {
        &*self.optimizer
    }

    /// Gradient clipping, if any.
    pub fn clip(&self) -> Option<Clip> {
        self.clip
    }

    /// The number of batches per update.
    pub fn accumulate(&self) -> usize {
        self.accumulate
    }

    /// Checks its hyperparameters for a network with this number of parameters.
    pub fn check(&self, parameters: usize) -> Result<(), WrongNumber> {
        self.optimizer.check()?;
        let found = self.optimizer.learning_rate();
        if !(found.is_finite() && found >= 0.0) {
            let expected = "a finite number that is not negative";
            return Err(WrongNumber { name: "learning rate", expected, found });
        }
        if let Some(Clip::Value(found) | Clip::Norm(found)) = self.clip
            && !(found.is_finite() && found > 0.0)
        {
            let (name, expected) = ("the limit of gradients", "a finite number above 0");
            return Err(WrongNumber { name, expected, found });
        }
        if self.accumulate == 0 {
            return Err(WrongNumber { name: "accumulate", expected: "at least 1", found: 0.0 });
        }
        let is_invalid = |rate: &f32| !(rate.is_finite() && *rate >= 0.0);
        if let Some(found) = self.rates.iter().flatten().copied().find(is_invalid) {
            let name = "the factor of a learning rate";
            let expected = "a finite number that is not negative";
            return Err(WrongNumber { name, expected, found });
        }
        if self.rates.len() > parameters {
            let (name, found) = ("the number of learning rates", self.rates.len() as f32);
            return Err(WrongNumber { name, expected: "at most one for each parameter", found });
        }
        Ok(())
    }

    /// The learning rate of a parameter as a factor of the optimizer's; `None` if it is not trained.
    pub fn rate(&self, index: usize, parameter: &Parameter) -> Option<f32> {
        let rate = self.rates.get(index).copied().unwrap_or(Some(1.0));
        rate.filter(|_| parameter.is_trained)
    }

    /// The optimizer state, in the order of its indices, which follow those of the parameters.
    pub fn state(&self, parameters: &[Parameter]) -> Vec<Parameter> {
        // The state depends on the shapes of parameters only.
        let mut g = Graph::new(1);
        let trained = self.trained(parameters);
        let leaves: Vec<NodeId> =
            trained.iter().map(|i| leaf(&mut g, *i, &parameters[*i])).collect();
        self.step(&mut g, parameters, &leaves, &leaves).0
    }

    /// The indices of the trained parameters.
    pub fn trained(&self, parameters: &[Parameter]) -> Vec<usize> {
        (0..parameters.len()).filter(|i| self.rate(*i, &parameters[*i]).is_some()).collect()
    }

    /// Adds the update of all trained parameters from the gradients of a batch, both in order. Returns the
    /// optimizer state, and with clipping by norm two sums that are finite if all gradients are.
    pub(crate) fn step(
        &self,
        g: &mut Graph,
        parameters: &[Parameter],
        trained: &[NodeId],
        gradients: &[NodeId],
    ) -> (Vec<Parameter>, Option<[NodeId; 2]>) {
        let mut gradients = gradients.to_vec();
        if self.accumulate > 1 {
            let sums = self.sum_leaves(g, parameters);
            for (sum, gradient) in sums.into_iter().zip(&mut gradients) {
                let share = g.scale(*gradient, 1.0 / self.accumulate as f32);
                *gradient = g.add(sum, share);
            }
        }
        self.updates(g, parameters, trained, gradients)
    }

    /// Adds the update from gradients accumulated so far, of fewer batches than `accumulate`, by their
    /// mean.
    pub(crate) fn update(&self, g: &mut Graph, parameters: &[Parameter], trained: &[NodeId]) {
        // The sums are of gradients divided by `accumulate`.
        let scale = g.apply(ops::step_scalar::StepScalar::real(ACCUMULATED), &[]);
        let sums = self.sum_leaves(g, parameters);
        let means = sums.into_iter().map(|sum| g.mul(sum, scale)).collect();
        self.updates(g, parameters, trained, means);
    }

    /// Adds the update of all trained parameters from their gradients, both in order. Returns the optimizer
    /// state, and the two sums over gradients if their norm is clipped.
    fn updates(
        &self,
        g: &mut Graph,
        parameters: &[Parameter],
        trained: &[NodeId],
        mut gradients: Vec<NodeId>,
    ) -> (Vec<Parameter>, Option<[NodeId; 2]>) {
        let first = parameters.len();
        let indices = self.trained(parameters);
        let mut state = if self.accumulate > 1 { self.sums(parameters) } else { Vec::new() };
        let sums = self.clipped(g, &mut gradients);
        for ((index, parameter), gradient) in indices.into_iter().zip(trained).zip(gradients) {
            let declared = &parameters[index];
            let mut update = Update {
                g,
                parameter: *parameter,
                gradient,
                rate: self.rate(index, declared).unwrap_or(0.0),
                name: &declared.name,
                state: &mut state,
                first,
            };
            let next = self.optimizer.update(&mut update);
            g.add_root(Root::Assign(index), next);
        }
        (state, sums)
    }

    /// Adds the accumulation of a batch that does not complete an update: its gradients are added to those
    /// of the previous batches, unless it is the `first`.
    pub(crate) fn accumulate_gradients(
        &self,
        g: &mut Graph,
        parameters: &[Parameter],
        gradients: &[NodeId],
        first: bool,
    ) {
        let sums = self.sums(parameters);
        for (i, gradient) in gradients.iter().enumerate() {
            let share = g.scale(*gradient, 1.0 / self.accumulate as f32);
            let index = parameters.len() + i;
            let next = match first {
                true => share,
                false => {
                    let sum = leaf(g, index, &sums[i]);
                    g.add(sum, share)
                }
            };
            g.add_root(Root::Assign(index), next);
        }
    }

    /// The nodes of the accumulated gradients.
    fn sum_leaves(&self, g: &mut Graph, parameters: &[Parameter]) -> Vec<NodeId> {
        let sums = self.sums(parameters);
        sums.iter().enumerate().map(|(i, sum)| leaf(g, parameters.len() + i, sum)).collect()
    }

    /// The variables of the accumulated gradients, at the start of the optimizer state.
    fn sums(&self, parameters: &[Parameter]) -> Vec<Parameter> {
        let sum = |index: usize| {
            let name = format!("{}/gradient", parameters[index].name);
            Parameter::untrained(name, parameters[index].shape.clone(), Init::Full(0.0))
        };
        self.trained(parameters).into_iter().map(sum).collect()
    }

    /// Clips gradients; returns two sums over all of them if they are clipped by norm.
    fn clipped(&self, g: &mut Graph, gradients: &mut [NodeId]) -> Option<[NodeId; 2]> {
        match self.clip? {
            Clip::Value(limit) => {
                let (high, low) = (g.constant(limit), g.constant(-limit));
                for gradient in gradients {
                    let below = g.minimum(*gradient, high);
                    *gradient = g.maximum(below, low);
                }
                None
            }
            Clip::Norm(limit) => {
                let sums = sums_of_squares(g, gradients);
                let factor = clip_factor(g, sums, limit);
                let unclipped = usize::from(faults::is(Fault::UnclippedGradient));
                let clipped = gradients.len() - unclipped;
                for gradient in &mut gradients[..clipped] {
                    *gradient = g.mul(*gradient, factor);
                }
                Some(sums)
            }
        }
    }
}

/// 2⁵²: squares of larger elements could overflow a sum of squares.
const LARGE: f32 = 4_503_599_627_370_496.0;

/// 2⁻⁷⁶: the scale of larger elements before they are squared.
const SCALE: f32 = 1.323_489e-23;

/// Two sums over all elements: of the squares of elements up to [`LARGE`], and of the squares of larger
/// ones, scaled by [`SCALE`]. They are finite if all elements are (J. Blue 1978; limits of LAPACK).
///
/// LAPACK has a third sum for elements whose squares underflow. It is negligible here: 1e-6 is added to
/// the norm.
fn sums_of_squares(g: &mut Graph, values: &[NodeId]) -> [NodeId; 2] {
    let (zero, limit) = (g.constant(0.0), g.constant(LARGE));
    let mut sums = [zero; 2];
    for x in values {
        let size = g.abs(*x);
        // NaN compares as not large, and propagates to the first sum.
        let is_large = g.greater(size, limit);
        let small = g.select(is_large, zero, *x);
        let scaled = g.scale(*x, SCALE);
        let large = g.select(is_large, scaled, zero);
        for (sum, x) in sums.iter_mut().zip([small, large]) {
            let square = g.square(x);
            let total = g.sum_all(square);
            *sum = g.add(*sum, total);
        }
    }
    sums
}

/// The factor that clips gradients with these sums of squares to the norm `limit`: PyTorch's
/// `clip_grad_norm_`, with its 1e-6. Defined even if the norm overflows.
fn clip_factor(g: &mut Graph, [small, large]: [NodeId; 2], limit: f32) -> NodeId {
    let (zero, one, tiny) = (g.constant(0.0), g.constant(1.0), g.constant(1e-6));
    let limit = g.constant(limit);
    let norm = g.sqrt(small);
    let norm = g.add(norm, tiny);
    let unscaled = g.div(limit, norm);

    let once = g.scale(small, SCALE);
    let twice = g.scale(once, SCALE);
    let both = g.add(large, twice);
    let scaled_norm = g.sqrt(both);
    let factor = g.div(limit, scaled_norm);
    let scaled = g.scale(factor, SCALE);

    let has_large = g.greater(large, zero);
    let factor = g.select(has_large, scaled, unscaled);
    g.minimum(factor, one)
}

fn leaf(g: &mut Graph, index: usize, parameter: &Parameter) -> NodeId {
    let shape = parameter.shape.clone();
    g.apply(ops::parameter::Parameter { index, shape }, &[])
}
