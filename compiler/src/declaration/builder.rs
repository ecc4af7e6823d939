//! The builder of networks: see [`Builder`].

mod finish;
mod scope;
mod terms;

use super::names::{ModuleId, Names, Order};
use super::{Choice, Init, Input, Parameter};
use crate::error::{Mistake, nearest, unknown};
use crate::graph::{Graph, NodeId, Root};
use crate::layers::{self, AnyLayer};
use crate::ops::choose::{Selector, Switch};
use crate::ops::{self, AttributeValue, Attributes, Leaf, Number};
use crate::pytorch;
use crate::shape::{Dim, Fact, Facts, Shape, Type};

pub use scope::LayerScope;
use terms::Summand;

/// Builds a network call by call, in the language's own terms.
///
/// Every call checks names, counts, attributes and shapes, and says what is
/// wrong and which part of the call is to blame. A call that fails changes
/// nothing.
#[derive(Debug)]
pub struct Builder {
    name: String,
    graph: Graph,
    inputs: Vec<Input>,
    /// With the places that they belong to.
    parameters: Vec<(Order, Parameter)>,
    layers: Vec<DeclaredLayer>,
    choices: Vec<Choice>,
    facts: Facts,
    /// The value whose mean or sum is the loss, and its terms.
    loss: Option<(NodeId, Vec<Summand>)>,
    /// The terms of each metric.
    metrics: Vec<Vec<Summand>>,
    /// How many streams of numbers are drawn at random.
    streams: u32,
    names: Names,
}

/// Names a layer of one builder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LayerId(usize);

/// Names a choice of one builder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChoiceId(usize);

/// How the elements of a loss become one number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LossReduction {
    /// Their mean over example and batch; of terms whose operation weighs them
    /// ([`Operation::weights`](ops::Operation::weights)), each term's own mean by
    /// its weights.
    Mean,
    /// Their sum over example and batch.
    Sum,
}

#[derive(Debug)]
struct DeclaredLayer {
    /// With those of the modules around it.
    name: String,
    /// How messages call it: its name, or its kind where it has none.
    shown: String,
    /// Parameters that are made at its first use belong here.
    order: Order,
    layer: AnyLayer,
    /// Its parameters, by their own names, once it has been used.
    parameters: Vec<(String, NodeId)>,
    used: Option<(Type, Shape, usize)>,
}

impl Builder {
    /// A network without anything.
    pub fn new(name: &str) -> Builder {
        Builder {
            name: name.into(),
            // Until a network is compiled, its batch size stands for any.
            graph: Graph::new(1),
            inputs: Vec::new(),
            parameters: Vec::new(),
            layers: Vec::new(),
            choices: Vec::new(),
            facts: Facts::default(),
            loss: None,
            metrics: Vec::new(),
            streams: 0,
            names: Names::default(),
        }
    }

    /// The forward graph so far.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Takes what symbolic sizes have left undecided since the last time.
    pub fn take_facts(&mut self) -> Vec<Fact> {
        std::mem::take(&mut self.facts.undecided)
    }

    /// An input: reals of a shape, or whole numbers below a bound.
    pub fn input(&mut self, name: &str, ty: Type) -> Result<NodeId, Mistake> {
        self.leaf(name, ty, false)
    }

    /// A target: an input that is given only for training and evaluating.
    pub fn target(&mut self, name: &str, ty: Type) -> Result<NodeId, Mistake> {
        self.leaf(name, ty, true)
    }

    fn leaf(&mut self, name: &str, ty: Type, is_target: bool) -> Result<NodeId, Mistake> {
        let bound = match &ty.dtype {
            crate::shape::DType::Index { below } => Some(below),
            crate::shape::DType::Real => None,
        };
        check_sizes(ty.shape.dims.iter().chain(bound))?;
        ty.shape.check_count()?;
        if let Some(below) = bound.and_then(|b| b.fixed()).filter(|n| *n as u64 > 1 << 32) {
            let message = format!(
                "`{name}` holds numbers below {below}, but they are u32: the bound is at most 4294967296"
            );
            return Err(Mistake::call(message));
        }
        if self.inputs.iter().any(|i| i.name == name) {
            return Err(Mistake::call(format!("`{name}` is declared twice")));
        }
        let ty = Type { shape: Shape { batched: true, ..ty.shape }, dtype: ty.dtype };
        let index = self.inputs.len();
        let id = self.graph.apply(ops::input::Input { index, ty: ty.clone() }, &[]);
        self.graph.name(id, name);
        self.inputs.push(Input { name: name.into(), ty, is_target, has_gradient: false });
        Ok(id)
    }

