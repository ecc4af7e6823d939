//! The syntax tree through the compiler's [`Builder`](bilro_compiler::network::Builder), which
//! knows what is right. What is kept here: which name means what, and on which token each of the
//! builder's mistakes belongs.
//!
//! An expression with a mistake in it has no value, and whatever depends on it says nothing more:
//! one mistake, one message.

mod arguments;
mod recorder;
mod values;

use std::collections::{BTreeMap, HashMap, HashSet};

use bilro_compiler::layers;
use bilro_compiler::network::{LossReduction, Network as Declaration};
use bilro_compiler::shape::{Shape, Type as CompilerType};
use proc_macro2::{Ident, TokenStream};
use syn::ext::IdentExt;

use crate::ast::{Expr, ExprKind, Link, List, Network, Statement, StatementKind, Type};
use crate::error::Mistake;
use recorder::Value;
pub use recorder::{Assertion, Condition, Step};
use recorder::{Blame, Recorder};

/// A network that has been checked.
pub struct Checked {
    /// The network; `None` if there were mistakes.
    pub declaration: Option<Declaration>,
    /// The calls of the builder that made it.
    pub steps: Vec<Step>,
    /// The Rust expression of every symbolic size.
    pub symbols: Symbols,
    /// What only the compiler of Rust can decide.
    pub assertions: Vec<Assertion>,
    /// Inputs and targets, in declared order.
    pub inputs: Vec<InputField>,
    /// Outputs, in declared order.
    pub outputs: Vec<Field>,
    /// Parameters and layers, as far as they are declared under a name or used in a chain.
    pub trained: Vec<Trained>,
}

/// Symbolic sizes, by their text, with their tokens.
pub type Symbols = BTreeMap<String, TokenStream>;

/// An array in one of the generated structs.
pub struct Field {
    pub name: Ident,
    pub docs: TokenStream,
    /// `None` if a mistake hides it.
    pub array: Option<ArrayType>,
}

/// An input or a target.
pub struct InputField {
    pub field: Field,
    pub is_target: bool,
    pub ty: Option<CompilerType>,
}

/// The type of an array, as far as Rust sees it.
#[derive(Clone, Copy)]
pub struct ArrayType {
    pub real: bool,
    /// With the batch axis, where there is one.
    pub rank: usize,
}

/// A parameter of its own, or a layer, under the name that it has in the generated structs.
pub struct Trained {
    pub name: Ident,
    pub docs: TokenStream,
    /// Of a parameter.
    pub array: Option<ArrayType>,
}

/// What a name means.
#[derive(Clone, Copy)]
enum Meaning {
    Value(Option<Value>),
    /// A layer, by its place in the recorder's; `None` if a mistake hides it.
    Layer(Option<usize>),
    /// Declared in a statement that could not be read.
    Unknown,
}

/// A name as text, without the `r#` that it may need in Rust.
pub fn text(name: &Ident) -> String {
    name.unraw().to_string()
}

/// Checks a network. What is wrong is added to the mistakes of reading it.
pub fn check(network: &Network, mistakes: &mut Vec<Mistake>) -> Checked {
    let mut checker = Checker::new(network);
    checker.recorder.mistakes.append(mistakes);
    for statement in &network.statements {
        checker.statement(statement);
    }
    checker.unused();
    checker.missing();
    checker.finish(mistakes)
}

struct Checker<'a> {
    network: &'a Network,
    recorder: Recorder,
    names: HashMap<String, Meaning>,
    /// Every name that some statement declares.
    declared: HashSet<String>,
    used: HashSet<String>,
    symbols: Symbols,
    inputs: Vec<InputField>,
    outputs: Vec<Field>,
    trained: Vec<Trained>,
}

