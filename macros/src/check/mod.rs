//! The syntax tree through the compiler's [`Builder`](bilro_compiler::declaration::Builder), which
//! knows what is right. What is kept here: which name means what, and on which token each of the
//! builder's mistakes belongs.
//!
//! An expression with a mistake in it has no value, and whatever depends on it says nothing more:
//! one mistake, one message.

mod arguments;
mod blocks;
mod chains;
mod choices;
mod recorder;
mod scope;
mod values;

use std::collections::BTreeMap;

use bilro_compiler::declaration::Declaration as DeclaredNetwork;
use bilro_compiler::declaration::statement::Statement as Declaration;
use bilro_compiler::shape::{DType, Shape, Type as CompilerType};
use proc_macro2::{Ident, TokenStream};
use syn::ext::IdentExt;

use crate::ast::{Expr, ExprKind, List, Named, Network, Statement, StatementKind, Type};
use crate::error::{Mistake, Place};
use blocks::{Blocks, Member};
use choices::Alternatives;
use recorder::Value;
pub use recorder::{Assertion, Condition};
use recorder::{Blame, Recorder};
use scope::Scope;
use values::show;

/// A network that has been checked.
pub struct Checked {
    /// The network; `None` if there were mistakes.
    pub declaration: Option<DeclaredNetwork>,
    /// The statements that declare it.
    pub statements: Vec<Declaration<'static>>,
    /// The Rust expression of every symbolic size.
    pub symbols: Symbols,
    /// What only the compiler of Rust can decide.
    pub assertions: Vec<Assertion>,
    /// Inputs and targets, in declared order.
    pub inputs: Vec<InputField>,
    /// Outputs, in declared order.
    pub outputs: Vec<Field>,
    /// What is chosen with every call, in declared order.
    pub choices: Vec<ChoiceField>,
    /// Parameters, layers and uses of blocks, those without a name of their own as well.
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

/// What is chosen with every call.
pub struct ChoiceField {
    pub name: Ident,
    pub docs: TokenStream,
    /// The names of the functions or layers.
    pub alternatives: Vec<Ident>,
}

/// An input or a target.
pub struct InputField {
    pub field: Field,
    pub is_target: bool,
    /// Whether its gradient is asked for.
    pub grad: bool,
    pub ty: Option<CompilerType>,
}

/// The type of an array, as far as Rust sees it.
#[derive(Clone, Copy)]
pub struct ArrayType {
    pub real: bool,
    /// With the batch axis, where there is one.
    pub rank: usize,
}

/// A parameter of its own, a layer or a use of a block.
pub struct Trained {
    /// The name with those of the uses of blocks that it is in: `residual1.fc`.
    pub path: String,
    /// The name that it has in the generated structs.
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
    /// One of several functions, by its place; `None` if a mistake hides it.
    Choice(Option<usize>),
    /// A block, by its place.
    Block(usize),
    /// A use of a block under a name, by its place; `None` if a mistake hides it.
    Use(Option<usize>),
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
    checker.blame_blocks();
    checker.finish(mistakes)
}

struct Checker<'a> {
    network: &'a Network,
    recorder: Recorder,
    /// Of the network, or of the block whose body is looked at.
    scope: Scope,
    blocks: Blocks<'a>,
    symbols: Symbols,
    inputs: Vec<InputField>,
    outputs: Vec<Field>,
    choices: Vec<ChoiceField>,
    /// What each choice is between, by the recorder's places.
    alternatives: Vec<Alternatives<'a>>,
    trained: Vec<Trained>,
    /// How many expressions are around the one that is looked at.
    depth: usize,
}

