//! A declared network: inputs, parameters, layers, and the forward graph with
//! outputs, loss and metrics as roots.
//!
//! [`Builder`] makes it, call by call. `network!` drives the same builder
//! twice: while it expands, to find mistakes and put them on their token, and
//! in the code that it writes, to make the network when the program runs.

mod builder;
mod names;

use crate::autodiff;
use crate::error::{Mistake, nearest};
use crate::graph::{Graph, NodeId, Root};
use crate::ops::Op;
use crate::optim::Optimizer;
use crate::shape::{Dim, Shape, Type};

pub use builder::{Builder, LayerId, LossReduction, Scope, find_function, find_layer, wrong_count};
pub use names::ModuleId;

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Network {
    /// Its name, as a Rust type's.
    pub name: String,
    /// Inputs and targets, in the order in which they were declared.
    pub inputs: Vec<Input>,
    /// Parameters, in the order in which they were declared: also the order in
    /// which a seeded generator fills them.
    pub parameters: Vec<Parameter>,
    /// Layers, in the order in which they were declared.
    pub layers: Vec<Layer>,
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
}

/// A parameter.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its name, as `fc1.weight`.
    pub name: String,
    /// Its shape, weights of linear layers as `[in, out]`.
    pub shape: Shape,
    /// How it starts.
    pub init: Init,
}

/// How a parameter starts. Fans are those of a matrix `[in, out]`; formulas are
/// PyTorch's `torch.nn.init`.
#[derive(Clone, Debug, PartialEq)]
pub enum Init {
    /// One number everywhere.
    Full(f64),
    /// Uniform between two numbers.
    Uniform(f64, f64),
    /// Normal with a mean and a standard deviation.
    Normal(f64, f64),
    /// Uniform within √(6 / (fan in + fan out)).
    XavierUniform,
    /// Normal with standard deviation √(2 / (fan in + fan out)).
    XavierNormal,
    /// Uniform within √(6 / fan in).
    KaimingUniform,
    /// Normal with standard deviation √(2 / fan in).
    KaimingNormal,
    /// A linear layer's own: uniform within 1 / √(fan in), for its weight and
    /// its bias, drawn in the order of the transposed matrix, as PyTorch does.
    Linear {
        /// The number of inputs of the layer.
        fan_in: Dim,
    },
}

impl Init {
    /// The initialisers of the language: name, arguments, and what they mean.
    pub const ALL: &[(&str, &[&str])] = &[
        ("zeros", &[]),
        ("ones", &[]),
        ("full", &["value"]),
        ("uniform", &["low", "high"]),
        ("normal", &["mean", "std"]),
        ("xavier_uniform", &[]),
        ("xavier_normal", &[]),
        ("kaiming_uniform", &[]),
        ("kaiming_normal", &[]),
    ];

    /// The names of the arguments of the initialiser of this name; otherwise
    /// what is wrong, with the nearest name and all there are.
    pub fn arguments(name: &str) -> Result<&'static [&'static str], Mistake> {
        let found = Init::ALL.iter().find(|(n, _)| *n == name);
        found.map(|(_, arguments)| *arguments).ok_or_else(|| {
            let near = nearest(name, Init::ALL.iter().map(|(n, _)| *n));
            let near = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
            let all: Vec<_> = Init::ALL.iter().map(|(n, _)| format!("`{n}`")).collect();
            Mistake::call(format!(
                "there is no initialiser `{name}`{near} (the initialisers are {})",
                all.join(", ")
            ))
        })
    }

    /// Whether it is made for matrices alone.
    fn needs_matrix(&self) -> bool {
        match self {
            Init::XavierUniform
            | Init::XavierNormal
            | Init::KaimingUniform
            | Init::KaimingNormal => true,
            Init::Full(_) | Init::Uniform(..) | Init::Normal(..) | Init::Linear { .. } => false,
        }
    }

    /// The initialiser of this name with these arguments, as many as
    /// [`Init::ALL`] says.
    pub fn from_call(name: &str, x: &[f64]) -> Option<Init> {
        Some(match (name, x) {
            ("zeros", []) => Init::Full(0.0),
            ("ones", []) => Init::Full(1.0),
            ("full", [value]) => Init::Full(*value),
            ("uniform", [low, high]) => Init::Uniform(*low, *high),
            ("normal", [mean, std]) => Init::Normal(*mean, *std),
            ("xavier_uniform", []) => Init::XavierUniform,
            ("xavier_normal", []) => Init::XavierNormal,
            ("kaiming_uniform", []) => Init::KaimingUniform,
            ("kaiming_normal", []) => Init::KaimingNormal,
            _ => return None,
        })
    }
}

