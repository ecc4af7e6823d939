//! A declared network: inputs, parameters, layers, and the forward graph with
//! outputs, loss and metrics as roots. One without a loss only predicts.
//!
//! [`Builder`] makes it, call by call. `network!` drives the same builder
//! twice, by a list of [statements](statement): while it expands, to find mistakes and put them on
//! their token, and in the code that it writes, to make the network when the program runs.

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

/// A declared network: inputs, parameters, layers, and the forward graph with
/// outputs, loss and metrics as roots. [`Builder`] makes it.
///
/// What it [has](Declared) can be read, but not changed: machine code relies on it,
/// and what parts of a network say of each other stays true.
#[derive(Clone, Debug)]
pub struct Declaration(Declared);

impl std::ops::Deref for Declaration {
    type Target = Declared;

    fn deref(&self) -> &Declared {
        &self.0
    }
}

/// What a [`Declaration`] has. Only a [`Builder`] makes one.
#[derive(Clone, Debug)]
pub struct Declared {
    /// Its name, as a Rust type's.
    pub name: String,
    /// Inputs and targets, in the order in which they were declared.
    pub inputs: Vec<Input>,
    /// Parameters, in the order in which they were declared: also the order in
    /// which a seeded generator fills them.
    pub parameters: Vec<Parameter>,
    /// Layers, in the order in which they were declared.
    pub layers: Vec<Layer>,
    /// What the user chooses with every call, in the order of declaration.
    pub choices: Vec<Choice>,
    /// How the loss, the first where there is one, and the metrics, in the order in which they were
    /// declared, follow from what batches give. Roots of their sums and weights come in this order.
    pub measures: Vec<Measure>,
    /// The forward graph, whose batch size stands for any.
    graph: Graph,
}

/// An input or a target.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// Its type; batched.
    pub ty: Type,
    /// Whether it is given only for training and evaluating.
    pub is_target: bool,
    /// Whether its gradient is asked for as well.
    pub has_gradient: bool,
}

/// What the user chooses with every call: one of several functions.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Its name.
    pub name: String,
    /// What there is to choose from; the first one by default.
    pub alternatives: Vec<String>,
}

/// A layer that is used at least once.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Its name, with those of the modules around it: `residual1.fc`.
    pub name: String,
    /// What it is, as `Linear(784, 128)`.
    pub kind: String,
    /// What it is as PyTorch prints it, as `Linear(in_features=784,
    /// out_features=128, bias=True)`.
    pub module: String,
    /// The places of its parameters.
    pub parameters: Vec<usize>,
    /// The shapes of what it was first used on.
    pub inputs: Vec<Shape>,
    /// The shapes of what that gave.
    pub outputs: Vec<Shape>,
    /// Multiply-adds for one example, at its first use.
    pub multiply_adds: usize,
}

impl Declaration {
    /// The forward graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Whether it has a loss. Without one all that it can do is predict: graphs
    /// for other purposes have nothing to compute.
    pub fn has_loss(&self) -> bool {
        self.graph.root(&Root::Loss).is_some()
    }

    /// How the loss of many examples follows from that of batches; none without a loss.
    pub fn loss_measure(&self) -> Option<&Measure> {
        self.measures.iter().find(|measure| measure.quantity == Quantity::Loss)
    }

    /// The fewest examples that it can be trained on at once: what its operations ask for, as two
    /// where the variance of a feature over the batch is asked for.
    pub fn least_batch(&self) -> usize {
        let g = &self.graph;
        let least = g.ids().map(|id| g.op(id).least_batch(&g.operand_types(id)));
        least.max().unwrap_or(1)
    }

    /// The most examples that it can be run on at once: with them, a value has
    /// [`MOST_ELEMENTS`].
    pub fn most_batch(&self) -> usize {
        let shapes = self.graph.ids().map(|id| self.graph.shape(id));
        let largest = shapes.filter(|shape| shape.batched).map(|shape| shape.count(1)).max();
        MOST_ELEMENTS / largest.unwrap_or(1).max(1)
    }

    /// Multiply-adds of all its products for one example, forward.
    pub fn multiply_adds(&self) -> usize {
        self.graph.ids().map(|id| builder::multiply_adds(&self.graph, id)).sum()
    }

    /// The names of the outputs, in order.
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