impl<'a> Checker<'a> {
    fn new(network: &'a Network) -> Checker<'a> {
        let mut checker = Checker {
            network,
            recorder: Recorder::new(&text(&network.name)),
            scope: Scope::new(&network.statements, network.incomplete),
            blocks: Blocks::default(),
            symbols: Symbols::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            choices: Vec::new(),
            alternatives: Vec::new(),
            trained: Vec::new(),
            depth: 0,
        };
        checker.reserve(&network.statements);
        checker
    }

    fn mistake(&mut self, mistake: Mistake) {
        self.recorder.mistakes.push(mistake);
    }

    fn statement(&mut self, statement: &'a Statement) {
        match &statement.kind {
            StatementKind::Input { name, ty, is_target, grad } => {
                self.input(statement, name, ty, *is_target, *grad);
            }
            StatementKind::Param { name, dims, init } => self.param(statement, name, dims, init),
            StatementKind::Layer { name, layer } => self.layer(statement, name, layer),
            StatementKind::Choice { name, alternatives } => {
                self.choice(statement, name, alternatives);
            }
            StatementKind::Let { name, value } => {
                let value = self.value(value);
                self.name(name, value);
            }
            StatementKind::Several { names, value } => self.several(names, value),
            StatementKind::Output { name, value } => self.output(statement, name, value),
            StatementKind::Loss { sum, value } => {
                let operand = self.operand(value);
                let operands = [operand.place];
                let call = statement.keyword.span().into();
                let blame = Blame { call, operands: &operands, attributes: &[] };
                if let Some(x) = operand.given() {
                    self.recorder.declare(Declaration::Loss { x, sum: *sum }, &blame);
                }
            }
            StatementKind::Metric { name, value } => self.metric(name.as_ref(), value),
            StatementKind::Block(block) => self.block(block, &statement.docs),
            StatementKind::Broken { name, .. } => {
                if let Some(name) = name {
                    self.broken(statement, name);
                }
            }
        }
    }

    /// A name for a value.
    fn name(&mut self, name: &Ident, value: Option<Value>) {
        if let (Some(value), true) = (value, self.is_new(name)) {
            let statement = Declaration::Bind { name: text(name).into(), x: value.number() };
            self.recorder.declare(statement, &Blame::on(name.span()));
        }
        self.declare(name, Meaning::Value(value));
    }

    /// Names for what a layer of several results gives.
    fn several(&mut self, names: &[Ident], x: &Expr) {
        let mut values = self.values(x);
        if let Some(found) = values.filter(|values| values.count != names.len()) {
            let plural = if found.count == 1 { "" } else { "s" };
            let message = format!(
                "`{}` gives {} value{plural}, but there are {} names for it",
                show(x),
                found.count,
                names.len()
            );
            self.mistake(Mistake::new(x.place, message));
            values = None;
        }
        for (place, name) in names.iter().enumerate() {
            self.name(name, values.map(|values| values.part(place)));
        }
    }

    /// What a statement that could not be read declares exists, whatever it is.
    fn broken(&mut self, statement: &Statement, name: &Ident) {
        // One message for a statement: not that its name is there already as well.
        if !self.is_new(name) {
            return;
        }
        self.declare(name, Meaning::Unknown);
        let docs = statement.docs.clone();
        let (name, array) = (name.clone(), None);
        match statement.keyword.to_string().as_str() {
            word @ ("input" | "target") => self.inputs.push(InputField {
                field: Field { name, docs, array },
                is_target: word == "target",
                grad: false,
                ty: None,
            }),
            "output" => self.outputs.push(Field { name, docs, array }),
            "param" | "layer" => {
                let path = self.path(&text(&name));
                self.trained.push(Trained { path, name, docs, array });
            }
            "block" => self.blocks.broken(&text(&name)),
            _ => {}
        }
    }

    fn input(
        &mut self,
        statement: &Statement,
        name: &Ident,
        ty: &Type,
        is_target: bool,
        grad: Option<Place>,
    ) {
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
            if let Some(CompilerType { dtype, shape }) = &ty {
                let below = match dtype {
                    DType::Index { below } => Some(below.clone()),
                    DType::Real => None,
                };
                let dims = shape.dims.clone().into();
                let statement =
                    Declaration::Input { name: text(name).into(), is_target, below, dims };
                value = self.recorder.value(statement, &Blame::on(name.span()));
            }
            self.inputs.push(InputField {
                field: Field {
                    name: name.clone(),
                    docs: statement.docs.clone(),
                    array: Some(array),
                },
                is_target,
                grad: grad.is_some(),
                ty,
            });
        }
        match (value, grad) {
            (_, Some(place)) if is_target => {
                let message = "a target has no gradient: only an input can ask for one";
                self.mistake(Mistake::new(place, message));
            }
            (Some(value), Some(place)) => {
                let statement = Declaration::Differentiate { x: value.number() };
                self.recorder.declare(statement, &Blame::on(place));
            }
            _ => {}
        }
        self.declare(name, Meaning::Value(value));
    }

    fn param(&mut self, statement: &Statement, name: &Ident, dims: &List, init: &Expr) {
        let made = self.member(|checker| {
            Member::Parameter(checker.new_parameter(&statement.docs, name, dims, init))
        });
        let value = match made {
            Member::Parameter(value) => value,
            _ => None,
        };
        self.declare(name, Meaning::Value(value));
    }

