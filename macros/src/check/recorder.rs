//! Drives the builder, puts its mistakes on their tokens, and writes down every call that went
//! well, so that the generated code can make the same ones.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bilro_compiler::declaration::{
    Builder, ChoiceId, Declaration, Init, LayerId, LossReduction, ModuleId,
};
use bilro_compiler::error::{Mistake as CompilerMistake, Site};
use bilro_compiler::graph::NodeId;
use bilro_compiler::ops::Attributes;
use bilro_compiler::shape::{Dim, Fact, SizeProduct, Type};
use proc_macro2::Ident;

use super::text;
use crate::error::{Mistake, Place};

/// A value, and the variable that holds it in the generated code.
#[derive(Clone, Copy)]
pub struct Value {
    pub node: NodeId,
    pub variable: usize,
}

/// A value as it is handed to a call.
#[derive(Clone)]
pub struct Operand {
    /// `None` if a mistake hides it.
    pub value: Option<Value>,
    /// As the user wrote it.
    pub text: String,
    pub place: Place,
}

/// A call of the builder. Values are variables.
pub enum Step {
    Reserve {
        name: String,
    },
    Module {
        module: usize,
        name: Option<String>,
        kind: String,
    },
    Enter {
        module: usize,
    },
    Leave,
    Input {
        variable: usize,
        name: String,
        ty: Type,
        is_target: bool,
    },
    Differentiate {
        x: usize,
    },
    Choice {
        choice: usize,
        name: String,
        alternatives: Vec<String>,
    },
    Choose {
        variable: usize,
        choice: usize,
        operands: Vec<(usize, String)>,
    },
    Parameter {
        variable: usize,
        name: String,
        dims: Vec<Dim>,
        init: Init,
    },
    Number {
        variable: usize,
        value: f64,
    },
    Call {
        variable: usize,
        function: String,
        operands: Vec<(usize, String)>,
        attributes: Attributes,
    },
    Layer {
        layer: usize,
        name: Option<String>,
        kind: String,
        attributes: Attributes,
    },
    Apply {
        variable: usize,
        layer: usize,
        x: (usize, String),
    },
    Bind {
        name: String,
        x: usize,
    },
    Output {
        name: String,
        x: usize,
    },
    Loss {
        x: (usize, String),
        reduction: LossReduction,
    },
    Metric {
        name: String,
        x: (usize, String),
    },
}

/// What the compiler of Rust is to make sure of.
pub struct Assertion {
    pub condition: Condition,
    /// What is wrong otherwise.
    pub message: String,
    pub place: Place,
}

/// A condition on constants.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Condition {
    /// Two counts are equal.
    Same(SizeProduct, SizeProduct),
    /// A size is at least 1.
    Positive(Arc<str>),
}

impl Condition {
    /// In one order, so that a condition is known again the other way round.
    fn same(a: SizeProduct, b: SizeProduct) -> Condition {
        match a.to_string() <= b.to_string() {
            true => Condition::Same(a, b),
            false => Condition::Same(b, a),
        }
    }

    /// The symbols that it is about.
    pub fn symbols(&self) -> Vec<&str> {
        let mut symbols: Vec<&str> = match self {
            Condition::Same(a, b) => a.symbols.iter().chain(&b.symbols).map(|s| &**s).collect(),
            Condition::Positive(symbol) => vec![&**symbol],
        };
        symbols.sort_unstable();
        symbols.dedup();
        symbols
    }
}

/// Where the parts of a call are.
pub struct Blame<'a> {
    pub call: Place,
    pub operands: &'a [Place],
    pub attributes: &'a [(String, Place)],
}

impl Blame<'_> {
    fn on(call: Place) -> Blame<'static> {
        Blame { call, operands: &[], attributes: &[] }
    }

    fn place(&self, site: &Site) -> Place {
        match site {
            Site::Call => self.call,
            Site::Value(_) => self.operands.first().copied().unwrap_or(self.call),
            Site::Operand(i) => self.operands.get(*i).copied().unwrap_or(self.call),
            Site::Attribute(name) => {
                let attribute = self.attributes.iter().find(|(n, _)| n == name);
                attribute.map_or(self.call, |(_, place)| *place)
            }
        }
    }
}

/// See the [module](self).
pub struct Recorder {
    builder: Builder,
    layers: Vec<LayerId>,
    choices: Vec<ChoiceId>,
    modules: Vec<ModuleId>,
    variables: usize,
    known: HashSet<Condition>,
    /// Where each value was called for, the last time.
    calls: HashMap<NodeId, Place>,
    pub steps: Vec<Step>,
    pub assertions: Vec<Assertion>,
    pub mistakes: Vec<Mistake>,
}

/// What a recorder leaves.
pub struct Recorded {
    pub steps: Vec<Step>,
    pub assertions: Vec<Assertion>,
    pub mistakes: Vec<Mistake>,
}

