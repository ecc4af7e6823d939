//! Draws networks: goes through the registries of operations and layers, so that a new one is drawn
//! without a line here. The builder decides what fits: a call that it refuses is dropped and counted.
//!
//! Values are evaluated for one example as they are drawn, and large ones scaled down: a network of
//! overflows would test little.

mod attributes;
mod calls;
mod ending;
pub mod given;
mod pieces;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use bilro::rng::Generator;
use bilro_compiler::declaration::{Declaration, Init};
use bilro_compiler::eval::{Evaluation, Value};
use bilro_compiler::graph::{Graph, NodeId};
use bilro_compiler::ops::switch::Selector;
use bilro_compiler::ops::{self, Domain, Leaf, Op, Reverse, Sample};
use bilro_compiler::shape::{DType, Type};

pub use ending::used_choices;
pub use pieces::prune;

use super::choices::Choices;
use super::language::{self, Call, Item, Lowered, Operand};
use super::training::Plan;
use crate::check;

/// Sizes of axes, around the widths of vectors and tiles.
const SIZES: [usize; 12] = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33];
/// Sizes of axes in large networks: around blocks of products and of sums.
const LARGE_SIZES: [usize; 8] = [8, 31, 64, 100, 129, 257, 520, 1100];
/// Batch sizes.
const BATCHES: [usize; 22] =
    [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 127, 128, 129, 200];
/// Largest number of elements of one example's value, in most networks and in large ones.
const LARGEST: [usize; 2] = [600, 4_000];
/// Largest number of elements of a value or parameter within a call, as the weight of a layer.
const LARGEST_WITHIN: [usize; 2] = [6_000, 200_000];
/// Largest number of elements of a value in a batch.
const LARGEST_BATCH: usize = 12_000;
/// Values beyond this magnitude are scaled down.
const LIMIT: f64 = 8.0;
/// Functions that have no gradient: metrics.
const METRICS: [&str; 2] = ["accuracy", "top_k_accuracy"];
/// Lower bound of operands that must be positive.
const POSITIVE: f64 = 0.2;
/// Lower bound of operands that must be above 1.
const ABOVE_ONE: f64 = 1.25;

/// A random network, and how to run it.
#[derive(Clone, Debug)]
pub struct Network {
    /// Its statements.
    pub items: Vec<Item>,
    /// Examples in a batch.
    pub batch: usize,
    /// Seed of its parameters and data.
    pub seed: u64,
    /// The index of an alternative for each choice.
    pub choices: Vec<usize>,
    /// Its training.
    pub plan: Plan,
    /// Whether some of its data are infinite, NaN, denormal, tiny or huge.
    pub is_extreme: bool,
}

impl Network {
    /// Its declaration.
    ///
    /// # Panics
    /// If the builder refuses it: only accepted statements are drawn.
    pub fn declaration(&self) -> Declaration {
        match language::declare(&self.items) {
            Ok(declaration) => declaration,
            Err(error) => panic!("{error}\n{}", self.text()),
        }
    }

    /// Its text for `network!`.
    pub fn text(&self) -> String {
        language::text(&self.items)
    }

    /// The names of the functions and kinds of layers that it calls.
    pub fn calls(&self) -> Vec<String> {
        let mut names = Vec::new();
        collect_calls(&self.items, &mut names);
        names
    }
}

fn collect_calls(items: &[Item], names: &mut Vec<String>) {
    for item in items {
        match item {
            Item::Let { call, .. } | Item::Layer { of: call, .. } => names.push(call.name.clone()),
            Item::Choice { alternatives, .. } => {
                names.extend(alternatives.iter().map(|call| call.name.clone()));
            }
            Item::Block { items, .. } => collect_calls(items, names),
            _ => {}
        }
    }
}

/// Results of drawing, for tests of the generator.
#[derive(Clone, Debug, Default)]
pub struct Drawn {
    /// Calls that the builder accepted.
    pub accepted: usize,
    /// Calls that the builder refused, by the name of the function or layer, with a message.
    pub refused: BTreeMap<String, (usize, String)>,
}

/// Draws a network.
pub fn network(choices: &mut Choices<'_>) -> Network {
    draw(choices).0
}

/// The same with counts of accepted and refused calls.
pub fn draw(choices: &mut Choices<'_>) -> (Network, Drawn) {
    let seed = choices.seed() % 1_000_000;
    let mut draft = Draft::new(seed, choices.chance(0.04));
    draft.inputs(choices);
    let count = match draft.is_large {
        true => 1 + choices.index(5),
        false => {
            let most = if choices.chance(0.1) { 30 } else { 12 };
            1 + choices.index(most)
        }
    };
    for _ in 0..count {
        draft.draw_item(choices);
    }
    draft.finish(choices, seed)
}

