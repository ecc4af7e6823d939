//! Stochastic gradient descent: `w - learning rate · gradient`.

use super::{LEARNING_RATE, Optimizer};
use crate::graph::{Graph, NodeId};
use crate::ops::setting::Setting;

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Sgd {
    /// How far a step goes along the negative gradient.
    pub learning_rate: f32,
}

impl Sgd {
    /// With a learning rate.
    pub fn new(learning_rate: f32) -> Sgd {
        Sgd { learning_rate }
    }
}

impl Optimizer for Sgd {
    fn settings(&self) -> Vec<(&'static str, f32)> {
        vec![(LEARNING_RATE, self.learning_rate)]
    }

    fn update(&self, g: &mut Graph, parameter: NodeId, gradient: NodeId) -> NodeId {
        let rate = g.apply(Setting { name: LEARNING_RATE }, &[]);
        let step = g.mul(gradient, rate);
        g.sub(parameter, step)
    }
}