impl Recorder {
    pub fn new(name: &str) -> Recorder {
        Recorder {
            builder: Builder::new(name),
            layers: Vec::new(),
            choices: Vec::new(),
            modules: Vec::new(),
            variables: 0,
            known: HashSet::new(),
            calls: HashMap::new(),
            steps: Vec::new(),
            assertions: Vec::new(),
            mistakes: Vec::new(),
        }
    }

    /// Adds a mistake of the builder's.
    pub fn blame(&mut self, mistake: CompilerMistake, blame: &Blame<'_>) {
        let place = match &mistake.site {
            Site::Value(id) => self.calls.get(id).copied(),
            _ => None,
        };
        let place = place.unwrap_or_else(|| blame.place(&mistake.site));
        self.mistakes.push(Mistake::new(place, mistake.message));
    }

    /// Makes sure of a condition, once.
    pub fn require(&mut self, condition: Condition, message: String, place: Place) {
        if self.known.insert(condition.clone()) {
            self.assertions.push(Assertion { condition, message, place });
        }
    }

    /// The result of a call of the builder, with what it left undecided.
    fn settle<T>(&mut self, result: Result<T, CompilerMistake>, blame: &Blame<'_>) -> Option<T> {
        let facts = self.builder.take_facts();
        match result {
            Ok(value) => {
                for Fact { left, right, mistake } in facts {
                    let place = blame.place(&mistake.site);
                    self.require(Condition::same(left, right), mistake.message, place);
                }
                Some(value)
            }
            Err(mistake) => {
                self.blame(mistake, blame);
                None
            }
        }
    }

    fn variable(&mut self, node: NodeId) -> Value {
        self.variables += 1;
        Value { node, variable: self.variables - 1 }
    }

    pub fn ty(&self, value: Value) -> &Type {
        self.builder.graph().ty(value.node)
    }

    pub fn reserve(&mut self, name: &str) {
        self.builder.reserve(name);
        self.steps.push(Step::Reserve { name: name.into() });
    }

    /// A module, with the name that it has.
    pub fn module(&mut self, name: Option<&str>, kind: &str) -> (usize, String) {
        let id = self.builder.module(name, kind);
        let module = self.modules.len();
        self.modules.push(id);
        let (own, kind) = (name.map(Into::into), kind.into());
        self.steps.push(Step::Module { module, name: own, kind });
        (module, self.builder.module_name(id).into())
    }

    /// Goes into a module.
    pub fn enter(&mut self, module: usize) {
        self.builder.enter(self.modules[module]);
        self.steps.push(Step::Enter { module });
    }

    /// Goes out of it.
    pub fn leave(&mut self) {
        self.builder.leave();
        self.steps.push(Step::Leave);
    }

    pub fn input(&mut self, name: &Ident, ty: &Type, is_target: bool) -> Option<Value> {
        let (name, blame) = (text(name), Blame::on(name.span().into()));
        let node = match is_target {
            true => self.builder.target(&name, ty.clone()),
            false => self.builder.input(&name, ty.clone()),
        };
        let value = self.settle(node, &blame).map(|node| self.variable(node))?;
        let variable = value.variable;
        self.steps.push(Step::Input { variable, name, ty: ty.clone(), is_target });
        Some(value)
    }

    /// Asks for the gradient with respect to an input.
    pub fn differentiate(&mut self, x: Value, at: Place) {
        let result = self.builder.differentiate(x.node);
        if self.settle(result, &Blame::on(at)).is_some() {
            self.steps.push(Step::Differentiate { x: x.variable });
        }
    }

    /// A choice, by the names of its alternatives.
    pub fn choice(&mut self, name: &Ident, alternatives: Vec<String>) -> Option<usize> {
        let (name, blame) = (text(name), Blame::on(name.span().into()));
        let names: Vec<&str> = alternatives.iter().map(String::as_str).collect();
        let id = self.builder.choice(&name, &names);
        let id = self.settle(id, &blame)?;
        let choice = self.choices.len();
        self.choices.push(id);
        self.steps.push(Step::Choice { choice, name, alternatives });
        Some(choice)
    }

    /// What is chosen. Silent where an alternative is hidden.
    pub fn choose(&mut self, choice: usize, x: Vec<Operand>, call: Place) -> Option<Value> {
        let x: Vec<(Value, String)> =
            x.into_iter().map(|x| Some((x.value?, x.text))).collect::<Option<_>>()?;
        let nodes: Vec<(NodeId, &str)> =
            x.iter().map(|(x, text)| (x.node, text.as_str())).collect();
        let node = self.builder.choose(self.choices[choice], &nodes);
        let value = self.settle(node, &Blame::on(call)).map(|node| self.variable(node))?;
        self.calls.insert(value.node, call);
        let operands = x.into_iter().map(|(x, text)| (x.variable, text)).collect();
        self.steps.push(Step::Choose { variable: value.variable, choice, operands });
        Some(value)
    }