/// Samples of an operation.
struct Function {
    name: &'static str,
    entry: &'static ops::Entry,
    samples: Vec<Sample>,
    /// Whether it has a gradient: nothing before a function without one learns, so it is drawn less
    /// often.
    has_gradient: bool,
}

impl Function {
    fn has_target(&self) -> bool {
        self.entry.call.is_some_and(|call| call.operands.contains(&"target"))
    }

    fn operands(&self) -> usize {
        self.entry.call.map_or(0, |call| call.operands.len())
    }
}

/// The functions and operators of the language.
static FUNCTIONS: LazyLock<Vec<Function>> = LazyLock::new(|| {
    let functions = ops::ALL.iter().filter(|entry| entry.call.is_some());
    functions
        .filter_map(|entry| {
            let samples = (entry.samples)(5);
            let has_gradient = has_gradient(samples.first()?);
            Some(Function { name: entry.name, entry, samples, has_gradient })
        })
        .collect()
});

/// Whether an operation on a sample's operands has a gradient with respect to one of them.
fn has_gradient(sample: &Sample) -> bool {
    let mut g = Graph::new(1);
    let operands = sample.operands.iter().enumerate();
    let x: Vec<NodeId> = operands
        .map(|(index, x)| g.apply(ops::input::Input { index, ty: x.ty.clone() }, &[]))
        .collect();
    let y = g.apply(sample.op.clone(), &x);
    let dy = g.filled(1.0, &g.shape(y).clone());
    let reverse = Reverse { x: &x, y, dy, requested: &vec![true; x.len()] };
    sample.op.gradient(&mut g, &reverse).iter().any(Option::is_some)
}

/// A value that later calls may use.
#[derive(Clone, Debug)]
struct Known {
    name: String,
    ty: Type,
    /// The range of its elements for one example.
    low: f64,
    high: f64,
    /// Whether it depends on a target.
    after_target: bool,
}

impl Known {
    fn dims(&self) -> Vec<usize> {
        self.ty.shape.sizes()
    }

    fn below(&self) -> Option<usize> {
        match &self.ty.dtype {
            DType::Index { below } => below.fixed(),
            DType::Real => None,
        }
    }
}

/// A network while it is drawn.
struct Draft {
    lowered: Lowered,
    items: Vec<Item>,
    values: Vec<Known>,
    /// Names of values that have been used.
    used: BTreeSet<String>,
    /// Named layers with the types of their first inputs.
    layers: Vec<(String, Vec<Type>)>,
    /// The alternatives of each choice.
    alternatives: Vec<usize>,
    /// Values of the builder's nodes for one example; `None` for those of unused switches.
    evaluated: Vec<Option<Value<f64>>>,
    /// Domains of the builder's inputs, in order.
    domains: Vec<Domain>,
    /// Initialisers of parameters by name.
    generator: Generator,
    names: usize,
    is_large: bool,
    in_block: bool,
    drawn: Drawn,
}

impl Draft {
    fn new(seed: u64, is_large: bool) -> Draft {
        Draft {
            lowered: Lowered::default(),
            items: Vec::new(),
            values: Vec::new(),
            used: BTreeSet::new(),
            layers: Vec::new(),
            alternatives: Vec::new(),
            evaluated: Vec::new(),
            domains: Vec::new(),
            generator: Generator::new(seed),
            names: 0,
            is_large,
            in_block: false,
            drawn: Drawn::default(),
        }
    }

    fn size(&self, choices: &mut Choices<'_>) -> usize {
        match self.is_large {
            true => *choices.pick(&LARGE_SIZES),
            false => *choices.pick(&SIZES),
        }
    }

    fn most_elements(&self) -> usize {
        LARGEST[usize::from(self.is_large)]
    }

    fn fresh(&mut self, prefix: &str) -> String {
        self.names += 1;
        format!("{prefix}{}", self.names - 1)
    }

    /// Inputs that are there from the start.
    fn inputs(&mut self, choices: &mut Choices<'_>) {
        for _ in 0..1 + choices.weighted(&[5, 3, 1]) {
            let rank = [1, 2, 0, 3][choices.weighted(&[10, 6, 1, 2])];
            let mut dims: Vec<usize> = (0..rank).map(|_| self.size(choices)).collect();
            while dims.iter().product::<usize>() > self.most_elements() {
                dims.pop();
            }
            self.new_input(choices, dims, Domain::Normal(1.0));
        }
    }

    fn new_input(
        &mut self,
        choices: &mut Choices<'_>,
        dims: Vec<usize>,
        domain: Domain,
    ) -> Option<Known> {
        let (name, grad) = (self.fresh("x"), choices.chance(0.3));
        let item = Item::Input { name, is_target: false, below: None, dims, grad, domain };
        self.declared(item)
    }