    /// Asks for the gradient with respect to an input, besides those of the
    /// parameters.
    pub fn differentiate(&mut self, input: NodeId) -> Result<(), Mistake> {
        let Some(Leaf::Input(op)) = self.graph.op(input).leaf() else {
            return Err(Mistake::call("only an input can ask for its gradient"));
        };
        let declared = &mut self.inputs[op.index];
        if !declared.ty.is_real() {
            let message = format!(
                "`{}` holds {}, which have no gradient: only reals have",
                declared.name, declared.ty
            );
            return Err(Mistake::call(message));
        }
        declared.has_gradient = true;
        Ok(())
    }

    /// Something that the user chooses with every call, the first alternative
    /// unless told.
    pub fn choice(&mut self, name: &str, alternatives: &[&str]) -> Result<ChoiceId, Mistake> {
        if self.choices.iter().any(|c| c.name == name) {
            return Err(Mistake::call(format!("`{name}` is declared twice")));
        }
        if alternatives.len() < 2 {
            return Err(Mistake::call(format!("`{name}` needs two alternatives at least")));
        }
        let alternatives = alternatives.iter().map(|a| a.to_string()).collect();
        self.choices.push(Choice { name: name.into(), alternatives });
        Ok(ChoiceId(self.choices.len() - 1))
    }

    /// The value that is chosen: one for each alternative, with the text that
    /// the user wrote for it.
    pub fn choose(&mut self, choice: ChoiceId, x: &[(NodeId, &str)]) -> Result<NodeId, Mistake> {
        self.choose_by(Selector::Declared(choice.0), x)
    }

    fn choose_by(&mut self, by: Selector, x: &[(NodeId, &str)]) -> Result<NodeId, Mistake> {
        let batched = x.iter().any(|(x, _)| self.graph.shape(*x).batched);
        let (ids, names): (Vec<NodeId>, Vec<&str>) = x
            .iter()
            .map(|(x, name)| {
                let shape = Shape { batched, ..self.graph.shape(*x).clone() };
                (self.graph.broadcast(*x, &shape), *name)
            })
            .unzip();
        self.graph.call(Switch { by }.into(), &ids, &names, &mut self.facts)
    }

    /// A parameter of its own.
    pub fn parameter(&mut self, name: &str, dims: Vec<Dim>, init: Init) -> Result<NodeId, Mistake> {
        if init.needs_matrix() && dims.len() != 2 {
            let message = format!(
                "this initialiser is for matrices `[in, out]`, but `{name}` has shape {}",
                Shape::unbatched(dims)
            );
            return Err(Mistake::attribute("init", message));
        }
        init.check_numbers()?;
        let (place, name) = (self.names.order(), self.names.full(name));
        self.new_parameter(place, &name, dims, init, true)
    }

    fn new_parameter(
        &mut self,
        place: Order,
        name: &str,
        dims: Vec<Dim>,
        init: Init,
        is_trained: bool,
    ) -> Result<NodeId, Mistake> {
        check_sizes(&dims)?;
        Shape::unbatched(dims.clone()).check_count()?;
        if self.parameters.iter().any(|(_, p)| p.name == name) {
            return Err(Mistake::call(format!("`{name}` is declared twice")));
        }
        let shape = Shape::unbatched(dims);
        let index = self.parameters.len();
        let id = self.graph.apply(ops::parameter::Parameter { index, shape: shape.clone() }, &[]);
        self.graph.name(id, name);
        self.parameters.push((place, Parameter { name: name.into(), shape, init, is_trained }));
        Ok(id)
    }

    /// A number.
    pub fn number(&mut self, x: f64) -> NodeId {
        self.graph.apply(ops::constant::Constant(Number(x as f32)), &[])
    }