    pub fn parameter(
        &mut self,
        name: &str,
        dims: Vec<Dim>,
        init: Init,
        blame: &Blame<'_>,
    ) -> Option<Value> {
        let node = self.builder.parameter(name, dims.clone(), init.clone());
        let value = self.settle(node, blame).map(|node| self.variable(node))?;
        let variable = value.variable;
        self.steps.push(Step::Parameter { variable, name: name.into(), dims, init });
        Some(value)
    }

    pub fn number(&mut self, x: f64) -> Value {
        let node = self.builder.number(x);
        let value = self.variable(node);
        self.steps.push(Step::Number { variable: value.variable, value: x });
        value
    }

    /// A function or an operator. Silent where an operand is hidden.
    pub fn call(
        &mut self,
        function: &str,
        operands: Vec<Operand>,
        attributes: Attributes,
        blame: &Blame<'_>,
    ) -> Option<Value> {
        let operands: Vec<(Value, String)> =
            operands.into_iter().map(|x| Some((x.value?, x.text))).collect::<Option<_>>()?;
        let nodes: Vec<(NodeId, &str)> =
            operands.iter().map(|(x, text)| (x.node, text.as_str())).collect();
        let node = self.builder.call(function, &nodes, &attributes);
        let value = self.settle(node, blame).map(|node| self.variable(node))?;
        self.calls.insert(value.node, blame.call);
        self.steps.push(Step::Call {
            variable: value.variable,
            function: function.into(),
            operands: operands.into_iter().map(|(x, text)| (x.variable, text)).collect(),
            attributes,
        });
        Some(value)
    }

    /// A layer, with the name that it has, as in `residual1.fc`.
    pub fn layer(
        &mut self,
        name: Option<&str>,
        kind: &str,
        attributes: Attributes,
        blame: &Blame<'_>,
    ) -> Option<(usize, String)> {
        let id = self.builder.layer(name, kind, &attributes);
        let id = self.settle(id, blame)?;
        let layer = self.layers.len();
        self.layers.push(id);
        self.steps.push(Step::Layer {
            layer,
            name: name.map(Into::into),
            kind: kind.into(),
            attributes,
        });
        Some((layer, self.builder.layer_name(id).into()))
    }

    /// A layer on a value. Silent where either is hidden.
    pub fn apply(&mut self, layer: Option<usize>, x: Operand, call: Place) -> Option<Value> {
        let (layer, of) = (layer?, x.value?);
        let node = self.builder.apply(self.layers[layer], (of.node, &x.text));
        let operands = [x.place];
        let blame = Blame { call, operands: &operands, attributes: &[] };
        let value = self.settle(node, &blame).map(|node| self.variable(node))?;
        self.calls.insert(value.node, call);
        let x = (of.variable, x.text);
        self.steps.push(Step::Apply { variable: value.variable, layer, x });
        Some(value)
    }

    pub fn bind(&mut self, name: &str, x: Value) {
        self.builder.bind(name, x.node);
        self.steps.push(Step::Bind { name: name.into(), x: x.variable });
    }

    pub fn output(&mut self, name: &str, x: &Operand) {
        let Some(value) = x.value else { return };
        let result = self.builder.output(name, value.node);
        if self.settle(result, &Blame::on(x.place)).is_some() {
            self.steps.push(Step::Output { name: name.into(), x: value.variable });
        }
    }

    pub fn loss(&mut self, x: Operand, reduction: LossReduction, call: Place) {
        let Some(value) = x.value else { return };
        let result = self.builder.loss((value.node, &x.text), reduction);
        let operands = [x.place];
        let blame = Blame { call, operands: &operands, attributes: &[] };
        if self.settle(result, &blame).is_some() {
            self.steps.push(Step::Loss { x: (value.variable, x.text), reduction });
        }
    }

    pub fn metric(&mut self, name: &Ident, x: Operand) {
        let Some(value) = x.value else { return };
        let result = self.builder.metric(&text(name), (value.node, &x.text));
        let operands = [x.place];
        let call = name.span().into();
        let blame = Blame { call, operands: &operands, attributes: &[] };
        if self.settle(result, &blame).is_some() {
            self.steps.push(Step::Metric { name: text(name), x: (value.variable, x.text) });
        }
    }

    /// The network, if there was no mistake.
    pub fn finish(self, name: Place) -> (Option<Declaration>, Recorded) {
        let Recorder { builder, steps, assertions, mut mistakes, .. } = self;
        let mut network = None;
        if mistakes.is_empty() {
            match builder.finish() {
                Ok(finished) => network = Some(finished),
                Err(error) => mistakes.push(Mistake::new(name, error.to_string())),
            }
        }
        (network, Recorded { steps, assertions, mistakes })
    }
}
