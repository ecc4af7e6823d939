//! Which names there are: in the network, or in the body of a block.

use std::collections::{HashMap, HashSet};

use bilro_compiler::declaration::statement::Statement as Declaration;
use bilro_compiler::layers;
use proc_macro2::Ident;

use super::recorder::Blame;
use super::{Checker, Meaning, text};
use crate::ast::{Statement, StatementKind};
use crate::error::{Mistake, Place};

/// See the [module](self).
pub(super) struct Scope {
    pub names: HashMap<String, Meaning>,
    /// Every name that some statement declares.
    pub declared: HashSet<String>,
    pub used: HashSet<String>,
    /// A statement could not be read at all: a name that is missing may have been its.
    pub incomplete: bool,
    /// In the body of a block: which one, for which of the uses, and how many of the use's members
    /// have been met.
    pub inside: Option<Inside>,
}

/// See [`Scope::inside`].
#[derive(Clone, Copy)]
pub(super) struct Inside {
    pub block: usize,
    pub of: usize,
    pub members: usize,
}

impl Scope {
    /// Before the first of some statements.
    pub fn new(statements: &[Statement], incomplete: bool) -> Scope {
        let mut used = HashSet::new();
        for statement in statements {
            if let StatementKind::Broken { mentioned, .. } = &statement.kind {
                used.extend(mentioned.iter().map(text));
            }
        }
        let declared = statements.iter().flat_map(Statement::declares).map(text).collect();
        Scope { names: HashMap::new(), declared, used, incomplete, inside: None }
    }
}

impl Checker<'_> {
    /// Says what a name means; a second meaning is a mistake.
    pub(super) fn declare(&mut self, name: &Ident, meaning: Meaning) {
        let key = text(name);
        if self.is_new(name) {
            self.scope.names.insert(key, meaning);
        } else {
            self.mistake(Mistake::new(name.span(), format!("`{key}` is declared twice")));
        }
    }

    pub(super) fn is_new(&self, name: &Ident) -> bool {
        !self.scope.names.contains_key(&text(name))
    }

    /// What a name means here.
    pub(super) fn meaning(&self, key: &str) -> Option<Meaning> {
        self.scope.names.get(key).copied().or_else(|| self.meaning_in_blocks(key))
    }

    /// Whether a name is declared in this scope, or is a block's that can be seen here.
    pub(super) fn is_declared(&self, key: &str) -> bool {
        self.scope.declared.contains(key) || self.meaning(key).is_some()
    }

    /// The names whose meaning is as wanted, in order.
    pub(super) fn names(&self, wanted: impl Fn(Meaning) -> bool) -> Vec<&str> {
        let own = self.scope.names.iter().map(|(name, meaning)| (&**name, *meaning));
        let mut names: Vec<&str> = own
            .chain(self.seen_blocks())
            .filter(|(_, meaning)| wanted(*meaning))
            .map(|(name, _)| name)
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Keeps the names that statements declare from layers and uses of blocks without one, which
    /// are called `linear1` and so on.
    pub(super) fn reserve(&mut self, statements: &[Statement]) {
        let blocks = self.network.statements.iter().filter_map(|s| match &s.kind {
            StatementKind::Block(block) => Some(text(&block.name).to_lowercase()),
            _ => None,
        });
        let kinds: HashSet<String> = layers::names().map(str::to_lowercase).chain(blocks).collect();
        for name in statements.iter().flat_map(Statement::declares).map(text) {
            if kinds.iter().any(|kind| name.starts_with(kind)) {
                let place = Place::from(self.network.name.span());
                let name = name.into();
                self.recorder.declare(Declaration::Reserve { name }, &Blame::on(place));
            }
        }
    }

    /// Layers and parameters that nothing uses would be trained for nothing; values are forgotten,
    /// or else their names start with `_`, as in Rust.
    pub(super) fn unused(&mut self) {
        if self.scope.incomplete {
            return;
        }
        let network = self.network;
        let gives = |s: &Statement| s.keyword == "output" || s.keyword == "loss";
        let is_right = self.found() == 0 && network.statements.iter().any(gives);
        self.unused_in(&network.statements, is_right);
        self.unused_blocks();
    }

    /// The same for what a block is given.
    pub(super) fn unused_values(&mut self, names: &[Ident]) {
        let is_unused = |name: &&Ident| {
            let key = text(name);
            !key.starts_with('_') && !self.scope.used.contains(&key)
        };
        let unused: Vec<&Ident> = names.iter().filter(is_unused).collect();
        for name in unused {
            let message = format!("`{}` is never used", text(name));
            self.mistake(Mistake::new(name.span(), message));
        }
    }

    /// The same for the statements of one scope, but for blocks. Values without a use may follow from
    /// other mistakes, and are told only where all else is right.
    pub(super) fn unused_in(&mut self, statements: &[Statement], is_right: bool) {
        let (mut seen, mut unused) = (HashSet::new(), Vec::new());
        for statement in statements {
            let is_value = match &statement.kind {
                StatementKind::Layer { .. }
                | StatementKind::Param { .. }
                | StatementKind::Choice { .. } => false,
                // What stands in it would count as used.
                StatementKind::Let { .. } | StatementKind::Several { .. } if is_right => true,
                _ => continue,
            };
            for name in statement.declares() {
                let key = text(name);
                if is_value && key.starts_with('_') {
                    continue;
                }
                if seen.insert(key.clone()) && !self.scope.used.contains(&key) {
                    unused.push(Mistake::new(name.span(), format!("`{key}` is never used")));
                }
            }
        }
        self.recorder.mistakes.extend(unused);
    }
}
