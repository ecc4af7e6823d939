//! Checks the syntax tree: resolves names, and declares the network with the compiler's
//! [`Builder`](bilro_compiler::declaration::Builder), which checks shapes and arguments. The checker
//! maps each of the builder's mistakes to a span.
//!
//! An expression with a mistake has no value, and expressions that depend on it are not reported: no
//! follow-on errors.

mod arguments;
mod blocks;
mod chains;
mod choices;
mod pieces;
mod recorder;
mod scope;
mod values;

use std::collections::BTreeMap;

use bilro_compiler::declaration::Declaration;
use bilro_compiler::declaration::statement::Statement as CompilerStatement;
use bilro_compiler::shape::{DType, Shape, Type as CompilerType};
use proc_macro2::{Ident, TokenStream};
use syn::ext::IdentExt;

use crate::ast::{Expr, ExprKind, ItemNetwork, List, Named, Statement, StatementKind, Type};
use crate::error::{Mistake, SourceSpan};
use blocks::{Blocks, Member};
use choices::Alternatives;
use recorder::Value;
pub use recorder::{Assertion, Condition};
use recorder::{CallSpans, Recorder};
use scope::Scope;
use values::show;

/// The result of checking a network.
pub struct Checked {
    /// The network; `None` if there were mistakes.
    pub declaration: Option<Declaration>,
    /// The statements that declare it.
    pub statements: Vec<CompilerStatement<'static>>,
    /// The Rust expression of every symbolic size.
    pub symbols: Symbols,
    /// Conditions on sizes that only rustc can evaluate.
    pub assertions: Vec<Assertion>,
    /// Inputs and targets, in declared order.
    pub inputs: Vec<InputField>,
    /// Outputs, in declared order.
    pub outputs: Vec<Field>,
    /// Choices, in declared order.
    pub choices: Vec<ChoiceField>,
    /// Parameters, layers and uses of blocks, also those without a declared name.
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

/// A choice, made with every call.
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
    /// Whether its gradient is requested.
    pub grad: bool,
    pub ty: Option<CompilerType>,
}

/// The Rust type of an array: element type and rank.
#[derive(Clone, Copy)]
pub struct ArrayType {
    pub real: bool,
    /// The number of axes, with the batch axis if it has one.
    pub rank: usize,
}

/// A declared parameter, a layer or a use of a block: a field of the parameter structs.
pub struct Trained {
    /// The qualified name, with the enclosing uses of blocks: `residual1.fc`.
    pub path: String,
    /// The name of its field in the generated structs.
    pub name: Ident,
    pub docs: TokenStream,
    /// The type, of a parameter.
    pub array: Option<ArrayType>,
}

/// The meaning of a name.
#[derive(Clone, Copy)]
enum Meaning {
    Value(Option<Value>),
    /// A layer, by its index in the recorder; `None` if a mistake hides it.
    Layer(Option<usize>),
    /// A choice, by its index; `None` if a mistake hides it.
    Choice(Option<usize>),
    /// A block, by its index.
    Block(usize),
    /// A named use of a block, by its index; `None` if a mistake hides it.
    Use(Option<usize>),
    /// Declared in a statement that could not be parsed.
    Unknown,
}

/// A name as text, without the prefix `r#`.
pub fn text(name: &Ident) -> String {
    name.unraw().to_string()
}

/// Checks a network. Adds its mistakes to those of parsing.
pub fn check(network: &ItemNetwork, mistakes: &mut Vec<Mistake>) -> Checked {
    let mut checker = Checker::new(network);
    checker.recorder.mistakes.append(mistakes);
    for statement in &network.statements {
        checker.statement(statement);
    }
    checker.unused();
    checker.missing();
    checker.report_body_mistakes();
    checker.finish(mistakes)
}

struct Checker<'a> {
    network: &'a ItemNetwork,
    recorder: Recorder,
    /// The scope of the network, or of the body being checked.
    scope: Scope,
    blocks: Blocks<'a>,
    symbols: Symbols,
    inputs: Vec<InputField>,
    outputs: Vec<Field>,
    choices: Vec<ChoiceField>,
    /// The alternatives of each choice, by the recorder's indices.
    alternatives: Vec<Alternatives<'a>>,
    trained: Vec<Trained>,
    /// The number of expressions around the current one.
    depth: usize,
}