    /// Declares an input, a target or a parameter; its value.
    fn declared(&mut self, item: Item) -> Option<Known> {
        if let Item::Input { domain, .. } = &item {
            self.domains.push(*domain);
        }
        let name = item.declares().first().map(ToString::to_string)?;
        let after_target = matches!(item, Item::Input { is_target: true, .. });
        let kind = match &item {
            Item::Parameter { init, .. } => *init,
            _ => "input",
        };
        match self.try_item(item, kind) {
            true => self.known(&name, after_target),
            false => {
                self.domains.truncate(self.input_count());
                None
            }
        }
    }

    fn input_count(&self) -> usize {
        self.items.iter().filter(|item| matches!(item, Item::Input { .. })).count()
    }

    /// Adds an item, unless the builder refuses it; `name` is that of the function or layer.
    fn try_item(&mut self, item: Item, name: &str) -> bool {
        match self.lowered.item(&item) {
            Ok(()) => {
                self.drawn.accepted += 1;
                self.used.extend(item.uses().into_iter().map(String::from));
                self.items.push(item);
                self.evaluate();
                true
            }
            Err(mistake) => {
                let is_declared = |item: &Item| item.declares().contains(&name);
                let name = match self.items.iter().any(is_declared) {
                    true => "a declared name",
                    false => name,
                };
                let refused = self.drawn.refused.entry(name.into()).or_default();
                *refused = (refused.0 + 1, format!("{item}: {}", mistake.message));
                false
            }
        }
    }

    /// A name's value, with the range of its elements, for later calls; `None` if it is not finite.
    fn known(&mut self, name: &str, after_target: bool) -> Option<Known> {
        let node = self.lowered.node(name)?;
        let ty = self.lowered.replay.builder.graph().ty(node).clone();
        let (mut low, mut high) = (0.0, 0.0);
        if let Some(Some(Value::Real(array))) = self.evaluated.get(node.index()) {
            low = array.iter().fold(f64::INFINITY, |m: f64, x| m.min(*x));
            high = array.iter().fold(f64::NEG_INFINITY, |m: f64, x| m.max(*x));
            if !array.iter().all(|x| x.is_finite()) {
                return None;
            }
        }
        let known = Known { name: name.into(), ty, low, high, after_target };
        self.values.push(known.clone());
        Some(known)
    }

    /// Evaluates new nodes of the builder's graph for one example.
    fn evaluate(&mut self) {
        let g = self.lowered.replay.builder.graph();
        self.evaluated.truncate(g.len());
        for id in g.ids().skip(self.evaluated.len()) {
            let operands = g.operands(id);
            let sizes = g.sizes(id);
            let value = match (g.op(id), g.op(id).leaf()) {
                // A layer with a large weight, which is not used further.
                _ if sizes.iter().product::<usize>() > LARGEST_WITHIN[1] => None,
                (_, Some(Leaf::Input(input))) => {
                    let domain = self.domains.get(input.index).copied();
                    let domain = domain.unwrap_or(Domain::Normal(1.0));
                    let operand = ops::Operand::new(input.ty.clone(), domain);
                    Some(match check::values(&operand, 1, &mut self.generator) {
                        Value::Real(x) => Value::Real(x.mapv(f64::from)),
                        Value::Index(x) => Value::Index(x),
                    })
                }
                (_, Some(Leaf::Parameter(_))) => {
                    let mut x = vec![0f32; sizes.iter().product()];
                    let fan = sizes.first().copied().unwrap_or(1).max(1) as f64;
                    let limit = (1.5 / fan.sqrt()).min(0.7);
                    self.generator.fill_uniform(&mut x, -limit as f32, limit as f32);
                    Some(Value::real(&sizes, x.into_iter().map(f64::from).collect()))
                }
                (_, Some(Leaf::StepScalar(scalar))) => Some(match scalar.is_integer {
                    true => Value::index(&[], vec![1]),
                    false => Value::real(&[], vec![0.5]),
                }),
                // The alternative of prediction, which a single example has, or the first.
                (Op::Switch(switch), _) => {
                    let alternative = match switch.by {
                        Selector::Training => operands.last(),
                        _ => operands.first(),
                    };
                    alternative.and_then(|x| self.evaluated[x.index()].clone())
                }
                (op, None) => {
                    let x: Option<Vec<&Value<f64>>> =
                        operands.iter().map(|x| self.evaluated[x.index()].as_ref()).collect();
                    let types: Vec<&Type> = operands.iter().map(|x| g.ty(*x)).collect();
                    let at = Evaluation { ty: g.ty(id), operands: &types, batch: g.batch() };
                    x.map(|x| op.eval(&x, &at))
                }
            };
            self.evaluated.push(value);
        }
    }

