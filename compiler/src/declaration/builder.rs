//! The builder of declarations: see [`Builder`].

mod finish;
mod layers;
mod operand;
mod roots;
mod scope;
mod terms;

use super::names::{ModuleId, Names, Order};
use super::{Choice, Declaration, Init, Input, Parameter};
use crate::error::{Error, Mistake, nearest};
use crate::graph::{Graph, NodeId};
use crate::ops::switch::{Selector, Switch};
use crate::ops::{self, Attributes, Leaf, Number};
use crate::pytorch;
use crate::shape::{Argument, Dim, Fact, Facts, Shape, Type};

use layers::DeclaredLayer;
pub use layers::{LayerId, find_layer};
pub use operand::Operand;
pub use scope::LayerScope;
use terms::Summand;

/// Builds a network call by call, in the language's own terms.
///
/// Every call checks names, counts, attributes and shapes; its [`Mistake`] has a message and the site
/// in the call. A call that fails changes nothing.
///
/// Values may be passed with the text that messages show for them, `(x, "x")`, or alone; messages then
/// show their names. Sizes and attributes are plain numbers. This network has a number of layers that
/// is only known at run time:
///
/// ```
/// use bilro_compiler::declaration::{Declaration, LossReduction};
/// use bilro_compiler::ops::Attributes;
/// use bilro_compiler::shape::Type;
///
/// # fn main() -> Result<(), bilro_compiler::error::Error> {
/// let widths = [128, 64];
/// let network = Declaration::declare("Digits", |b| {
///     let image = b.input("image", [64])?;
///     let digit = b.target("digit", Type::class(10))?;
///     let mut x = image;
///     for width in widths {
///         let linear = b.layer(None, "Linear", [("out_features", width)])?;
///         let dropout = Attributes::new().with("p", 0.2);
///         let dropout = b.layer(None, "Dropout", dropout)?;
///         x = b.apply(linear, x)?;
///         x = b.call("relu", &[x], ())?;
///         x = b.apply(dropout, x)?;
///     }
///     let last = b.layer("last", "Linear", [("out_features", 10)])?;
///     let logits = b.apply(last, x)?;
///     b.output("logits", logits)?;
///     let losses = b.call("cross_entropy", &[logits, digit], ())?;
///     b.loss(losses, LossReduction::Mean)
/// })?;
/// let names: Vec<&str> = network.parameters.iter().map(|p| p.name.as_str()).collect();
/// assert_eq!(names[..2], ["linear1.weight", "linear1.bias"]);
/// assert_eq!(names[4..], ["last.weight", "last.bias"]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Builder {
    name: String,
    graph: Graph,
    inputs: Vec<Input>,
    /// Each with its position in declaration order.
    parameters: Vec<(Order, Parameter)>,
    layers: Vec<DeclaredLayer>,
    choices: Vec<Choice>,
    facts: Facts,
    /// The value whose mean or sum is the loss, and its terms.
    loss: Option<(NodeId, Vec<Summand>)>,
    /// The terms of each metric.
    metrics: Vec<Vec<Summand>>,
    /// The number of random streams.
    streams: u32,
    names: Names,
}

/// Identifies a choice of a builder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChoiceId(usize);

/// The reduction of a loss to one number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LossReduction {
    /// The mean over all elements and examples; for terms whose operation has
    /// [weights](ops::Operation::weights), the weighted mean of each term.
    Mean,
    /// The sum over all elements and examples.
    Sum,
}

impl Declaration {
    /// Declares a network by the calls of the closure `declare`. The [`Builder`] has an example.
    ///
    /// # Errors
    /// A mistake of one of the calls, or a missing output or loss, with the network's name.
    pub fn declare(
        name: &str,
        declare: impl FnOnce(&mut Builder) -> Result<(), Mistake>,
    ) -> Result<Declaration, Error> {
        let mut builder = Builder::new(name);
        match declare(&mut builder) {
            Ok(()) => builder.finish(),
            Err(mistake) => Err(Error::Declaration { network: name.into(), mistake }),
        }
    }
}

