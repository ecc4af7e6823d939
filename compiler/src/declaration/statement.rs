//! Declarations as data: a list of [`Statement`]s, which [`Replay`] turns into calls of a [`Builder`].
//!
//! `network!` replays every statement during expansion, so that the builder reports mistakes, and writes
//! the statements into the program as a constant, which [`replay`] builds the network from at run time.
//! Both make the same calls: a new call of the builder needs a variant here and an arm of
//! [`Replay::declare`].

use std::borrow::Cow;
use std::ops::Range;

use super::{Builder, ChoiceId, Declaration, Init, LayerId, LossReduction, ModuleId};
use crate::error::{Error, Mistake};
use crate::graph::NodeId;
use crate::ops::{AttributeValue, Attributes};
use crate::shape::{Dim, Shape, Type};

/// A string: a constant in a program, or owned during expansion.
pub type Text<'a> = Cow<'a, str>;

/// A list: a constant in a program, or owned during expansion.
pub type List<'a, T> = Cow<'a, [T]>;

/// A reference to a value by its number, with its text for messages.
pub type ValueRef<'a> = (usize, Text<'a>);

/// A call of a [`Builder`]. Values, layers, choices and modules are numbered separately, from 0 in the
/// order in which statements create them.
///
/// Fields are the arguments of the call, by name.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "fields are the arguments of the calls, which document them")]
pub enum Statement<'a> {
    /// [`Builder::reserve`].
    Reserve { name: Text<'a> },
    /// [`Builder::module`]; creates a module.
    Module { name: Option<Text<'a>>, kind: Text<'a> },
    /// [`Builder::enter`].
    Enter { module: usize },
    /// [`Builder::leave`].
    Leave {},
    /// [`Builder::input`] or [`Builder::target`], of integers if there is a bound; creates a value.
    Input { name: Text<'a>, is_target: bool, below: Option<Dim>, dims: List<'a, Dim> },
    /// [`Builder::differentiate`].
    Differentiate { x: usize },
    /// [`Builder::choice`]; creates a choice.
    Choice { name: Text<'a>, alternatives: List<'a, Text<'a>> },
    /// [`Builder::choose`]; creates a value.
    Choose { choice: usize, x: List<'a, ValueRef<'a>> },
    /// [`Builder::parameter`], with an initialiser of [`Init::ALL`] and its numbers; creates a value.
    Parameter { name: Text<'a>, dims: List<'a, Dim>, init: Text<'a>, numbers: List<'a, f64> },
    /// [`Builder::number`]; creates a value.
    Number { number: f64 },
    /// [`Builder::call`]; creates a value.
    Call {
        function: Text<'a>,
        x: List<'a, ValueRef<'a>>,
        attributes: List<'a, (Text<'a>, AttributeValue)>,
    },
    /// [`Builder::layer`]; creates a layer.
    Layer {
        name: Option<Text<'a>>,
        kind: Text<'a>,
        attributes: List<'a, (Text<'a>, AttributeValue)>,
    },
    /// [`Builder::apply_to`]; creates the outputs of the layer.
    Apply { layer: usize, x: List<'a, ValueRef<'a>> },
    /// [`Builder::bind`].
    Bind { name: Text<'a>, x: usize },
    /// [`Builder::output`].
    Output { name: Text<'a>, x: usize },
    /// [`Builder::loss`], of the sum or of the mean.
    Loss { x: ValueRef<'a>, sum: bool },
    /// [`Builder::metric`].
    Metric { name: Text<'a>, x: ValueRef<'a> },
}

/// Builds the network that statements declare.
///
/// # Errors
/// The first mistake of a statement, or a missing output or loss.
pub fn replay(name: &str, statements: &[Statement<'_>]) -> Result<Declaration, Error> {
    let mut replay = Replay::new(name);
    let declared =
        statements.iter().try_for_each(|statement| replay.declare(statement).map(|_| ()));
    match declared {
        Ok(()) => replay.builder.finish(),
        Err(mistake) => Err(Error::Declaration { network: name.into(), mistake }),
    }
}

/// Replays statements as calls of a builder, one by one. A statement with a mistake changes nothing.
#[derive(Debug)]
pub struct Replay {
    /// The builder.
    pub builder: Builder,
    values: Vec<NodeId>,
    layers: Vec<LayerId>,
    choices: Vec<ChoiceId>,
    modules: Vec<ModuleId>,
}

impl Replay {
    /// A replay before the first statement.
    pub fn new(name: &str) -> Replay {
        Replay {
            builder: Builder::new(name),
            values: Vec::new(),
            layers: Vec::new(),
            choices: Vec::new(),
            modules: Vec::new(),
        }
    }

    /// The node of a value by its number.
    pub fn value(&self, number: usize) -> Option<NodeId> {
        self.values.get(number).copied()
    }

    /// A layer by its number.
    pub fn layer(&self, number: usize) -> Option<LayerId> {
        self.layers.get(number).copied()
    }

    /// A module by its number.
    pub fn module(&self, number: usize) -> Option<ModuleId> {
        self.modules.get(number).copied()
    }

    /// Declares a statement: the numbers of the values, layers, choices or modules that it creates, if
    /// any; several for a layer with several outputs.
    pub fn declare(&mut self, statement: &Statement<'_>) -> Result<Range<usize>, Mistake> {
        let b = &mut self.builder;
        let values = &self.values;
        match statement {
            Statement::Reserve { name } => b.reserve(name),
            Statement::Module { name, kind } => {
                let module = b.module(name.as_deref(), kind);
                return Ok(numbered(&mut self.modules, [module]));
            }
            Statement::Enter { module } => b.enter(numbered_before(&self.modules, *module)?)?,
            Statement::Leave {} => b.leave(),
            Statement::Input { name, is_target, below, dims } => {
                let shape = Shape::batched(dims.iter().cloned());
                let ty = match below {
                    Some(below) => Type::index(below.clone(), shape),
                    None => Type::real(shape),
                };
                let value = if *is_target { b.target(name, ty)? } else { b.input(name, ty)? };
                return Ok(numbered(&mut self.values, [value]));
            }
            Statement::Differentiate { x } => b.differentiate(numbered_before(values, *x)?)?,
            Statement::Choice { name, alternatives } => {
                let alternatives: Vec<&str> = alternatives.iter().map(|a| &**a).collect();
                let choice = b.choice(name, &alternatives)?;
                return Ok(numbered(&mut self.choices, [choice]));
            }
            Statement::Choose { choice, x } => {
                let choice = numbered_before(&self.choices, *choice)?;
                let value = b.choose(choice, &resolved(values, x)?)?;
                return Ok(numbered(&mut self.values, [value]));
            }
            Statement::Parameter { name, dims, init, numbers } => {
                let init = Init::from_call(init, numbers).ok_or_else(|| {
                    Mistake::attribute("init", format!("there is no initialiser `{init}`"))
                })?;
                let value = b.parameter(name, dims.iter().cloned(), init)?;
                return Ok(numbered(&mut self.values, [value]));
            }
            Statement::Number { number } => {
                let value = b.number(*number);
                return Ok(numbered(&mut self.values, [value]));
            }
            Statement::Call { function, x, attributes } => {
                let called = b.call_all(function, &resolved(values, x)?, named(attributes))?;
                return Ok(numbered(&mut self.values, called));
            }
            Statement::Layer { name, kind, attributes } => {
                let layer = b.layer(name.as_deref(), kind, named(attributes))?;
                return Ok(numbered(&mut self.layers, [layer]));
            }
            Statement::Apply { layer, x } => {
                let layer = numbered_before(&self.layers, *layer)?;
                let outputs = b.apply_to(layer, &resolved(values, x)?)?;
                return Ok(numbered(&mut self.values, outputs));
            }
            Statement::Bind { name, x } => b.bind(name, numbered_before(values, *x)?)?,
            Statement::Output { name, x } => b.output(name, numbered_before(values, *x)?)?,
            Statement::Loss { x: (x, text), sum } => {
                let reduction = if *sum { LossReduction::Sum } else { LossReduction::Mean };
                b.loss((numbered_before(values, *x)?, &**text), reduction)?;
            }
            Statement::Metric { name, x: (x, text) } => {
                b.metric(name, (numbered_before(values, *x)?, &**text))?;
            }
        }
        Ok(0..0)
    }
}

/// Appends the results of a statement; their numbers.
fn numbered<T>(all: &mut Vec<T>, created: impl IntoIterator<Item = T>) -> Range<usize> {
    let first = all.len();
    all.extend(created);
    first..all.len()
}

/// The result of an earlier statement.
fn numbered_before<T: Copy>(all: &[T], number: usize) -> Result<T, Mistake> {
    let unknown = || Mistake::call(format!("no statement before this one creates number {number}"));
    all.get(number).copied().ok_or_else(unknown)
}

fn resolved<'a>(
    values: &[NodeId],
    x: &'a [ValueRef<'_>],
) -> Result<Vec<(NodeId, &'a str)>, Mistake> {
    x.iter().map(|(x, text)| Ok((numbered_before(values, *x)?, &**text))).collect()
}

fn named(attributes: &[(Text<'_>, AttributeValue)]) -> Attributes {
    attributes.iter().map(|(name, value)| (&**name, value.clone())).collect()
}
