//! Choices. What an alternative stands for is settled where the choice is declared, as every name
//! is by what stands before it: of `choice tanh = tanh | relu;` the first is the function, and no
//! choice can be among its own alternatives.

use std::collections::HashSet;

use bilro_compiler::declaration::find_layer;
use bilro_compiler::declaration::statement::Statement as Declaration;

use super::chains::Target;
use super::recorder::{Blame, Operand, Value};
use super::{Checker, ChoiceField, Meaning, text};
use crate::ast::{Named, Statement};
use crate::error::{Mistake, Place};
use crate::parse::DEEPEST;
use proc_macro2::Ident;

/// What a choice is between.
pub(super) struct Alternatives<'a> {
    name: &'a Ident,
    all: Vec<(&'a Named, Target)>,
    /// A mistake has been found in a use of it: what is wrong once is wrong again.
    is_wrong: bool,
}

impl<'a> Checker<'a> {
    pub(super) fn choice(
        &mut self,
        statement: &Statement,
        name: &'a Ident,
        alternatives: &'a [Named],
    ) {
        let found = self.found();
        let all: Vec<(&Named, Target)> =
            alternatives.iter().map(|named| (named, self.alternative(named))).collect();
        // As the variants of an enum, `sigmoid` and `Sigmoid` are the same.
        let mut seen = HashSet::new();
        let variant = |named: &Named| text(&named.name).replace('_', "").to_lowercase();
        if let Some(named) = alternatives.iter().find(|named| !seen.insert(variant(named))) {
            let mut message = format!("`{}` can be chosen already", text(&named.name));
            if named.arguments.is_some() {
                message += ": alternatives have different names, which layers get by \
                            `layer other = LeakyReLU(0.2);`";
            }
            self.mistake(Mistake::new(named.name.span(), message));
        }
        let mut made = None;
        if self.is_new(name) && self.found() == found {
            let names = alternatives.iter().map(|named| text(&named.name).into()).collect();
            let statement = Declaration::Choice { name: text(name).into(), alternatives: names };
            let choice = self.recorder.declare(statement, &Blame::on(name.span()));
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

    /// What an alternative is: a function, a layer, a block or another choice.
    fn alternative(&mut self, named: &Named) -> Target {
        let target = self.target(&named.name);
        if let (Target::Kind, Err(mistake)) = (target, find_layer(&text(&named.name))) {
            self.mistake(Mistake::new(named.name.span(), mistake.message));
        }
        target
    }

    /// What each alternative of a choice makes of a value.
    pub(super) fn choose(&mut self, choice: usize, x: &Operand, call: Place) -> Option<Value> {
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
        let found = self.found();
        let all = self.alternatives[choice].all.clone();
        let mut chosen = Vec::new();
        self.depth += 1;
        for (named, target) in all {
            let text = format!("{named}({})", x.text);
            let value = match self.one_more(call) {
                true => self.link_to(target, x.clone(), named),
                false => None,
            };
            let value = value.and_then(|value| self.single(value, &text, call));
            chosen.push(Operand { value, text, place: x.place });
        }
        self.depth -= 1;
        let value = Operand::all_given(&chosen)
            .and_then(|x| self.recorder.value(Declaration::Choose { choice, x }, &Blame::on(call)));
        self.alternatives[choice].is_wrong |= self.found() > found;
        value
    }
}
