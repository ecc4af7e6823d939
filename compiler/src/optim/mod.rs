//! Optimizers, as nodes of the graph: whoever fuses and emits code sees an
//! update as any other formula, and knows no optimizer by name.

pub mod sgd;

use crate::graph::{Graph, NodeId};

/// How a parameter follows from its gradient.
pub trait Optimizer: std::fmt::Debug + Send + Sync {
    /// The value of one of the [`Setting`](crate::ops::setting::Setting)s that
    /// its updates read, by name: settings may change between steps without
    /// compiling again.
    fn setting(&self, name: &str) -> Option<f32>;

    /// How far a step goes.
    fn learning_rate(&self) -> f32;

    /// Changes how far a step goes.
    fn set_learning_rate(&mut self, learning_rate: f32);

    /// The parameter's next value.
    fn update(&self, g: &mut Graph, parameter: NodeId, gradient: NodeId) -> NodeId;
}

/// The setting that all optimizers have.
pub const LEARNING_RATE: &str = "learning rate";
