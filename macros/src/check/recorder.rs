//! Declares statement by statement, puts the builder's mistakes on their tokens, and keeps every
//! statement that went well, so that the generated code can declare the same network.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use bilro_compiler::declaration::Declaration;
use bilro_compiler::declaration::statement::{Given, List, Replay, Statement};
use bilro_compiler::error::{Mistake as CompilerMistake, Site};
use bilro_compiler::graph::NodeId;
use bilro_compiler::ops::{AttributeValue, Attributes};
use bilro_compiler::shape::{Fact, SizeProduct, Type};

use crate::error::{Mistake, Place};

/// A value, by its number; or what a layer of several results gives, by the number of the first.
#[derive(Clone, Copy)]
pub struct Value {
    first: usize,
    /// How many there are.
    pub count: usize,
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

impl Operand {
    /// As statements have it; `None` if a mistake hides it.
    pub fn given(&self) -> Option<Given<'static>> {
        Some((self.value?.first, Cow::Owned(self.text.clone())))
    }

    /// The same of several; `None` if a mistake hides one of them.
    pub fn all_given(x: &[Operand]) -> Option<List<'static, Given<'static>>> {
        x.iter().map(Operand::given).collect()
    }
}

impl Value {
    /// Its number, as statements have it.
    pub fn number(self) -> usize {
        self.first
    }

    /// One of several, by its place.
    pub fn part(self, place: usize) -> Value {
        Value { first: self.first + place, count: 1 }
    }
}

/// Attributes as statements have them.
pub fn listed(attributes: &Attributes) -> List<'static, (Cow<'static, str>, AttributeValue)> {
    let owned = |(name, value): (&str, &AttributeValue)| (Cow::Owned(name.into()), value.clone());
    attributes.iter().map(owned).collect()
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
    /// Of a call that has one place.
    pub fn on(call: impl Into<Place>) -> Blame<'static> {
        Blame { call: call.into(), operands: &[], attributes: &[] }
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
    replay: Replay,
    known: HashSet<Condition>,
    /// Where each value was called for, the last time.
    calls: HashMap<NodeId, Place>,
    statements: Vec<Statement<'static>>,
    assertions: Vec<Assertion>,
    pub mistakes: Vec<Mistake>,
}

/// What a recorder leaves.
pub struct Recorded {
    pub statements: Vec<Statement<'static>>,
    pub assertions: Vec<Assertion>,
    pub mistakes: Vec<Mistake>,
}

impl Recorder {
    pub fn new(name: &str) -> Recorder {
        Recorder {
            replay: Replay::new(name),
            known: HashSet::new(),
            calls: HashMap::new(),
            statements: Vec::new(),
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

    /// The numbers of what a statement makes, and what it leaves undecided; `None` for a mistake.
    pub fn declare(
        &mut self,
        statement: Statement<'static>,
        blame: &Blame<'_>,
    ) -> Option<Range<usize>> {
        let made = self.replay.declare(&statement);
        let facts = self.replay.builder.take_facts();
        match made {
            Ok(made) => {
                for Fact { left, right, mistake } in facts {
                    let place = blame.place(&mistake.site);
                    self.require(Condition::same(left, right), mistake.message, place);
                }
                self.statements.push(statement);
                Some(made)
            }
            Err(mistake) => {
                self.blame(mistake, blame);
                None
            }
        }
    }

    /// The value that a statement makes.
    pub fn value(&mut self, statement: Statement<'static>, blame: &Blame<'_>) -> Option<Value> {
        let made = self.declare(statement, blame)?;
        let (first, count) = (made.start, made.len());
        for node in made.filter_map(|number| self.replay.value(number)) {
            self.calls.insert(node, blame.call);
        }
        Some(Value { first, count })
    }

    /// The type of a value.
    pub fn ty(&self, value: Value) -> Option<&Type> {
        self.replay.value(value.first).map(|node| self.replay.builder.graph().ty(node))
    }

    /// How many values a layer takes and gives.
    pub fn ends(&self, layer: usize) -> (usize, usize) {
        let builder = &self.replay.builder;
        let ends = |layer| (builder.takes(layer), builder.gives(layer));
        self.replay.layer(layer).map_or((1, 1), ends)
    }

    /// The name that a layer has, as in `residual1.fc`.
    pub fn layer_name(&self, layer: usize) -> &str {
        self.replay.layer(layer).map_or("", |layer| self.replay.builder.layer_name(layer))
    }

    /// The name that a module has.
    pub fn module_name(&self, module: usize) -> &str {
        self.replay.module(module).map_or("", |module| self.replay.builder.module_name(module))
    }

    /// The network, if there was no mistake.
    pub fn finish(self, name: Place) -> (Option<Declaration>, Recorded) {
        let Recorder { replay, statements, assertions, mut mistakes, .. } = self;
        let mut network = None;
        if mistakes.is_empty() {
            match replay.builder.finish() {
                Ok(finished) => network = Some(finished),
                Err(error) => mistakes.push(Mistake::new(name, error.to_string())),
            }
        }
        (network, Recorded { statements, assertions, mistakes })
    }
}