impl<'a> Checker<'a> {
    fn new(network: &'a Network) -> Checker<'a> {
        let names: Vec<&Ident> =
            network.statements.iter().filter_map(Statement::declares).collect();
        let mut recorder = Recorder::new(&text(&network.name));
        for name in names.iter().map(|n| text(n)) {
            // Layers without a name are called `linear1`.
            if layers::names().any(|kind| name.starts_with(&kind.to_lowercase())) {
                recorder.reserve(&name);
            }
        }
        let mut used = HashSet::new();
        for statement in &network.statements {
            if let StatementKind::Broken { mentioned, .. } = &statement.kind {
                used.extend(mentioned.iter().map(text));
            }
        }
        Checker {
            network,
            recorder,
            names: HashMap::new(),
            declared: names.into_iter().map(text).collect(),
            used,
            symbols: Symbols::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            trained: Vec::new(),
        }
    }

    fn mistake(&mut self, mistake: Mistake) {
        self.recorder.mistakes.push(mistake);
    }

    /// Says what a name means; a second meaning is a mistake.
    fn declare(&mut self, name: &Ident, meaning: Meaning) {
        let key = text(name);
        if self.is_new(name) {
            self.names.insert(key, meaning);
        } else {
            self.mistake(Mistake::new(name.span(), format!("`{key}` is declared twice")));
        }
    }

    fn is_new(&self, name: &Ident) -> bool {
        !self.names.contains_key(&text(name))
    }

    fn statement(&mut self, statement: &Statement) {
        match &statement.kind {
            StatementKind::Input { name, ty, is_target } => {
                self.input(statement, name, ty, *is_target);
            }
            StatementKind::Param { name, dims, init } => self.param(statement, name, dims, init),
            StatementKind::Layer { name, layer } => self.layer(statement, name, layer),
            StatementKind::Let { name, value } => {
                let value = self.value(value);
                if let (Some(value), true) = (value, self.is_new(name)) {
                    self.recorder.bind(&text(name), value);
                }
                self.declare(name, Meaning::Value(value));
            }
            StatementKind::Output { name, value } => self.output(statement, name, value),
            StatementKind::Loss { sum, value } => {
                let reduction = if *sum { LossReduction::Sum } else { LossReduction::Mean };
                let x = self.operand(value);
                self.recorder.loss(x, reduction, statement.keyword.span().into());
            }
            StatementKind::Metric { name, value } => self.metric(name.as_ref(), value),
            StatementKind::Broken { name, .. } => {
                if let Some(name) = name {
                    self.broken(statement, name);
                }
            }
        }
    }

    /// What a statement that could not be read declares exists, whatever it is.
    fn broken(&mut self, statement: &Statement, name: &Ident) {
        let is_new = self.is_new(name);
        self.declare(name, Meaning::Unknown);
        let docs = statement.docs.clone();
        let (name, array) = (name.clone(), None);
        match statement.keyword.to_string().as_str() {
            _ if !is_new => {}
            word @ ("input" | "target") => self.inputs.push(InputField {
                field: Field { name, docs, array },
                is_target: word == "target",
                ty: None,
            }),
            "output" => self.outputs.push(Field { name, docs, array }),
            "param" | "layer" => self.trained.push(Trained { name, docs, array }),
            _ => {}
        }
    }

    fn input(&mut self, statement: &Statement, name: &Ident, ty: &Type, is_target: bool) {
        let (below, dims) = match ty {
            Type::Real(dims) => (None, dims),
            Type::Index { below, dims } => (Some(below), dims),
        };
        let array = ArrayType { real: below.is_none(), rank: dims.elements.len() + 1 };
        let bound = below.map(|below| self.size(below));
        let ty = self.sizes(dims).and_then(|dims| {
            let shape = Shape::batched(dims);
            Some(match bound {
                None => CompilerType::real(shape),
                Some(bound) => CompilerType::index(bound?, shape),
            })
        });
        let mut value = None;
        if self.is_new(name) {
            if let Some(ty) = &ty {
                value = self.recorder.input(name, ty, is_target);
            }
            self.inputs.push(InputField {
                field: Field {
                    name: name.clone(),
                    docs: statement.docs.clone(),
                    array: Some(array),
                },
                is_target,
                ty,
            });
        }
        self.declare(name, Meaning::Value(value));
    }

    fn param(&mut self, statement: &Statement, name: &Ident, dims: &List, init: &Expr) {
        let sizes = self.sizes(dims);
        let start = self.initialiser(init);
        let mut value = None;
        if self.is_new(name) {
            if let (Some(sizes), Some(start)) = (sizes, start) {
                let attributes = [("init".to_string(), init.place)];
                let blame =
                    Blame { call: name.span().into(), operands: &[], attributes: &attributes };
                value = self.recorder.parameter(&text(name), sizes, start, &blame);
            }
            self.trained.push(Trained {
                name: name.clone(),
                docs: statement.docs.clone(),
                array: Some(ArrayType { real: true, rank: dims.elements.len() }),
            });
        }
        self.declare(name, Meaning::Value(value));
    }

    fn layer(&mut self, statement: &Statement, name: &Ident, layer: &Link) {
        let is_new = self.is_new(name);
        let own = text(name);
        let made = self.new_layer(is_new.then_some(own.as_str()), layer);
        if is_new {
            self.trained.push(Trained {
                name: name.clone(),
                docs: statement.docs.clone(),
                array: None,
            });
        }
        self.declare(name, Meaning::Layer(made));
    }

    fn output(&mut self, statement: &Statement, name: &Ident, value: &Expr) {
        let x = self.operand(value);
        if self.is_new(name) {
            if x.value.is_some() {
                self.recorder.output(&text(name), &x);
            }
            let array = x.value.map(|v| self.array_of(v));
            self.outputs.push(Field { name: name.clone(), docs: statement.docs.clone(), array });
        }
        self.declare(name, Meaning::Value(x.value));
    }

    fn array_of(&self, value: Value) -> ArrayType {
        let ty = self.recorder.ty(value);
        ArrayType { real: ty.is_real(), rank: ty.shape.rank() + usize::from(ty.shape.batched) }
    }

    fn metric(&mut self, name: Option<&Ident>, value: &Expr) {
        let x = self.operand(value);
        let name = match (name, &value.inner().kind) {
            (Some(name), _) => name,
            (None, ExprKind::Call { function, .. }) => function,
            (None, _) => {
                let message = "a metric has a name: `metric name = ...;`";
                return self.mistake(Mistake::new(value.place, message));
            }
        };
        self.recorder.metric(name, x);
    }

    /// Layers and parameters that nothing uses would be trained for nothing.
    fn unused(&mut self) {
        if self.network.incomplete {
            return;
        }
        let network = self.network;
        let mut seen = HashSet::new();
        for statement in &network.statements {
            let (StatementKind::Layer { name, .. } | StatementKind::Param { name, .. }) =
                &statement.kind
            else {
                continue;
            };
            let key = text(name);
            if seen.insert(key.clone()) && !self.used.contains(&key) {
                self.mistake(Mistake::new(name.span(), format!("`{key}` is never used")));
            }
        }
    }

    /// What a network must have.
    fn missing(&mut self) {
        if self.network.incomplete {
            return;
        }
        let network = self.network;
        let name = text(&network.name);
        if !network.statements.iter().any(|s| s.keyword == "input") {
            let message = format!("`{name}` has no input: add `input x: [784];`");
            self.mistake(Mistake::new(network.name.span(), message));
        }
        if !network.statements.iter().any(|s| s.keyword == "loss") {
            let message =
                format!("`{name}` has no loss: add `loss {};` or any expression", self.a_loss());
            self.mistake(Mistake::new(network.name.span(), message));
        }
    }

    /// A loss that this network may have, in its own names where it has them.
    fn a_loss(&self) -> String {
        let output = self.outputs.first().map_or("output".into(), |o| text(&o.name));
        let target = self.inputs.iter().find(|i| i.is_target);
        match target {
            Some(target) => {
                let real = target.field.array.is_some_and(|a| a.real);
                let function = if real { "mse_loss" } else { "cross_entropy" };
                format!("{function}({output}, {})", text(&target.field.name))
            }
            None => format!("cross_entropy({output}, target)"),
        }
    }

    fn finish(self, mistakes: &mut Vec<Mistake>) -> Checked {
        let Checker { network, recorder, symbols, inputs, outputs, mut trained, .. } = self;
        let (declaration, recorded) = recorder.finish(network.name.span().into());
        *mistakes = recorded.mistakes;
        trained.extend(recorded.unnamed.into_iter().map(|name| Trained {
            name,
            docs: TokenStream::new(),
            array: None,
        }));
        Checked {
            declaration,
            steps: recorded.steps,
            symbols,
            assertions: recorded.assertions,
            inputs,
            outputs,
            trained,
        }
    }
}
