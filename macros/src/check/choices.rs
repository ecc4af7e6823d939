//! Checks choices. The meaning of an alternative is resolved where the choice is declared, like any
//! name, by the declarations before it: in `choice tanh = tanh | relu;` the first alternative is the
//! function, and a choice cannot be its own alternative.

use std::collections::HashSet;

use bilro_compiler::declaration::find_layer;
use bilro_compiler::declaration::statement::Statement as CompilerStatement;

use super::chains::LinkTarget;
use super::recorder::{CallSpans, Operand, Value};
use super::{Checker, ChoiceField, Meaning, text};
use crate::ast::{Named, Statement};
use crate::error::{Mistake, SourceSpan};
use crate::parse::DEEPEST;
use proc_macro2::Ident;

/// The alternatives of a choice, resolved.
pub(super) struct Alternatives<'a> {
    name: &'a Ident,
    all: Vec<(&'a Named, LinkTarget)>,
    /// Whether a use of it had a mistake, so that further uses report no more.
    is_wrong: bool,
}

impl<'a> Checker<'a> {
    pub(super) fn choice(
        &mut self,
        statement: &Statement,
        name: &'a Ident,
        alternatives: &'a [Named],
    ) {
        let mistakes_before = self.mistake_count();
        let all: Vec<(&Named, LinkTarget)> =
            alternatives.iter().map(|named| (named, self.alternative(named))).collect();
        // As the variants of an enum, `sigmoid` and `Sigmoid` are the same.
        let mut seen = HashSet::new();
        let variant = |named: &Named| text(&named.name).replace('_', "").to_lowercase();
        if let Some(named) = alternatives.iter().find(|named| !seen.insert(variant(named))) {
            let mut message = format!("`{}` is an alternative already", text(&named.name));
            if named.arguments.is_some() {
                message += ": alternatives need different names: name a layer by \
                            `layer other = LeakyReLU(0.2);`";
            }
            self.mistake(Mistake::new(named.name.span(), message));
        }
        let mut made = None;
        if self.is_new(name) && self.mistake_count() == mistakes_before {
            let names = alternatives.iter().map(|named| text(&named.name).into()).collect();
            let statement =
                CompilerStatement::Choice { name: text(name).into(), alternatives: names };
            let choice = self.recorder.declare(statement, &CallSpans::at(name.span()));
            made = choice.map(|choice| choice.start);
        }
        if made.is_some() {
            self.alternatives.push(Alternatives { name, all, is_wrong: false });
            self.choices.push(ChoiceField {
                name: name.clone(),
                docs: statement.docs.clone(),
                alternatives: alternatives.iter().map(|named| named.name.clone()).collect(),
            });
        }
        self.declare(name, Meaning::Choice(made));
    }

    /// Resolves an alternative: a function, a layer, a block or another choice.
    fn alternative(&mut self, named: &Named) -> LinkTarget {
        let target = self.link_target(&named.name);
        if let (LinkTarget::NewLayer, Err(mistake)) = (target, find_layer(&text(&named.name))) {
            self.mistake(Mistake::new(named.name.span(), mistake.message));
        }
        target
    }

    /// Applies a choice: each of its alternatives, and a switch between their values.
    pub(super) fn choose(&mut self, choice: usize, x: &Operand, call: SourceSpan) -> Option<Value> {
        if self.alternatives[choice].is_wrong {
            return None;
        }
        if self.depth >= DEEPEST {
            let name = text(self.alternatives[choice].name);
            let message =
                format!("`{name}` is nested too deeply here: choices are between choices");
            self.mistake(Mistake::new(call, message));
            return None;
        }
        let mistakes_before = self.mistake_count();
        let all = self.alternatives[choice].all.clone();
        let mut operands = Vec::new();
        self.depth += 1;
        for (named, target) in all {
            let text = format!("{named}({})", x.text);
            let value = match self.count_expansion(call) {
                true => self.link_to(target, x.clone(), named),
                false => None,
            };
            let value = value.and_then(|value| self.single(value, &text, call));
            operands.push(Operand { value, text, span: x.span });
        }
        self.depth -= 1;
        let value = Operand::value_refs(&operands).and_then(|x| {
            self.recorder.value(CompilerStatement::Choose { choice, x }, &CallSpans::at(call))
        });
        self.alternatives[choice].is_wrong |= self.mistake_count() > mistakes_before;
        value
    }
}