    /// A function or operator of the language on operands, each with the text
    /// that the user wrote for it.
    pub fn call(
        &mut self,
        function: &str,
        operands: &[(NodeId, &str)],
        attributes: &Attributes,
    ) -> Result<NodeId, Mistake> {
        let entry = find_function(function)?;
        let form = entry.call.expect("only operations with a call are found");
        let shown = form.show(entry.name);
        if operands.len() != form.operands.len() {
            return Err(Mistake::call(wrong_count(
                function,
                form.operands.len(),
                operands.len(),
                &shown,
            )));
        }
        attributes.check(function, form.attributes, &shown)?;
        let op = (entry.from_call)(attributes)?;
        let (ids, names): (Vec<NodeId>, Vec<&str>) = operands.iter().copied().unzip();
        self.graph.call(op, &ids, &names, &mut self.facts)
    }

    /// A layer. Without a name it gets one from its kind: `linear1`.
    pub fn layer(
        &mut self,
        name: Option<&str>,
        kind: &str,
        attributes: &Attributes,
    ) -> Result<LayerId, Mistake> {
        let entry = find_layer(kind)?;
        attributes.check(kind, entry.attributes, &entry.show())?;
        for (given, value) in attributes.iter() {
            if let AttributeValue::Size(size) = value {
                check_sizes([size]).map_err(|m| Mistake::attribute(given, m.message))?;
            }
        }
        let layer = (entry.from_call)(attributes)?;
        let chosen = name.map_or_else(|| self.names.free(kind), String::from);
        self.names.take(&chosen);
        self.layers.push(DeclaredLayer {
            name: self.names.full(&chosen),
            shown: name.unwrap_or(kind).into(),
            order: self.names.order(),
            layer,
            parameters: Vec::new(),
            used: None,
        });
        Ok(LayerId(self.layers.len() - 1))
    }

    /// Keeps a name from layers and modules that are declared without one.
    pub fn reserve(&mut self, name: &str) {
        self.names.take(name);
    }

    /// A module: a part of the network with names of its own. Without a name it
    /// gets one from its kind.
    pub fn module(&mut self, name: Option<&str>, kind: &str) -> ModuleId {
        self.names.module(name, kind)
    }

    /// A module's name, without those of the modules around it.
    pub fn module_name(&self, module: ModuleId) -> &str {
        self.names.of(module)
    }

    /// Goes into a module: until [`Builder::leave`], parameters, layers and
    /// values are named below it, `residual1.fc.weight`.
    pub fn enter(&mut self, module: ModuleId) {
        self.names.enter(module);
    }

    /// Goes out of the module that was entered last.
    pub fn leave(&mut self) {
        self.names.leave();
    }

    /// A layer's name, with those of the modules around it.
    pub fn layer_name(&self, layer: LayerId) -> &str {
        &self.layers[layer.0].name
    }

    /// A layer on a value with the text that the user wrote for it. Used again,
    /// it has the same parameters.
    pub fn apply(&mut self, layer: LayerId, x: (NodeId, &str)) -> Result<NodeId, Mistake> {
        let input = self.graph.ty(x.0).clone();
        let before = self.graph.len();
        let any = self.layers[layer.0].layer.clone();
        let y = any.apply(&mut LayerScope { builder: self, layer }, x)?;
        let output = self.graph.shape(y).clone();
        let multiply_adds = (before..self.graph.len())
            .map(|i| multiply_adds(&self.graph, NodeId::new(i)))
            .fold(0, usize::saturating_add);
        let name = format!("{}({})", self.layers[layer.0].name, x.1);
        self.graph.name(y, &name);
        let used = &mut self.layers[layer.0].used;
        used.get_or_insert((input, output, multiply_adds));
        Ok(y)
    }

    /// Names a value.
    pub fn bind(&mut self, name: &str, value: NodeId) {
        let name = self.names.full(name);
        self.graph.name(value, &name);
    }

    /// What `predict` returns under a name.
    pub fn output(&mut self, name: &str, value: NodeId) -> Result<(), Mistake> {
        if let Some(target) = self.target_of(value) {
            return Err(Mistake::operand(
                0,
                format!(
                    "output `{name}` depends on target `{target}`, which is not there when predicting"
                ),
            ));
        }
        if !self.graph.ty(value).is_real() {
            return Err(Mistake::operand(0, format!("output `{name}` holds whole numbers")));
        }
        self.graph.name(value, name);
        self.graph.add_root(Root::Output(name.into()), value);
        Ok(())
    }