    /// A value that calls of one example's shape may use, the latest most often.
    fn pick_value(
        &self,
        choices: &mut Choices<'_>,
        fits: impl Fn(&Known) -> bool,
    ) -> Option<Known> {
        let fitting: Vec<&Known> = self.values.iter().rev().filter(|x| fits(x)).collect();
        if fitting.is_empty() {
            return None;
        }
        // Values that nothing uses yet come first: else most of the network would be unused.
        let is_unused = |x: &Known| !self.used.contains(&x.name);
        let index = match choices.weighted(&[5, 3, 3]) {
            0 => 0,
            1 => fitting.iter().rposition(|x| is_unused(x)).unwrap_or(0),
            _ => choices.index(fitting.len()),
        };
        Some(fitting[index].clone())
    }

    /// A call on values; the result, scaled down if it is large.
    fn let_value(
        &mut self,
        choices: &mut Choices<'_>,
        call: Call,
        operands: Vec<(Operand, bool)>,
        outputs: usize,
    ) -> Option<Known> {
        let after_target = operands.iter().any(|(_, after)| *after);
        let operands: Vec<Operand> = operands.into_iter().map(|(x, _)| x).collect();
        let names: Vec<String> = (0..outputs).map(|_| self.fresh("v")).collect();
        let name = call.name.clone();
        let item = Item::Let { names: names.clone(), call, operands };
        let before = self.lowered.replay.builder.graph().len();
        if !self.try_item(item, &name) || self.largest_since(before) > self.most_within_calls() {
            return None;
        }
        let mut first = None;
        for name in names {
            let node = self.lowered.node(&name)?;
            let count: usize = self.lowered.replay.builder.graph().sizes(node).iter().product();
            if count > 2 * self.most_elements() {
                continue;
            }
            let known = self.known(&name, after_target);
            let settled = known.and_then(|known| self.settled(choices, known));
            first = first.or(settled);
        }
        first
    }

    /// Limit on the elements of values and parameters within a call.
    fn most_within_calls(&self) -> usize {
        LARGEST_WITHIN[usize::from(self.is_large)]
    }

    /// The largest number of elements of one of the builder's nodes from this one on.
    fn largest_since(&self, first: usize) -> usize {
        let g = self.lowered.replay.builder.graph();
        let count = |id| g.sizes(id).iter().product::<usize>();
        g.ids().skip(first).map(count).max().unwrap_or(0)
    }

    /// The value, or a smaller one with the same signs if it is large.
    fn settled(&mut self, choices: &mut Choices<'_>, x: Known) -> Option<Known> {
        let limit = x.high.max(-x.low);
        if !x.ty.is_real() || limit <= LIMIT {
            return Some(x);
        }
        self.values.retain(|known| known.name != x.name);
        let operand = (Operand::Value(x.name.clone()), x.after_target);
        match choices.chance(0.5) {
            true => self.let_value(choices, Call::of("tanh"), vec![operand], 1),
            false => {
                let factor = ((1.0 / limit) * 1e5).round() / 1e5;
                if factor == 0.0 {
                    return self.let_value(choices, Call::of("tanh"), vec![operand], 1);
                }
                let number = (Operand::Number(factor), false);
                self.let_value(choices, Call::of("mul"), vec![operand, number], 1)
            }
        }
    }

    fn draw_item(&mut self, choices: &mut Choices<'_>) {
        match choices.weighted(&[50, 32, 5, 5, 4]) {
            0 => self.draw_function(choices, |function| !function.has_target()),
            1 => self.draw_layer(choices),
            2 if !self.in_block => self.draw_choice(choices),
            3 if !self.in_block => self.draw_block(choices),
            4 if !self.in_block => self.draw_function(choices, |_| true),
            _ => self.draw_function(choices, |function| !function.has_target()),
        };
    }

    /// A new parameter of a shape.
    fn new_parameter(&mut self, choices: &mut Choices<'_>, dims: Vec<usize>) -> Option<Known> {
        let fan = dims.first().copied().unwrap_or(1).max(1) as f64;
        let limit = (1.0 / fan.sqrt() * 1e4).round() / 1e4;
        for _ in 0..4 {
            let (init, arguments) = *choices.pick(Init::ALL);
            let numbers = arguments.iter().map(|argument| match *argument {
                "low" => -limit,
                "high" => limit,
                "std" => limit / 2.0,
                "value" => [0.5, 1.0, -0.25][choices.index(3)],
                _ => [0.0, 0.1][choices.index(2)],
            });
            let numbers: Vec<f64> = numbers.collect();
            let name = self.fresh("p");
            let item = Item::Parameter { name, dims: dims.clone(), init, numbers };
            if let Some(known) = self.declared(item) {
                return Some(known);
            }
        }
        None
    }
}
