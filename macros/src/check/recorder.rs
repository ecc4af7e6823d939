//! Declares the network statement by statement with the compiler's builder, maps the builder's
//! mistakes to source spans, and records the statements for the generated code to replay.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use bilro_compiler::declaration::Declaration;
use bilro_compiler::declaration::statement::{List, Replay, Statement, ValueRef};
use bilro_compiler::error::{Mistake as CompilerMistake, Site};
use bilro_compiler::graph::NodeId;
use bilro_compiler::ops::{AttributeValue, Attributes};
use bilro_compiler::shape::{Fact, SizeProduct, Type};

use crate::error::{Mistake, SourceSpan};

/// A value by its number; or the outputs of a layer with several, by the number of the first.
#[derive(Clone, Copy)]
pub struct Value {
    first: usize,
    /// The number of values.
    pub count: usize,
}

/// An operand of a call.
#[derive(Clone)]
pub struct Operand {
    /// `None` if a mistake hides it.
    pub value: Option<Value>,
    /// Its source text.
    pub text: String,
    pub span: SourceSpan,
}

impl Operand {
    /// The operand of a compiler statement; `None` if a mistake hides it.
    pub fn value_ref(&self) -> Option<ValueRef<'static>> {
        Some((self.value?.first, Cow::Owned(self.text.clone())))
    }

    /// [`Operand::value_ref`] of all; `None` if a mistake hides one.
    pub fn value_refs(x: &[Operand]) -> Option<List<'static, ValueRef<'static>>> {
        x.iter().map(Operand::value_ref).collect()
    }
}

impl Value {
    /// Its number in compiler statements.
    pub fn number(self) -> usize {
        self.first
    }

    /// One of several values, by its index.
    pub fn nth(self, index: usize) -> Value {
        Value { first: self.first + index, count: 1 }
    }
}

/// Attributes as a list for compiler statements.
pub fn listed(attributes: &Attributes) -> List<'static, (Cow<'static, str>, AttributeValue)> {
    let owned = |(name, value): (&str, &AttributeValue)| (Cow::Owned(name.into()), value.clone());
    attributes.iter().map(owned).collect()
}

/// A condition that the generated code asserts at compile time.
pub struct Assertion {
    pub condition: Condition,
    /// The message if it fails.
    pub message: String,
    pub span: SourceSpan,
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
    /// Equality with its sides in a canonical order, so that duplicates are recognised.
    fn same(a: SizeProduct, b: SizeProduct) -> Condition {
        match a.to_string() <= b.to_string() {
            true => Condition::Same(a, b),
            false => Condition::Same(b, a),
        }
    }

    /// The symbols in it.
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

/// The source spans of a call, its operands and its attributes.
pub struct CallSpans<'a> {
    pub call: SourceSpan,
    pub operands: &'a [SourceSpan],
    pub attributes: &'a [(String, SourceSpan)],
}

impl CallSpans<'_> {
    /// A call with a single span.
    pub fn at(call: impl Into<SourceSpan>) -> CallSpans<'static> {
        CallSpans { call: call.into(), operands: &[], attributes: &[] }
    }

    fn span(&self, site: &Site) -> SourceSpan {
        match site {
            Site::Call => self.call,
            Site::Value(_) => self.operands.first().copied().unwrap_or(self.call),
            Site::Operand(i) => self.operands.get(*i).copied().unwrap_or(self.call),
            Site::Attribute(name) => {
                let attribute = self.attributes.iter().find(|(n, _)| n == name);
                attribute.map_or(self.call, |(_, span)| *span)
            }
        }
    }
}

/// See the [module](self).
pub struct Recorder {
    replay: Replay,
    asserted: HashSet<Condition>,
    /// The span of the last call that returned each value.
    calls: HashMap<NodeId, SourceSpan>,
    statements: Vec<Statement<'static>>,
    assertions: Vec<Assertion>,
    pub mistakes: Vec<Mistake>,
}

/// The statements, assertions and mistakes of a recorder.
pub struct Recorded {
    pub statements: Vec<Statement<'static>>,
    pub assertions: Vec<Assertion>,
    pub mistakes: Vec<Mistake>,
}

impl Recorder {
    pub fn new(name: &str) -> Recorder {
        Recorder {
            replay: Replay::new(name),
            asserted: HashSet::new(),
            calls: HashMap::new(),
            statements: Vec::new(),
            assertions: Vec::new(),
            mistakes: Vec::new(),
        }
    }

    /// Reports a mistake of the builder.
    pub fn report(&mut self, mistake: CompilerMistake, spans: &CallSpans<'_>) {
        let span = match &mistake.site {
            Site::Value(id) => self.calls.get(id).copied(),
            _ => None,
        };
        let span = span.unwrap_or_else(|| spans.span(&mistake.site));
        self.mistakes.push(Mistake::new(span, mistake.message));
    }

    /// Asserts a condition, once.
    pub fn require(&mut self, condition: Condition, message: String, span: SourceSpan) {
        if self.asserted.insert(condition.clone()) {
            self.assertions.push(Assertion { condition, message, span });
        }
    }

    /// Declares a statement: the numbers of the values, layers or modules that it creates; `None`
    /// after a mistake. Undecided facts about sizes become assertions.
    pub fn declare(
        &mut self,
        statement: Statement<'static>,
        spans: &CallSpans<'_>,
    ) -> Option<Range<usize>> {
        let created = self.replay.declare(&statement);
        let facts = self.replay.builder.take_facts();
        match created {
            Ok(created) => {
                for Fact { left, right, mistake } in facts {
                    let span = spans.span(&mistake.site);
                    self.require(Condition::same(left, right), mistake.message, span);
                }
                self.statements.push(statement);
                Some(created)
            }
            Err(mistake) => {
                self.report(mistake, spans);
                None
            }
        }
    }

    /// Declares a statement that creates a value.
    pub fn value(&mut self, statement: Statement<'static>, spans: &CallSpans<'_>) -> Option<Value> {
        let created = self.declare(statement, spans)?;
        let (first, count) = (created.start, created.len());
        for node in created.filter_map(|number| self.replay.value(number)) {
            self.calls.insert(node, spans.call);
        }
        Some(Value { first, count })
    }

    /// The type of a value.
    pub fn ty(&self, value: Value) -> Option<&Type> {
        self.replay.value(value.first).map(|node| self.replay.builder.graph().ty(node))
    }

    /// The numbers of inputs and outputs of a layer.
    pub fn arity(&self, layer: usize) -> (usize, usize) {
        let builder = &self.replay.builder;
        let arity = |layer| (builder.takes(layer), builder.gives(layer));
        self.replay.layer(layer).map_or((1, 1), arity)
    }

    /// The qualified name of a layer, as `residual1.fc`.
    pub fn layer_name(&self, layer: usize) -> &str {
        self.replay.layer(layer).map_or("", |layer| self.replay.builder.layer_name(layer))
    }

    /// The name of a module.
    pub fn module_name(&self, module: usize) -> &str {
        self.replay.module(module).map_or("", |module| self.replay.builder.module_name(module))
    }

    /// The network, if there was no mistake.
    pub fn finish(self, name: SourceSpan) -> (Option<Declaration>, Recorded) {
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