    fn target_of(&self, value: NodeId) -> Option<&str> {
        let mut seen = vec![false; self.graph.len()];
        seen[value.index()] = true;
        for id in self.graph.ids().rev().filter(|id| *id <= value) {
            if seen[id.index()] {
                if let Some(Leaf::Input(op)) = self.graph.op(id).leaf()
                    && self.inputs[op.index].is_target
                {
                    return Some(&self.inputs[op.index].name);
                }
                for x in self.graph.operands(id) {
                    seen[x.index()] = true;
                }
            }
        }
        None
    }

    /// The loss: the mean or the sum of all elements of a value. A mean goes by the weights of targets
    /// where an operation has them, and so that operation's results may only be terms of it, each
    /// times a single number.
    pub fn loss(&mut self, value: (NodeId, &str), reduction: LossReduction) -> Result<(), Mistake> {
        if self.graph.root(&Root::Loss).is_some() {
            return Err(Mistake::call("a network has one loss, and this is the second"));
        }
        let x = self.real(value, "a loss")?;
        let summands = self.summands(x, reduction, "loss")?;
        let loss = self.total(&summands);
        self.loss = Some((x, summands));
        self.graph.name(loss, "loss");
        self.graph.add_root(Root::Loss, loss);
        Ok(())
    }

    /// A metric: the mean of all elements of a value; of weights as in [`Builder::loss`].
    pub fn metric(&mut self, name: &str, value: (NodeId, &str)) -> Result<(), Mistake> {
        let root = Root::Metric(name.into());
        if self.graph.root(&root).is_some() {
            return Err(Mistake::call(format!("metric `{name}` is declared twice")));
        }
        let x = self.real(value, "a metric")?;
        let summands = self.summands(x, LossReduction::Mean, "metric")?;
        self.add_metric(name, summands);
        Ok(())
    }

    fn add_metric(&mut self, name: &str, summands: Vec<Summand>) {
        let mean = self.total(&summands);
        self.metrics.push(summands);
        self.graph.add_root(Root::Metric(name.into()), mean);
    }

    fn real(&self, (x, name): (NodeId, &str), what: &str) -> Result<NodeId, Mistake> {
        match self.graph.ty(x).is_real() {
            true => Ok(x),
            false => Err(Mistake::operand(
                0,
                format!("{what} is made of reals, but `{name}` holds whole numbers"),
            )),
        }
    }
}

/// The function of this name; otherwise what is wrong, with the nearest name.
pub fn find_function(name: &str) -> Result<&'static ops::Entry, Mistake> {
    ops::find(name).ok_or_else(|| {
        let mut message = format!("there is no function `{name}`");
        if let Some(instead) = pytorch::function(name) {
            message += &format!(": {instead}");
        } else if layers::find(name).is_some() {
            message = format!(
                "`{name}` is a layer: declare it with `layer name = {name}(...)`, or write `x -> {name}`"
            );
        } else if let Some(near) = nearest(name, ops::names().chain(layers::names())) {
            message += &format!("; did you mean `{near}`?");
        }
        Mistake::call(message)
    })
}

/// The layer of this kind; otherwise what is wrong, with the nearest name or
/// all there are.
pub fn find_layer(name: &str) -> Result<&'static layers::Entry, Mistake> {
    layers::find(name).ok_or_else(|| {
        Mistake::call(match pytorch::layer(name) {
            Some(instead) => format!("there is no layer `{name}`: {instead}"),
            None => unknown("layer", name, layers::names()),
        })
    })
}

/// A wrong number of operands, in words.
pub fn wrong_count(name: &str, takes: usize, given: usize, shown: &str) -> String {
    let plural = if takes == 1 { "" } else { "s" };
    let was = if given == 1 { "was" } else { "were" };
    format!(
        "`{name}` takes {takes} argument{plural}, but {given} {was} given: it is called as `{shown}`"
    )
}

fn check_sizes<'a>(sizes: impl IntoIterator<Item = &'a Dim>) -> Result<(), Mistake> {
    match sizes.into_iter().any(|d| *d == Dim::Fixed(0)) {
        true => Err(Mistake::call("a size must be at least 1")),
        false => Ok(()),
    }
}

/// Multiply-adds of one example, where sizes are numbers.
pub(super) fn multiply_adds(graph: &Graph, id: NodeId) -> usize {
    graph.op(id).multiply_adds(&graph.operand_types(id), graph.ty(id))
}
