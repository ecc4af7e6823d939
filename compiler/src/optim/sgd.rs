//! Stochastic gradient descent: `w - learning rate · gradient`.

use super::{LEARNING_RATE, Optimizer};
use crate::graph::{Graph, NodeId};
use crate::ops::setting::Setting;

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Sgd {
    learning_rate: f32,
}

impl Sgd {
    /// With a learning rate: how far a step goes along the negative gradient.
    pub fn new(learning_rate: f32) -> Sgd {
        Sgd { learning_rate }
    }
}

impl Optimizer for Sgd {
    fn setting(&self, name: &str) -> Option<f32> {
        (name == LEARNING_RATE).then_some(self.learning_rate)
    }

    fn learning_rate(&self) -> f32 {
        self.learning_rate
    }

    fn set_learning_rate(&mut self, learning_rate: f32) {
        self.learning_rate = learning_rate;
    }

    fn update(&self, g: &mut Graph, parameter: NodeId, gradient: NodeId) -> NodeId {
        let rate = g.apply(Setting { name: LEARNING_RATE }, &[]);
        let step = g.mul(gradient, rate);
        g.sub(parameter, step)
    }
}
