//! A declared network: inputs, parameters, layers, and the forward graph with
//! outputs, loss and metrics as roots. One without a loss only predicts.
//!
//! [`Builder`] makes it, call by call. `network!` drives the same builder
//! twice: while it expands, to find mistakes and put them on their token, and
//! in the code that it writes, to make the network when the program runs.

mod bound;
mod builder;
mod measure;
mod names;

use crate::autodiff;
use crate::error::{Mistake, unknown};
use crate::graph::{Graph, NodeId, Quantity, Root};
use crate::ops::Lowering;
use crate::ops::choose::Selector;
use crate::optim::Training;
use crate::shape::{Dim, MOST_ELEMENTS, Shape, Type};

pub use builder::{
    Builder, ChoiceId, LayerId, LayerScope, LossReduction, find_function, find_layer, wrong_count,
};
pub use measure::{Measure, Term};
pub use names::ModuleId;

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

/// What a [`Network`] has. Only a [`Builder`] makes one.
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
    /// What there is to choose from; the first one unless told.
    pub alternatives: Vec<String>,
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
    /// Whether an optimizer changes it. What is not trained may still change
    /// with every step: running statistics do.
    pub is_trained: bool,
}

impl Parameter {
    /// Whether PyTorch has it, and a file of weights, as the transpose of what
    /// it is here: the weight of a linear layer, `[out, in]` there.
    pub fn is_transposed(&self) -> bool {
        self.shape.rank() == 2 && matches!(self.init, Init::Linear { .. })
    }
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
    /// Normal with a mean and a standard deviation, but only values of `low` to `high`.
    TruncNormal {
        /// The mean of the whole normal distribution.
        mean: f64,
        /// Its standard deviation; above 0.
        std: f64,
        /// The smallest value.
        low: f64,
        /// The largest value; at least `low`.
        high: f64,
    },
    /// Orthonormal columns, or rows if these are fewer; drawn in the order of
    /// the transposed matrix, as PyTorch does for a linear layer.
    Orthogonal,
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
        ("trunc_normal", &["mean", "std", "low", "high"]),
        ("orthogonal", &[]),
    ];

    /// The names of the arguments of the initialiser of this name; otherwise
    /// what is wrong, with the nearest name or all there are.
    pub fn arguments(name: &str) -> Result<&'static [&'static str], Mistake> {
        let found = Init::ALL.iter().find(|(n, _)| *n == name);
        found.map(|(_, arguments)| *arguments).ok_or_else(|| {
            Mistake::call(unknown("initialiser", name, Init::ALL.iter().map(|(n, _)| *n)))
        })
    }

    /// Whether it is made for matrices alone.
    fn needs_matrix(&self) -> bool {
        match self {
            Init::XavierUniform
            | Init::XavierNormal
            | Init::KaimingUniform
            | Init::KaimingNormal
            | Init::Orthogonal => true,
            Init::Full(_)
            | Init::Uniform(..)
            | Init::Normal(..)
            | Init::TruncNormal { .. }
            | Init::Linear { .. } => false,
        }
    }

    /// Whether values can be drawn with these numbers.
    fn check_numbers(&self) -> Result<(), Mistake> {
        // As f32, since that is what values are drawn as.
        let finite = |numbers: &[f64]| match numbers.iter().all(|x| (*x as f32).is_finite()) {
            true => Ok(()),
            false => Err("its numbers must be finite".to_owned()),
        };
        let ordered = |low: f64, high: f64| match low > high {
            true => Err(format!("`low` must not be above `high`, but they are {low} and {high}")),
            false => Ok(()),
        };
        let (name, checked) = match *self {
            Init::Uniform(low, high) => {
                ("uniform", finite(&[low, high]).and_then(|()| ordered(low, high)))
            }
            Init::Normal(mean, std) => {
                let checked = finite(&[mean, std]).and_then(|()| match std < 0.0 {
                    true => Err(format!("`std` must not be negative, but is {std}")),
                    false => Ok(()),
                });
                ("normal", checked)
            }
            Init::TruncNormal { mean, std, low, high } => {
                let checked =
                    finite(&[mean, std, low, high]).and_then(|()| match std as f32 <= 0.0 {
                        true => Err(format!("`std` must be above 0, but is {std}")),
                        false => ordered(low, high),
                    });
                ("trunc_normal", checked)
            }
            _ => return Ok(()),
        };
        checked.map_err(|wrong| {
            Mistake::attribute("init", format!("`{name}` cannot start a parameter: {wrong}"))
        })
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
            ("trunc_normal", [mean, std, low, high]) => {
                Init::TruncNormal { mean: *mean, std: *std, low: *low, high: *high }
            }
            ("orthogonal", []) => Init::Orthogonal,
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
    /// What it is as PyTorch prints it, as `Linear(in_features=784,
    /// out_features=128, bias=True)`.
    pub module: String,
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
#[derive(Clone, Copy, Debug)]
pub enum Purpose<'a> {
    /// Outputs from inputs.
    Predict,
    /// Loss and metrics.
    Evaluate,
    /// Loss and the gradient of every parameter that is trained, and of the
    /// inputs that ask for it.
    Gradients,
    /// Loss, and every parameter's next value in its place.
    Step(&'a Training),
    /// Loss, and gradients added to those of batches before it, for a step
    /// that is made from several.
    Accumulate {
        /// For which steps.
        training: &'a Training,
        /// Whether there are no batches before it.
        first: bool,
    },
    /// A step from the gradients of fewer batches than it is made from
    /// otherwise, and from no batch besides: every parameter's next value in
    /// its place. It needs no inputs.
    Update {
        /// For which steps.
        training: &'a Training,
        /// From how many batches; at least 1.
        batches: usize,
    },
}

impl Purpose<'_> {
    /// In a word, for dumps and messages.
    pub fn name(&self) -> &'static str {
        match self {
            Purpose::Predict => "predict",
            Purpose::Evaluate => "evaluate",
            Purpose::Gradients => "gradients",
            Purpose::Step(_) => "step",
            Purpose::Accumulate { .. } => "accumulate",
            Purpose::Update { .. } => "update",
        }
    }

    /// Whether the network trains: layers that differ, as dropout does, do then
    /// what they do while training.
    pub fn trains(&self) -> bool {
        match self {
            Purpose::Predict | Purpose::Evaluate => false,
            Purpose::Gradients
            | Purpose::Step(_)
            | Purpose::Accumulate { .. }
            | Purpose::Update { .. } => true,
        }
    }

    /// How the network is trained, where it is.
    pub fn training(&self) -> Option<&Training> {
        match self {
            Purpose::Step(training)
            | Purpose::Accumulate { training, .. }
            | Purpose::Update { training, .. } => Some(training),
            Purpose::Predict | Purpose::Evaluate | Purpose::Gradients => None,
        }
    }

    /// Whether parameters, or what is kept beside them, are overwritten.
    pub fn overwrites(&self) -> bool {
        self.training().is_some()
    }

    /// Whether it trains on a batch, and keeps what follows from that.
    pub fn trains_on_batch(&self) -> bool {
        matches!(self, Purpose::Step(_) | Purpose::Accumulate { .. })
    }

    /// Whether it needs what the forward graph has under a root; `weighs` says whether the loss
    /// [does](Measure::weighs).
    fn wants(&self, root: &Root, weighs: bool) -> bool {
        let evaluates = matches!(self, Purpose::Evaluate);
        match root {
            Root::Output(_) => matches!(self, Purpose::Predict),
            Root::Loss => !matches!(self, Purpose::Predict | Purpose::Update { .. }),
            Root::Metric(_) => evaluates,
            Root::Sum(Quantity::Loss, _) | Root::Weight(Quantity::Loss, _) => {
                evaluates || (weighs && self.trains_on_batch())
            }
            Root::Sum(Quantity::Metric(_), _) | Root::Weight(Quantity::Metric(_), _) => evaluates,
            // Running statistics.
            Root::Assign(_) => self.trains_on_batch(),
            Root::Gradient(_) | Root::InputGradient(_) | Root::Guard => false,
        }
    }
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

    /// The graph to compile or interpret for a purpose and a batch size:
    /// forward, and whatever gradients and updates the purpose asks for. Of
    /// every choice the first alternative; see [`Self::graph_of`].
    pub fn graph_for(&self, purpose: &Purpose<'_>, batch: usize) -> Graph {
        self.graph_of(purpose, batch, &[])
    }

    /// The same for some choices: the places of the alternatives, as far as it
    /// is not the first.
    pub fn graph_of(&self, purpose: &Purpose<'_>, batch: usize, choices: &[usize]) -> Graph {
        let mut g = self.forward(purpose, batch, choices);
        if let Purpose::Update { training, .. } = purpose {
            let trained = self.parameter_nodes(&mut g, &training.trained(&self.parameters));
            // Nothing is left over where every batch makes an update.
            if training.accumulate() == 1 {
                return g;
            }
            training.update(&mut g, &self.parameters, &trained);
            return g;
        }
        let Some(loss) = g.root(&Root::Loss) else {
            return g;
        };
        match purpose {
            Purpose::Predict | Purpose::Evaluate | Purpose::Update { .. } => {}
            Purpose::Gradients => {
                let places: Vec<usize> =
                    (0..self.parameters.len()).filter(|i| self.parameters[*i].is_trained).collect();
                let inputs: Vec<usize> =
                    (0..self.inputs.len()).filter(|i| self.inputs[*i].has_gradient).collect();
                let mut leaves = self.parameter_nodes(&mut g, &places);
                for i in &inputs {
                    let ty = self.inputs[*i].ty.clone();
                    leaves.push(g.apply(crate::ops::input::Input { index: *i, ty }, &[]));
                }
                let roots = places.into_iter().map(Root::Gradient);
                let roots = roots.chain(inputs.into_iter().map(Root::InputGradient));
                let gradients = autodiff::gradients(&mut g, loss, &leaves);
                roots.zip(gradients).for_each(|(root, dx)| g.add_root(root, dx));
            }
            Purpose::Step(training) | Purpose::Accumulate { training, .. } => {
                let places = training.trained(&self.parameters);
                let trained = self.parameter_nodes(&mut g, &places);
                let gradients = autodiff::gradients(&mut g, loss, &trained);
                let clipped = match purpose {
                    Purpose::Accumulate { first, .. } => {
                        training.add_up(&mut g, &self.parameters, &gradients, *first);
                        None
                    }
                    _ => training.step(&mut g, &self.parameters, &trained, &gradients).1,
                };
                // Sums over all gradients tell of each.
                let mut direct = self.judged(&mut g, loss);
                let guard = match clipped {
                    Some(sums) => {
                        direct.extend(sums);
                        g.all_finite(&direct, &[])
                    }
                    None => g.all_finite(&direct, &gradients),
                };
                g.add_root(Root::Guard, guard);
            }
        }
        g
    }

    /// What must be finite for a batch's loss to be one to learn from: the loss, or the
    /// sums of its terms where it weighs targets. Then the loss is NaN where one of its
    /// terms has no target that counts, but there are others to learn from; where no term
    /// has one, there is nothing.
    fn judged(&self, g: &mut Graph, loss: NodeId) -> Vec<NodeId> {
        let Some(measure) = self.loss_measure().filter(|measure| measure.weighs()) else {
            return vec![loss];
        };
        let root = |g: &Graph, root| g.root(&root).expect("a loss that weighs has it");
        let terms = 0..measure.terms.len();
        let mut judged: Vec<NodeId> =
            terms.clone().map(|i| root(g, Root::Sum(Quantity::Loss, i))).collect();
        if measure.terms.iter().all(|term| *term == Term::Weighted) {
            let (zero, nan) = (g.constant(0.0), g.constant(f32::NAN));
            let weights = terms.map(|i| root(g, Root::Weight(Quantity::Loss, i)));
            let weight =
                weights.collect::<Vec<_>>().into_iter().reduce(|a, b| g.add(a, b)).unwrap_or(zero);
            let is_nothing = g.equal(weight, zero);
            judged.push(g.select(is_nothing, nan, zero));
        }
        judged
    }

    /// The forward graph with what a purpose needs of it, and with what is
    /// chosen in the place of every choice.
    fn forward(&self, purpose: &Purpose<'_>, batch: usize, choices: &[usize]) -> Graph {
        let mut g = self.graph.with_batch(batch);
        let weighs = self.loss_measure().is_some_and(Measure::weighs);
        g.retain_roots(|root| purpose.wants(root, weighs));
        g.rebuild(|g, op, x| match op.lower() {
            Lowering::Choice(Selector::Training) => x[usize::from(!purpose.trains())],
            Lowering::Choice(Selector::Declared(i)) => x[choices.get(i).copied().unwrap_or(0)],
            _ => g.apply(op.clone(), x),
        })
    }

    /// What a purpose keeps from call to call: the network's parameters, and
    /// behind them what training keeps.
    pub fn variables(&self, purpose: &Purpose<'_>) -> Vec<Parameter> {
        let mut kept = self.parameters.clone();
        if let Some(training) = purpose.training() {
            kept.extend(training.state(&self.parameters));
        }
        kept
    }

    fn parameter_nodes(&self, g: &mut Graph, places: &[usize]) -> Vec<NodeId> {
        let leaf = |index: &usize| {
            let shape = self.parameters[*index].shape.clone();
            g.apply(crate::ops::parameter::Parameter { index: *index, shape }, &[])
        };
        places.iter().map(leaf).collect()
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