impl<'a> Checker<'a> {
    fn new(network: &'a ItemNetwork) -> Checker<'a> {
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
                let operands = [operand.span];
                let call = statement.keyword.span().into();
                let spans = CallSpans { call, operands: &operands, attributes: &[] };
                if let Some(x) = operand.value_ref() {
                    self.recorder.declare(CompilerStatement::Loss { x, sum: *sum }, &spans);
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

    /// Binds a name to a value.
    fn name(&mut self, name: &Ident, value: Option<Value>) {
        if let (Some(value), true) = (value, self.is_new(name)) {
            let statement = CompilerStatement::Bind { name: text(name).into(), x: value.number() };
            self.recorder.declare(statement, &CallSpans::at(name.span()));
        }
        self.declare(name, Meaning::Value(value));
    }

    /// Binds names to the outputs of a layer with several.
    fn several(&mut self, names: &[Ident], x: &Expr) {
        let mut values = self.values(x);
        if let Some(returned) = values.filter(|values| values.count != names.len()) {
            let plural = if returned.count == 1 { "" } else { "s" };
            let message = format!(
                "`{}` returns {} value{plural}, but there are {} names",
                show(x),
                returned.count,
                names.len()
            );
            self.mistake(Mistake::new(x.span, message));
            values = None;
        }
        for (i, name) in names.iter().enumerate() {
            self.name(name, values.map(|values| values.nth(i)));
        }
    }

    /// Declares the name of a statement that could not be parsed, with an unknown meaning.
    fn broken(&mut self, statement: &Statement, name: &Ident) {
        // One message per statement: not a second one about a duplicate name.
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
        grad: Option<SourceSpan>,
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
                    CompilerStatement::Input { name: text(name).into(), is_target, below, dims };
                value = self.recorder.value(statement, &CallSpans::at(name.span()));
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
            (_, Some(span)) if is_target => {
                let message = "a target has no gradient: only an input can have `grad`";
                self.mistake(Mistake::new(span, message));
            }
            (Some(value), Some(span)) => {
                let statement = CompilerStatement::Differentiate { x: value.number() };
                self.recorder.declare(statement, &CallSpans::at(span));
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
        let initialiser = self.initialiser(init);
        if !self.is_new(name) {
            return None;
        }
        self.trained.push(Trained {
            path: self.path(&text(name)),
            name: name.clone(),
            docs: docs.clone(),
            array: Some(ArrayType { real: true, rank: dims.elements.len() }),
        });
        let attributes = [("init".to_string(), init.span)];
        let spans = CallSpans { call: name.span().into(), operands: &[], attributes: &attributes };
        let (init, numbers) = initialiser?;
        let statement = CompilerStatement::Parameter {
            name: text(name).into(),
            dims: sizes?.into(),
            init: init.into(),
            numbers: numbers.into(),
        };
        self.recorder.value(statement, &spans)
    }

    fn layer(&mut self, statement: &Statement, name: &Ident, layer: &Named) {
        let made = self.member(|checker| {
            let is_new = checker.is_new(name);
            let declared = text(name);
            if is_new {
                checker.trained.push(Trained {
                    path: checker.path(&declared),
                    name: name.clone(),
                    docs: statement.docs.clone(),
                    array: None,
                });
            }
            let unique = is_new.then_some(declared.as_str());
            match checker.block_of_layer(layer) {
                Some(block) => Member::Use(block.map(|block| checker.new_use(unique, block).0)),
                None => Member::Layer(checker.new_layer(unique, layer)),
            }
        });
        let meaning = match made {
            Member::Layer(layer) => Meaning::Layer(layer),
            Member::Use(index) => Meaning::Use(index),
            Member::Parameter(_) => Meaning::Unknown,
        };
        self.declare(name, meaning);
    }

    fn output(&mut self, statement: &Statement, name: &Ident, value: &Expr) {
        let x = self.operand(value);
        if self.is_new(name) {
            if let Some(value) = x.value {
                let statement =
                    CompilerStatement::Output { name: text(name).into(), x: value.number() };
                self.recorder.declare(statement, &CallSpans::at(x.span));
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
        let mistakes_before = self.mistake_count();
        let x = self.operand(value);
        let name = match (name, &value.inner().kind) {
            (Some(name), _) => name,
            (None, ExprKind::Call { function, .. }) => function,
            // An expression with a mistake may have been meant as a call.
            (None, _) if self.mistake_count() > mistakes_before => return,
            (None, _) => {
                let message = "a metric needs a name: `metric name = ...;`";
                return self.mistake(Mistake::new(value.span, message));
            }
        };
        let operands = [x.span];
        let spans = CallSpans { call: name.span().into(), operands: &operands, attributes: &[] };
        if let Some(x) = x.value_ref() {
            self.recorder.declare(CompilerStatement::Metric { name: text(name).into(), x }, &spans);
        }
    }

    /// Reports a missing output or loss.
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
            format!("`{name}` has no loss: add `loss {};` or any expression", self.example_loss())
        } else if !has("output") {
            format!(
                "`{name}` has neither an output nor a loss: declare what it predicts, `output y = ...;`, \
                 or what training minimises, `loss ...;`"
            )
        } else {
            return;
        };
        self.mistake(Mistake::new(network.name.span(), message));
    }

    /// An example of a loss for this network, with its own names.
    fn example_loss(&self) -> String {
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
