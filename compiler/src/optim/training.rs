//! Training: an optimizer with clipping, accumulation, per-layer learning rates, freezing.
//!
//! An optimizer with all that is not its own business: which parameters it
//! trains and how fast, clipping, and how many batches an update is made from.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Optimizer, Update, WrongNumber};
use crate::declaration::{Init, Parameter};
use crate::graph::{Graph, NodeId, Root};
use crate::ops;

/// The step scalar by which the sums of gradients of some batches are multiplied to be their mean: the
/// number of batches that an update is made from otherwise, divided by how many there are.
pub const ACCUMULATED: &str = "accumulated";

/// How a network is trained: an optimizer, and all that is not its own
/// business.
///
/// Code for steps, and what is kept from step to step, belong to one training:
/// so what they follow from is set before it is used, and each has an
/// [identity](Training::id). A training does not change: the current learning rate
/// is a number of the call that makes a step.
#[derive(Debug)]
pub struct Training {
    id: u64,
    optimizer: Box<dyn Optimizer>,
    clip: Option<Clip>,
    rates: Vec<Option<f32>>,
    accumulate: usize,
}

/// A number that no training has had.
fn new_id() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

/// How large gradients are made smaller, before the optimizer sees them.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Clip {
    /// Every element into `-x..=x`.
    Value(f32),
    /// All of them together by one factor, so that the Euclidean norm of all
    /// gradients is at most this.
    Norm(f32),
}

impl<O: Optimizer + 'static> From<O> for Training {
    fn from(optimizer: O) -> Training {
        Training::new(Box::new(optimizer))
    }
}

impl Training {
    /// All parameters at the optimizer's learning rate, without clipping, an
    /// update for each batch.
    pub fn new(optimizer: Box<dyn Optimizer>) -> Training {
        Training { id: new_id(), optimizer, clip: None, rates: Vec::new(), accumulate: 1 }
    }

    /// With gradients made smaller where they are large.
    pub fn with_clip(self, clip: Clip) -> Training {
        Training { id: new_id(), clip: Some(clip), ..self }
    }

    /// For each of the network's parameters, its learning rate as a factor of
    /// the optimizer's; `None` where it stays as it is. What is not there has
    /// the factor 1.
    pub fn with_rates(self, rates: Vec<Option<f32>>) -> Training {
        Training { id: new_id(), rates, ..self }
    }

    /// With an update from so many batches, by their gradients' mean; at least
    /// 1.
    pub fn with_accumulate(self, batches: usize) -> Training {
        Training { id: new_id(), accumulate: batches, ..self }
    }

    /// A number that no other training has, above 0. Two of one identity have the
    /// same updates, up to the learning rate and other settings.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// How a parameter follows from its gradient.
    pub fn optimizer(&self) -> &dyn Optimizer {
        &*self.optimizer
    }

    /// How large gradients are made smaller.
    pub fn clip(&self) -> Option<Clip> {
        self.clip
    }

    /// From how many batches an update is made.
    pub fn accumulate(&self) -> usize {
        self.accumulate
    }

