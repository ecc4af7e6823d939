//! Building blocks of the update of a parameter, for optimizers.

use super::LEARNING_RATE;
use crate::declaration::{Init, Parameter};
use crate::graph::{Graph, NodeId, Root};
use crate::ops;
use crate::ops::step_scalar::StepScalar;

/// The inputs and building blocks of a parameter's update.
#[derive(Debug)]
pub struct Update<'g> {
    /// The graph that nodes are added to.
    pub g: &'g mut Graph,
    /// The current value of the parameter.
    pub parameter: NodeId,
    /// The gradient of the loss with respect to the parameter.
    pub gradient: NodeId,
    /// The parameter's learning rate, as a factor of the optimizer's.
    pub(super) rate: f32,
    /// The parameter's name.
    pub(super) name: &'g str,
    /// The optimizer state so far, of all parameters.
    pub(super) state: &'g mut Vec<Parameter>,
    /// The index of the first variable of optimizer state, after all parameters.
    pub(super) first: usize,
}

impl Update<'_> {
    /// A step scalar; see
    /// [`Optimizer::scalar`](super::Optimizer::scalar).
    pub fn scalar(&mut self, name: &'static str) -> NodeId {
        self.g.apply(StepScalar::real(name), &[])
    }

    /// A step scalar that is a multiple of the learning rate, scaled for this parameter.
    pub fn rate(&mut self, name: &'static str) -> NodeId {
        let rate = self.scalar(name);
        self.g.scale(rate, self.rate)
    }

    /// The learning rate of this parameter.
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
        // `1 - share` in f64: after rounding a share near 1 to f32 it would be inaccurate.
        let b = self.g.scale(b, (1.0 - share) as f32);
        self.g.add(a, b)
    }

    /// Declares and updates a running mean of `x`, initially 0, that decays by `decay`. Returns its next
    /// value.
    pub fn running_mean(&mut self, name: &str, x: NodeId, decay: f64) -> NodeId {
        let mean = self.state(name, 0.0);
        self.assign_mean(mean, x, decay)
    }

    /// Updates a running mean declared by [`Self::state`]. Returns its next value.
    pub fn assign_mean(&mut self, mean: State, x: NodeId, decay: f64) -> NodeId {
        let next = self.blend(mean.value, x, decay);
        self.assign(mean, next);
        next
    }

    /// Declares and updates a running mean of the squares of `x`. Returns its next value.
    pub fn running_mean_square(&mut self, name: &str, x: NodeId, decay: f64) -> NodeId {
        let mean = self.state(name, 0.0);
        self.assign_mean_square(mean, x, decay)
    }

    /// Updates a running mean of squares declared by [`Self::state`]. Returns its next value.
    ///
    /// `x` is scaled before it is squared, as by PyTorch's `addcmul_`, so that the mean may be finite
    /// although the square overflows.
    pub fn assign_mean_square(&mut self, mean: State, x: NodeId, decay: f64) -> NodeId {
        let decayed = self.g.scale(mean.value, decay as f32);
        let share = self.g.scale(x, (1.0 - decay) as f32);
        let square = self.g.mul(share, x);
        let next = self.g.add(decayed, square);
        self.assign(mean, next);
        next
    }

    /// The gradient with weight decay as an L2 penalty: plus this multiple of the parameter.
    pub fn decayed(&mut self, weight_decay: f32) -> NodeId {
        if weight_decay == 0.0 {
            return self.gradient;
        }
        let decay = self.g.scale(self.parameter, weight_decay);
        self.g.add(self.gradient, decay)
    }

    /// Declares optimizer state of the parameter's shape, initially `start`. Set its next value by
    /// [`Self::assign`].
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

    /// Sets the next value of state.
    pub fn assign(&mut self, state: State, next: NodeId) {
        self.g.add_root(Root::Assign(state.index), next);
    }
}

/// Optimizer state of one parameter, persistent between steps.
#[derive(Clone, Copy, Debug)]
pub struct State {
    index: usize,
    /// Its value before the step.
    pub value: NodeId,
}
