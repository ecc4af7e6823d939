//! One parameter's update, as an optimizer builds it in the graph.

use super::LEARNING_RATE;
use crate::declaration::{Init, Parameter};
use crate::graph::{Graph, NodeId, Root};
use crate::ops;
use crate::ops::step_scalar::StepScalar;

/// What an optimizer builds a parameter's next value from.
#[derive(Debug)]
pub struct Update<'g> {
    /// The graph that the nodes go to.
    pub g: &'g mut Graph,
    /// The parameter as it is.
    pub parameter: NodeId,
    /// The gradient of the loss with respect to it.
    pub gradient: NodeId,
    /// The parameter's learning rate, as a factor of the optimizer's.
    pub(super) rate: f32,
    /// The parameter's name.
    pub(super) name: &'g str,
    /// What is kept so far, of this and other parameters.
    pub(super) state: &'g mut Vec<Parameter>,
    /// The place of the first that is kept, after all parameters.
    pub(super) first: usize,
}

impl Update<'_> {
    /// A number that is given with every step; see
    /// [`Optimizer::scalar`](super::Optimizer::scalar).
    pub fn scalar(&mut self, name: &'static str) -> NodeId {
        self.g.apply(StepScalar::real(name), &[])
    }

    /// A scalar that is the learning rate times something, for this parameter.
    pub fn rate(&mut self, name: &'static str) -> NodeId {
        let rate = self.scalar(name);
        self.g.scale(rate, self.rate)
    }

    /// How far this parameter's step goes.
    pub fn learning_rate(&mut self) -> NodeId {
        self.rate(LEARNING_RATE)
    }

    /// `x + number`
    pub fn plus(&mut self, x: NodeId, number: f32) -> NodeId {
        let number = self.g.constant(number);
        self.g.add(x, number)
    }

    /// `share · a + (1 - share) · b`
    pub fn blend(&mut self, a: NodeId, b: NodeId, share: f64) -> NodeId {
        let a = self.g.scale(a, share as f32);
        // Near 1, one minus what has been rounded would be far off.
        let b = self.g.scale(b, (1.0 - share) as f32);
        self.g.add(a, b)
    }

    /// Keeps the running mean of `x`, of which `decay` stays with every step,
    /// from 0 on. Returns it with `x` in it.
    pub fn running_mean(&mut self, name: &str, x: NodeId, decay: f64) -> NodeId {
        let mean = self.state(name, 0.0);
        self.assign_mean(mean, x, decay)
    }

    /// The same where the mean before the step is needed too.
    pub fn assign_mean(&mut self, mean: State, x: NodeId, decay: f64) -> NodeId {
        let next = self.blend(mean.value, x, decay);
        self.assign(mean, next);
        next
    }

    /// Keeps the running mean of the squares of `x` in the same way.
    pub fn running_mean_square(&mut self, name: &str, x: NodeId, decay: f64) -> NodeId {
        let mean = self.state(name, 0.0);
        self.assign_mean_square(mean, x, decay)
    }

    /// The same where the mean before the step is needed too.
    ///
    /// The share is taken of `x` before it is squared, as PyTorch's `addcmul_` does: so a mean
    /// is finite where the square itself is not.
    pub fn assign_mean_square(&mut self, mean: State, x: NodeId, decay: f64) -> NodeId {
        let stays = self.g.scale(mean.value, decay as f32);
        let share = self.g.scale(x, (1.0 - decay) as f32);
        let comes = self.g.mul(share, x);
        let next = self.g.add(stays, comes);
        self.assign(mean, next);
        next
    }

    /// The gradient with so many times the parameter added: weight decay as a
    /// term of the loss.
    pub fn decayed(&mut self, weight_decay: f32) -> NodeId {
        if weight_decay == 0.0 {
            return self.gradient;
        }
        let decay = self.g.scale(self.parameter, weight_decay);
        self.g.add(self.gradient, decay)
    }

    /// Optimizer state under a name, an element for each of the parameter's, `start`
    /// before the first step. To be given its next value by [`Self::assign`].
    pub fn state(&mut self, name: &str, start: f32) -> State {
        let shape = self.g.shape(self.parameter).clone();
        let index = self.first + self.state.len();
        let value = self.g.apply(ops::parameter::Parameter { index, shape: shape.clone() }, &[]);
        let name = format!("{}/{name}", self.name);
        self.g.name(value, &name);
        let init = Init::Full(f64::from(start));
        self.state.push(Parameter::untrained(name, shape, init));
        State { index, value }
    }

    /// Gives state its next value.
    pub fn assign(&mut self, state: State, next: NodeId) {
        self.g.add_root(Root::Assign(state.index), next);
    }
}

/// Optimizer state of one parameter, kept from step to step.
#[derive(Clone, Copy, Debug)]
pub struct State {
    index: usize,
    /// Its value before the step.
    pub value: NodeId,
}