    /// What is wrong with its numbers for a network of so many parameters, if
    /// something is.
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
        let is_wrong = |rate: &f32| !(rate.is_finite() && *rate >= 0.0);
        if let Some(found) = self.rates.iter().flatten().copied().find(is_wrong) {
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

    /// The learning rate of one of the network's parameters, as a factor of the
    /// optimizer's; `None` where it is not trained.
    pub fn rate(&self, index: usize, parameter: &Parameter) -> Option<f32> {
        let rate = self.rates.get(index).copied().unwrap_or(Some(1.0));
        rate.filter(|_| parameter.is_trained)
    }

    /// What is kept from step to step beside the network's parameters, in the
    /// order of its places, which come after theirs.
    pub fn state(&self, parameters: &[Parameter]) -> Vec<Parameter> {
        // What is kept depends on parameters' shapes only.
        let mut g = Graph::new(1);
        let trained = self.trained(parameters);
        let leaves: Vec<NodeId> =
            trained.iter().map(|i| leaf(&mut g, *i, &parameters[*i])).collect();
        self.step(&mut g, parameters, &leaves, &leaves).0
    }

    /// The places of the parameters that are trained.
    pub fn trained(&self, parameters: &[Parameter]) -> Vec<usize> {
        let places = 0..parameters.len();
        places.filter(|i| self.rate(*i, &parameters[*i]).is_some()).collect()
    }

    /// Adds the update of every trained parameter, given in order with its
    /// gradient of one batch. Returns what is kept, and where gradients are clipped
    /// by their norm two sums, which are finite where all gradients are.
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

    /// Adds the update that is made from what has been accumulated so far, of fewer batches than
    /// `accumulate` says: by the mean of their gradients.
    pub(crate) fn update(&self, g: &mut Graph, parameters: &[Parameter], trained: &[NodeId]) {
        // The sums are of shares of `accumulate` batches.
        let scale = g.apply(ops::step_scalar::StepScalar::real(ACCUMULATED), &[]);
        let sums = self.sum_leaves(g, parameters);
        let means = sums.into_iter().map(|sum| g.mul(sum, scale)).collect();
        self.updates(g, parameters, trained, means);
    }

    /// Adds the update of every trained parameter, given in order with its
    /// gradient. Returns what is kept, and two sums over gradients whose norm is clipped.
    fn updates(
        &self,
        g: &mut Graph,
        parameters: &[Parameter],
        trained: &[NodeId],
        mut gradients: Vec<NodeId>,
    ) -> (Vec<Parameter>, Option<[NodeId; 2]>) {
        let first = parameters.len();
        let places = self.trained(parameters);
        let mut kept = if self.accumulate > 1 { self.sums(parameters) } else { Vec::new() };
        let sums = self.clipped(g, &mut gradients);
        for ((place, parameter), gradient) in places.into_iter().zip(trained).zip(gradients) {
            let declared = &parameters[place];
            let mut update = Update {
                g,
                parameter: *parameter,
                gradient,
                rate: self.rate(place, declared).unwrap_or(0.0),
                name: &declared.name,
                state: &mut kept,
                first,
            };
            let next = self.optimizer.update(&mut update);
            g.add_root(Root::Assign(place), next);
        }
        (kept, sums)
    }

    /// Adds what a batch does that is not the last of an update's: its
    /// gradients are added up, after those of the batches before it unless it
    /// is the `first`.
    pub(crate) fn add_up(
        &self,
        g: &mut Graph,
        parameters: &[Parameter],
        gradients: &[NodeId],
        first: bool,
    ) {
        let sums = self.sums(parameters);
        for (i, gradient) in gradients.iter().enumerate() {
            let share = g.scale(*gradient, 1.0 / self.accumulate as f32);
            let place = parameters.len() + i;
            let next = match first {
                true => share,
                false => {
                    let sum = leaf(g, place, &sums[i]);
                    g.add(sum, share)
                }
            };
            g.add_root(Root::Assign(place), next);
        }
    }

    /// The sums of gradients as values.
    fn sum_leaves(&self, g: &mut Graph, parameters: &[Parameter]) -> Vec<NodeId> {
        let sums = self.sums(parameters);
        sums.iter().enumerate().map(|(i, sum)| leaf(g, parameters.len() + i, sum)).collect()
    }

    /// The sums of gradients: the first of what is kept.
    fn sums(&self, parameters: &[Parameter]) -> Vec<Parameter> {
        let sum = |place: usize| {
            let name = format!("{}/gradient", parameters[place].name);
            Parameter::untrained(name, parameters[place].shape.clone(), Init::Full(0.0))
        };
        self.trained(parameters).into_iter().map(sum).collect()
    }

    /// Clips gradients; returns two sums over all of them, where their norm was
    /// asked for.
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
                let sums = squares(g, gradients);
                let factor = shrinking(g, sums, limit);
                for gradient in gradients {
                    *gradient = g.mul(*gradient, factor);
                }
                Some(sums)
            }
        }
    }
}

/// Beyond it the square of an element is too large for a sum of squares: 2⁵².
const LARGE: f32 = 4_503_599_627_370_496.0;

/// Large elements are so many times smaller when they are squared: 2⁻⁷⁶.
const SHRUNK: f32 = 1.323_489e-23;

/// Two sums over all elements of some values: of the squares of those up to
/// [`LARGE`], and of the squares of the others, each times [`SHRUNK`] before. They
/// are finite where all elements are (J. Blue 1978; the limits are LAPACK's).
///
/// LAPACK has a third sum, for elements whose squares are too small. Beside 1e-6,
/// which is added to the norm, it would be nothing.
fn squares(g: &mut Graph, values: &[NodeId]) -> [NodeId; 2] {
    let (zero, limit) = (g.constant(0.0), g.constant(LARGE));
    let mut sums = [zero; 2];
    for x in values {
        let size = g.abs(*x);
        // NaN is not large.
        let is_large = g.greater(size, limit);
        let small = g.select(is_large, zero, *x);
        let shrunk = g.scale(*x, SHRUNK);
        let large = g.select(is_large, shrunk, zero);
        for (sum, x) in sums.iter_mut().zip([small, large]) {
            let square = g.square(x);
            let total = g.sum_all(square);
            *sum = g.add(*sum, total);
        }
    }
    sums
}

/// What makes gradients with these sums of squares as small as `limit`, if they
/// are larger: PyTorch's `clip_grad_norm_`, down to its 1e-6. The norm itself may
/// be too large for a float.
fn shrinking(g: &mut Graph, [small, large]: [NodeId; 2], limit: f32) -> NodeId {
    let (zero, one, tiny) = (g.constant(0.0), g.constant(1.0), g.constant(1e-6));
    let limit = g.constant(limit);
    let norm = g.sqrt(small);
    let norm = g.add(norm, tiny);
    let usual = g.div(limit, norm);

    let once = g.scale(small, SHRUNK);
    let twice = g.scale(once, SHRUNK);
    let both = g.add(large, twice);
    let shrunk_norm = g.sqrt(both);
    let factor = g.div(limit, shrunk_norm);
    let unusual = g.scale(factor, SHRUNK);

    let has_large = g.greater(large, zero);
    let factor = g.select(has_large, unusual, usual);
    g.minimum(factor, one)
}

fn leaf(g: &mut Graph, index: usize, parameter: &Parameter) -> NodeId {
    let shape = parameter.shape.clone();
    g.apply(ops::parameter::Parameter { index, shape }, &[])
}