/// A layer that is used at least once.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Its name, with those of the modules around it: `residual1.fc`.
    pub name: String,
    /// What it is, as `Linear(784, 128)`.
    pub kind: String,
    /// The places of its parameters.
    pub parameters: Vec<usize>,
    /// The shape of what it was first used on.
    pub input: Shape,
    /// The shape of what that gave.
    pub output: Shape,
    /// Multiply-adds for one example, at its first use.
    pub multiply_adds: usize,
}

/// What machine code is made for.
#[derive(Clone, Debug)]
pub enum Purpose<'a> {
    /// Outputs from inputs.
    Predict,
    /// Loss and metrics.
    Evaluate,
    /// Loss and the gradient of every parameter.
    Gradients,
    /// Loss, and every parameter's next value in its place.
    Step(&'a dyn Optimizer),
}

impl Purpose<'_> {
    /// In a word, for dumps and messages.
    pub fn name(&self) -> &'static str {
        match self {
            Purpose::Predict => "predict",
            Purpose::Evaluate => "evaluate",
            Purpose::Gradients => "gradients",
            Purpose::Step(_) => "step",
        }
    }
}

impl Network {
    /// The forward graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The graph to compile or interpret for a purpose and a batch size:
    /// forward, and whatever gradients and updates the purpose asks for.
    pub fn graph_for(&self, purpose: &Purpose<'_>, batch: usize) -> Graph {
        let mut g = self.graph.with_batch(batch);
        match purpose {
            Purpose::Predict => g.retain_roots(|root| matches!(root, Root::Output(_))),
            Purpose::Evaluate => {
                g.retain_roots(|root| matches!(root, Root::Loss | Root::Metric(_)));
            }
            Purpose::Gradients => {
                g.retain_roots(|root| *root == Root::Loss);
                let parameters = self.parameter_nodes(&mut g);
                for (i, dw) in self.differentiate(&mut g, &parameters).into_iter().enumerate() {
                    g.add_root(Root::Gradient(i), dw);
                }
            }
            Purpose::Step(optimizer) => {
                g.retain_roots(|root| *root == Root::Loss);
                let parameters = self.parameter_nodes(&mut g);
                let gradients = self.differentiate(&mut g, &parameters);
                for (i, (w, dw)) in parameters.into_iter().zip(gradients).enumerate() {
                    let next = optimizer.update(&mut g, w, dw);
                    g.add_root(Root::Assign(i), next);
                }
            }
        }
        g
    }

    fn parameter_nodes(&self, g: &mut Graph) -> Vec<NodeId> {
        let leaf = |(index, p): (usize, &Parameter)| {
            g.apply(crate::ops::parameter::Parameter { index, shape: p.shape.clone() }, &[])
        };
        self.parameters.iter().enumerate().map(leaf).collect()
    }

    fn differentiate(&self, g: &mut Graph, parameters: &[NodeId]) -> Vec<NodeId> {
        let loss = g.root(&Root::Loss).expect("a network has a loss");
        autodiff::gradients(g, loss, parameters)
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

    /// For every input, whether a purpose needs it.
    pub fn needs(&self, purpose: &Purpose<'_>) -> Vec<bool> {
        let mut g = self.graph.clone();
        g.retain_roots(|root| match purpose {
            Purpose::Predict => matches!(root, Root::Output(_)),
            Purpose::Evaluate => matches!(root, Root::Loss | Root::Metric(_)),
            Purpose::Gradients | Purpose::Step(_) => *root == Root::Loss,
        });
        let needed = g.needed();
        let mut inputs = vec![false; self.inputs.len()];
        for id in g.ids() {
            if let Op::Input(input) = g.op(id) {
                inputs[input.index] |= needed[id.index()];
            }
        }
        inputs
    }
}
