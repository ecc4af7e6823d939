//! Optimizers, as nodes of the graph: whoever fuses and emits code sees an
//! update as any other formula, and knows no optimizer by name.

pub mod sgd;

use crate::graph::{Graph, NodeId};

/// How a parameter follows from its gradient.
pub trait Optimizer: std::fmt::Debug + Send + Sync {
    /// Numbers that may change between steps without compiling again: the
    /// names of [`Setting`](crate::ops::setting::Setting)s and their values.
    fn settings(&self) -> Vec<(&'static str, f32)>;

    /// The parameter's next value.
    fn update(&self, g: &mut Graph, parameter: NodeId, gradient: NodeId) -> NodeId;
}

/// The setting that all optimizers have.
pub const LEARNING_RATE: &str = "learning rate";