impl Builder {
    /// An empty network.
    pub fn new(name: &str) -> Builder {
        Builder {
            name: name.into(),
            // A placeholder: the batch size is set for each graph to compile.
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

    /// Takes the facts about symbolic sizes that are undecided since the last call.
    pub fn take_facts(&mut self) -> Vec<Fact> {
        std::mem::take(&mut self.facts.undecided)
    }

    /// An input: reals of a shape, as `[28, 28]`, or integers below a bound, as
    /// [`Type::class`](Type::class)`(10)`. Shapes are those of one example.
    pub fn input(&mut self, name: &str, ty: impl Into<Type>) -> Result<NodeId, Mistake> {
        self.leaf(name, ty.into(), false)
    }

    /// A target: an input of training and evaluation only.
    pub fn target(&mut self, name: &str, ty: impl Into<Type>) -> Result<NodeId, Mistake> {
        self.leaf(name, ty.into(), true)
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
                "`{name}` holds numbers below {below}, but they are u32: the bound must be at most 4294967296"
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

    /// Requests the gradient with respect to an input, besides those of the parameters.
    pub fn differentiate(&mut self, input: NodeId) -> Result<(), Mistake> {
        self.check_owned(input)?;
        let Some(Leaf::Input(op)) = self.graph.op(input).leaf() else {
            return Err(Mistake::call("a gradient can be requested for an input only"));
        };
        let declared = &mut self.inputs[op.index];
        if !declared.ty.is_real() {
            let message = format!(
                "`{}` holds {}, which have no gradient: only reals do",
                declared.name, declared.ty
            );
            return Err(Mistake::call(message));
        }
        declared.has_gradient = true;
        Ok(())
    }

    /// A choice that the user makes with every call; default the first alternative.
    pub fn choice(&mut self, name: &str, alternatives: &[&str]) -> Result<ChoiceId, Mistake> {
        if self.choices.iter().any(|c| c.name == name) {
            return Err(Mistake::call(format!("`{name}` is declared twice")));
        }
        if alternatives.len() < 2 {
            return Err(Mistake::call(format!("`{name}` needs at least two alternatives")));
        }
        let mut before = alternatives.iter().enumerate();
        if let Some((_, twice)) = before.find(|(i, name)| alternatives[..*i].contains(name)) {
            let message = format!("`{name}` has the alternative `{twice}` twice");
            return Err(Mistake::call(message));
        }
        let alternatives = alternatives.iter().map(|a| a.to_string()).collect();
        self.choices.push(Choice { name: name.into(), alternatives });
        Ok(ChoiceId(self.choices.len() - 1))
    }

    /// The value of a choice, from one value per alternative.
    pub fn choose<'a>(
        &mut self,
        choice: ChoiceId,
        x: &[impl Into<Operand<'a>> + Copy],
    ) -> Result<NodeId, Mistake> {
        let count = match self.choices.get(choice.0) {
            Some(choice) => choice.alternatives.len(),
            None => return Err(Mistake::call("this choice belongs to another network")),
        };
        if x.len() != count {
            let name = &self.choices[choice.0].name;
            let message = format!("`{name}` has {count} alternatives, but {} are given", x.len());
            return Err(Mistake::call(message));
        }
        let x = self.texts(x)?;
        self.transaction(|b| b.switch(Selector::Declared(choice.0), &operand::pairs(&x)))
    }

    /// Runs calls of which all or none take effect: a failed one rolls back those before it.
    fn transaction<T>(
        &mut self,
        calls: impl FnOnce(&mut Builder) -> Result<T, Mistake>,
    ) -> Result<T, Mistake> {
        let (nodes, roots) = (self.graph.len(), self.graph.roots().len());
        let (parameters, facts) = (self.parameters.len(), self.facts.undecided.len());
        let streams = self.streams;
        let result = calls(self);
        if result.is_err() {
            self.graph.truncate(nodes, roots);
            self.parameters.truncate(parameters);
            self.facts.undecided.truncate(facts);
            self.streams = streams;
        }
        result
    }

    fn switch(&mut self, by: Selector, x: &[(NodeId, &str)]) -> Result<NodeId, Mistake> {
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

    /// A parameter that belongs to no layer.
    pub fn parameter(
        &mut self,
        name: &str,
        dims: impl IntoIterator<Item = impl Into<Dim>>,
        init: Init,
    ) -> Result<NodeId, Mistake> {
        let dims: Vec<Dim> = dims.into_iter().map(Into::into).collect();
        if init.needs_matrix() && dims.len() != 2 {
            let message = format!(
                "this initialiser is for matrices `[in, out]`, but `{name}` has shape {}",
                Shape::unbatched(dims)
            );
            return Err(Mistake::attribute("init", message));
        }
        init.check_numbers()?;
        let (order, name) = (self.names.next_order(), self.names.full(name));
        self.new_parameter(order, Parameter::new(name, Shape::unbatched(dims), init))
    }

    fn new_parameter(&mut self, order: Order, parameter: Parameter) -> Result<NodeId, Mistake> {
        let Parameter { name, shape, .. } = &parameter;
        check_sizes(&shape.dims)?;
        shape.check_count()?;
        if self.parameters.iter().any(|(_, p)| p.name == *name) {
            return Err(Mistake::call(format!("`{name}` is declared twice")));
        }
        let index = self.parameters.len();
        let id = self.graph.apply(ops::parameter::Parameter { index, shape: shape.clone() }, &[]);
        self.graph.name(id, name);
        self.parameters.push((order, parameter));
        Ok(id)
    }

    /// A constant scalar.
    pub fn number(&mut self, x: f64) -> NodeId {
        self.graph.apply(ops::constant::Constant(Number(x as f32)), &[])
    }

    /// Calls a function or operator of the language; pass `()` for no attributes.
    ///
    /// # Errors
    /// A mistake of the call; one that has several values is called by [`Builder::call_all`].
    pub fn call<'a>(
        &mut self,
        function: &str,
        operands: &[impl Into<Operand<'a>> + Copy],
        attributes: impl Into<Attributes>,
    ) -> Result<NodeId, Mistake> {
        let operands = self.texts(operands)?;
        let attributes = attributes.into();
        self.transaction(|b| {
            let values = b.call_on(function, &operand::pairs(&operands), &attributes)?;
            match values[..] {
                [value] => Ok(value),
                _ => Err(Mistake::call(format!(
                    "`{function}` returns {} values, where one is expected",
                    values.len()
                ))),
            }
        })
    }

    /// Calls a function that may have several values, as `split`.
    ///
    /// # Errors
    /// A mistake of the call.
    pub fn call_all<'a>(
        &mut self,
        function: &str,
        operands: &[impl Into<Operand<'a>> + Copy],
        attributes: impl Into<Attributes>,
    ) -> Result<Vec<NodeId>, Mistake> {
        let operands = self.texts(operands)?;
        let attributes = attributes.into();
        self.transaction(|b| b.call_on(function, &operand::pairs(&operands), &attributes))
    }

    fn call_on(
        &mut self,
        function: &str,
        operands: &[(NodeId, &str)],
        attributes: &Attributes,
    ) -> Result<Vec<NodeId>, Mistake> {
        let entry = find_function(function)?;
        let form = entry.call.expect("only operations with a call are found");
        let shown = form.show(entry.name);
        if !form.takes(operands.len()) {
            return Err(Mistake::call(wrong_count(
                function,
                form.operands.len(),
                operands.len(),
                &shown,
            )));
        }
        let attributes = attributes.check(function, form.attributes, &shown)?;
        let op = (entry.from_call)(&attributes)?;
        let (ids, names): (Vec<NodeId>, Vec<&str>) = operands.iter().copied().unzip();
        let arguments = ids.iter().zip(&names);
        let arguments: Vec<Argument<'_>> =
            arguments.map(|(id, name)| Argument { name, ty: self.graph.ty(*id) }).collect();
        let values = op.values(&arguments)?;
        let mut called = Vec::with_capacity(values.len());
        for op in values {
            called.push(self.graph.call(op, &ids, &names, &mut self.facts)?);
        }
        Ok(called)
    }

    /// Reserves a name, so that it is not generated for layers and modules without a name.
    pub fn reserve(&mut self, name: &str) {
        self.names.reserve(name);
    }

    /// Declares a module, a namespace of the network. Without a name, one is generated from its kind.
    pub fn module(&mut self, name: Option<&str>, kind: &str) -> ModuleId {
        self.names.module(name, kind)
    }

    /// A module's name, without those of the enclosing modules; empty for a module of another
    /// network.
    pub fn module_name(&self, module: ModuleId) -> &str {
        self.names.name_of(module)
    }

    /// Enters a module: until [`Builder::leave`], names of parameters, layers and values are qualified
    /// by it, `residual1.fc.weight`.
    pub fn enter(&mut self, module: ModuleId) -> Result<(), Mistake> {
        match self.names.enter(module) {
            true => Ok(()),
            false => Err(Mistake::call("this module is of another network")),
        }
    }

    /// Leaves the module that was entered last.
    pub fn leave(&mut self) {
        self.names.leave();
    }

    /// Names a value.
    pub fn bind(&mut self, name: &str, value: NodeId) -> Result<(), Mistake> {
        self.check_owned(value)?;
        let name = self.names.full(name);
        self.graph.name(value, &name);
        Ok(())
    }
}

/// The function of this name.
///
/// # Errors
/// For an unknown name, with a hint or the nearest name.
pub fn find_function(name: &str) -> Result<&'static ops::Entry, Mistake> {
    ops::find(name).ok_or_else(|| {
        let mut message = format!("there is no function `{name}`");
        if let Some(instead) = pytorch::function(name) {
            message += &format!(": {instead}");
        } else if crate::layers::find(name).is_some() {
            message = format!(
                "`{name}` is a layer: declare it with `layer name = {name}(...)`, or write `x -> {name}`"
            );
        } else if let Some(near) = nearest(name, ops::names().chain(crate::layers::names())) {
            message += &format!("; did you mean `{near}`?");
        }
        Mistake::call(message)
    })
}

/// The message for a wrong number of operands.
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

/// Multiply-adds of a node for one example; symbolic sizes count as 0.
pub(super) fn multiply_adds(graph: &Graph, id: NodeId) -> usize {
    graph.op(id).multiply_adds(&graph.operand_types(id), graph.ty(id))
}
