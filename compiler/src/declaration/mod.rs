//! Declarations of networks: inputs, parameters, layers, and the forward graph with outputs, loss and
//! metrics as roots. A network without a loss only predicts.
//!
//! A [`Builder`] builds it call by call. `network!` drives the same builder twice by a list of
//! [statements](statement): during expansion, to report mistakes at their tokens, and in the generated
//! code, to build the network at run time.

mod builder;
mod measure;
mod names;
mod parameter;
pub mod statement;

use crate::graph::{Graph, Quantity, Root};
use crate::shape::{MOST_ELEMENTS, Shape, Type};

pub use builder::{
    Builder, ChoiceId, LayerId, LayerScope, LossReduction, Operand, find_function, find_layer,
    wrong_count,
};
pub use measure::{Measure, Term};
pub use names::ModuleId;
pub use parameter::{Fans, Init, Parameter};

/// A declared network: inputs, parameters, layers, and the forward graph with outputs, loss and
/// metrics as roots. Built by a [`Builder`].
///
/// Its [fields](Declared) are read-only: machine code relies on their invariants.
#[derive(Clone, Debug)]
pub struct Declaration(Declared);

impl std::ops::Deref for Declaration {
    type Target = Declared;

    fn deref(&self) -> &Declared {
        &self.0
    }
}

/// The fields of a [`Declaration`].
#[derive(Clone, Debug)]
pub struct Declared {
    /// Its name, in camel case as a Rust type.
    pub name: String,
    /// Inputs and targets, in declaration order.
    pub inputs: Vec<Input>,
    /// Parameters, in declaration order, which is also the order of their initialisation.
    pub parameters: Vec<Parameter>,
    /// Layers that are used, in declaration order.
    pub layers: Vec<Layer>,
    /// Choices, in declaration order.
    pub choices: Vec<Choice>,
    /// Aggregation over batches of the loss, if any, then of the metrics in declaration order. Roots of
    /// sums and weights are in this order.
    pub measures: Vec<Measure>,
    /// The forward graph, with a placeholder as batch size.
    graph: Graph,
}

/// An input or a target.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// Its type; batched.
    pub ty: Type,
    /// Whether it is an input of training and evaluation only.
    pub is_target: bool,
    /// Whether its gradient is requested.
    pub has_gradient: bool,
}

/// A choice of one of several functions, made with every call.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Its name.
    pub name: String,
    /// The alternatives; default the first.
    pub alternatives: Vec<String>,
}

/// A layer that is used at least once.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Its qualified name: `residual1.fc`.
    pub name: String,
    /// Its kind and attributes, as `Linear(784, 128)`.
    pub kind: String,
    /// Its description in PyTorch's form, as `Linear(in_features=784, out_features=128, bias=True)`.
    pub module: String,
    /// The indices of its parameters.
    pub parameters: Vec<usize>,
    /// The input shapes of its first use.
    pub inputs: Vec<Shape>,
    /// The output shapes of its first use.
    pub outputs: Vec<Shape>,
    /// Multiply-adds for one example, at its first use.
    pub multiply_adds: usize,
}

impl Declaration {
    /// The forward graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Whether it has a loss. Without one it only predicts.
    pub fn has_loss(&self) -> bool {
        self.graph.root(&Root::Loss).is_some()
    }

    /// The aggregation of the loss over batches; `None` without a loss.
    pub fn loss_measure(&self) -> Option<&Measure> {
        self.measures.iter().find(|measure| measure.quantity == Quantity::Loss)
    }

    /// The smallest batch that it can be trained on: the maximum over its operations, as 2 for the
    /// variance of a feature over the batch.
    pub fn least_batch(&self) -> usize {
        let g = &self.graph;
        let least = g.ids().map(|id| g.op(id).least_batch(&g.operand_types(id)));
        least.max().unwrap_or(1)
    }

    /// The largest batch that it can be run on, bounded by [`MOST_ELEMENTS`] of a value.
    pub fn most_batch(&self) -> usize {
        let shapes = self.graph.ids().map(|id| self.graph.shape(id));
        let largest = shapes.filter(|shape| shape.batched).map(|shape| shape.count(1)).max();
        MOST_ELEMENTS / largest.unwrap_or(1).max(1)
    }

    /// Multiply-adds of all its products for one example, forward.
    pub fn multiply_adds(&self) -> usize {
        self.graph.ids().map(|id| builder::multiply_adds(&self.graph, id)).sum()
    }

    /// The names and shapes of the outputs, in order.
    pub fn outputs(&self) -> impl Iterator<Item = (&str, &Shape)> {
        self.graph.roots().iter().filter_map(|(root, id)| match root {
            Root::Output(name) => Some((name.as_str(), self.graph.shape(*id))),
            _ => None,
        })
    }

    /// The names of the metrics, in order.
    pub fn metrics(&self) -> impl Iterator<Item = &str> {
        self.graph.roots().iter().filter_map(|(root, _)| match root {
            Root::Metric(name) => Some(name.as_str()),
            _ => None,
        })
    }
}