    fn new_parameter(
        &mut self,
        docs: &TokenStream,
        name: &Ident,
        dims: &List,
        init: &Expr,
    ) -> Option<Value> {
        let sizes = self.sizes(dims);
        let start = self.initialiser(init);
        if !self.is_new(name) {
            return None;
        }
        self.trained.push(Trained {
            path: self.path(&text(name)),
            name: name.clone(),
            docs: docs.clone(),
            array: Some(ArrayType { real: true, rank: dims.elements.len() }),
        });
        let attributes = [("init".to_string(), init.place)];
        let blame = Blame { call: name.span().into(), operands: &[], attributes: &attributes };
        let (init, numbers) = start?;
        let statement = Declaration::Parameter {
            name: text(name).into(),
            dims: sizes?.into(),
            init: init.into(),
            numbers: numbers.into(),
        };
        self.recorder.value(statement, &blame)
    }

    fn layer(&mut self, statement: &Statement, name: &Ident, layer: &Named) {
        let made = self.member(|checker| {
            let is_new = checker.is_new(name);
            let own = text(name);
            if is_new {
                checker.trained.push(Trained {
                    path: checker.path(&own),
                    name: name.clone(),
                    docs: statement.docs.clone(),
                    array: None,
                });
            }
            let own = is_new.then_some(own.as_str());
            match checker.block_of_layer(layer) {
                Some(block) => Member::Use(block.map(|block| checker.new_use(own, block).0)),
                None => Member::Layer(checker.new_layer(own, layer)),
            }
        });
        let meaning = match made {
            Member::Layer(layer) => Meaning::Layer(layer),
            Member::Use(of) => Meaning::Use(of),
            Member::Parameter(_) => Meaning::Unknown,
        };
        self.declare(name, meaning);
    }

    fn output(&mut self, statement: &Statement, name: &Ident, value: &Expr) {
        let x = self.operand(value);
        if self.is_new(name) {
            if let Some(value) = x.value {
                let statement = Declaration::Output { name: text(name).into(), x: value.number() };
                self.recorder.declare(statement, &Blame::on(x.place));
            }
            let array = x.value.and_then(|v| self.array_of(v));
            self.outputs.push(Field { name: name.clone(), docs: statement.docs.clone(), array });
        }
        self.declare(name, Meaning::Value(x.value));
    }

    fn array_of(&self, value: Value) -> Option<ArrayType> {
        let ty = self.recorder.ty(value)?;
        let rank = ty.shape.rank() + usize::from(ty.shape.batched);
        Some(ArrayType { real: ty.is_real(), rank })
    }

    fn metric(&mut self, name: Option<&Ident>, value: &Expr) {
        let found = self.found();
        let x = self.operand(value);
        let name = match (name, &value.inner().kind) {
            (Some(name), _) => name,
            (None, ExprKind::Call { function, .. }) => function,
            // What has a mistake in it may have been meant as a call.
            (None, _) if self.found() > found => return,
            (None, _) => {
                let message = "a metric has a name: `metric name = ...;`";
                return self.mistake(Mistake::new(value.place, message));
            }
        };
        let operands = [x.place];
        let blame = Blame { call: name.span().into(), operands: &operands, attributes: &[] };
        if let Some(x) = x.given() {
            self.recorder.declare(Declaration::Metric { name: text(name).into(), x }, &blame);
        }
    }

    /// What a network must have.
    fn missing(&mut self) {
        if self.network.incomplete {
            return;
        }
        let network = self.network;
        let name = text(&network.name);
        let has = |keyword: &str| network.statements.iter().any(|s| s.keyword == keyword);
        if has("loss") {
            return;
        }
        let message = if has("target") || has("metric") || self.inputs.iter().any(|i| i.grad) {
            format!("`{name}` has no loss: add `loss {};` or any expression", self.a_loss())
        } else if !has("output") {
            format!(
                "`{name}` has neither an output nor a loss: say what it predicts, `output y = ...;`, \
                 or what training makes small, `loss ...;`"
            )
        } else {
            return;
        };
        self.mistake(Mistake::new(network.name.span(), message));
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
        let Checker { network, recorder, symbols, inputs, outputs, choices, trained, .. } = self;
        let (declaration, recorded) = recorder.finish(network.name.span().into());
        *mistakes = recorded.mistakes;
        Checked {
            declaration,
            statements: recorded.statements,
            symbols,
            assertions: recorded.assertions,
            inputs,
            outputs,
            choices,
            trained,
        }
    }
}
