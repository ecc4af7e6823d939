//! A declared network: inputs, parameters, layers, and the forward graph with
//! outputs, loss and metrics as roots. One without a loss only predicts.
//!
//! [`Builder`] makes it, call by call. `network!` drives the same builder
//! twice, by a list of [statements](statement): while it expands, to find mistakes and put them on
//! their token, and in the code that it writes, to make the network when the program runs.

mod bound;
mod builder;
mod measure;
mod names;
mod parameter;
pub mod statement;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::autodiff;
use crate::graph::{Graph, NodeId, Quantity, Root};
use crate::ops::Lowering;
use crate::ops::choose::Selector;
use crate::optim::Training;
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

/// What machine code is made for. Two purposes with a training are equal where they are of
/// the [same](Training::id) one.
#[derive(Clone, Debug)]
pub enum Purpose {
    /// Outputs from inputs.
    Predict,
    /// Loss and metrics.
    Evaluate,
    /// Loss and the gradient of every parameter that is trained, and of the
    /// inputs that ask for it.
    Gradients,
    /// Loss, and every parameter's next value in its place.
    Step(Arc<Training>),
    /// Loss, and gradients added to those of batches before it, for a step
    /// that is made from several.
    Accumulate {
        /// For which steps.
        training: Arc<Training>,
        /// Whether there are no batches before it.
        first: bool,
    },
    /// A step from the gradients of fewer batches than it is made from
    /// otherwise, and from no batch besides: every parameter's next value in
    /// its place. It needs no inputs; how many batches they are is a number of the call.
    Update(Arc<Training>),
}

impl PartialEq for Purpose {
    #[inline]
    fn eq(&self, other: &Purpose) -> bool {
        // The same `Arc` most of the time: a small step would notice looking into it.
        let is_same = |a: &Arc<Training>, b: &Arc<Training>| Arc::ptr_eq(a, b) || a.id() == b.id();
        match (self, other) {
            (Purpose::Predict, Purpose::Predict)
            | (Purpose::Evaluate, Purpose::Evaluate)
            | (Purpose::Gradients, Purpose::Gradients) => true,
            (Purpose::Step(a), Purpose::Step(b)) | (Purpose::Update(a), Purpose::Update(b)) => {
                is_same(a, b)
            }
            (
                Purpose::Accumulate { training: a, first },
                Purpose::Accumulate { training: b, first: other },
            ) => first == other && is_same(a, b),
            _ => false,
        }
    }
}

impl Eq for Purpose {}

impl Hash for Purpose {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        matches!(self, Purpose::Accumulate { first: true, .. }).hash(state);
        self.training().map(|training| training.id()).hash(state);
    }
}

impl Purpose {
    /// In a word, for dumps and messages.
    pub fn name(&self) -> &'static str {
        match self {
            Purpose::Predict => "predict",
            Purpose::Evaluate => "evaluate",
            Purpose::Gradients => "gradients",
            Purpose::Step(_) => "step",
            Purpose::Accumulate { .. } => "accumulate",
            Purpose::Update(_) => "update",
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
            | Purpose::Update(_) => true,
        }
    }

    /// How the network is trained, where it is.
    pub fn training(&self) -> Option<&Arc<Training>> {
        match self {
            Purpose::Step(training)
            | Purpose::Accumulate { training, .. }
            | Purpose::Update(training) => Some(training),
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
            Root::Loss => !matches!(self, Purpose::Predict | Purpose::Update(_)),
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
    pub fn graph_for(&self, purpose: &Purpose, batch: usize) -> Graph {
        self.graph_of(purpose, batch, &[])
    }

    /// The same for some choices: the places of the alternatives, as far as it
    /// is not the first.
    pub fn graph_of(&self, purpose: &Purpose, batch: usize, choices: &[usize]) -> Graph {
        let mut g = self.forward(purpose, batch, choices);
        if let Purpose::Update(training) = purpose {
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
            Purpose::Predict | Purpose::Evaluate | Purpose::Update(_) => {}
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
    fn forward(&self, purpose: &Purpose, batch: usize, choices: &[usize]) -> Graph {
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
    pub fn variables(&self, purpose: &Purpose) -> Vec<Parameter> {
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
