//! Scopes: the names of the network, or of the body of a block.

use std::collections::{HashMap, HashSet};

use bilro_compiler::declaration::statement::Statement as CompilerStatement;
use bilro_compiler::layers;
use proc_macro2::Ident;

use super::recorder::CallSpans;
use super::{Checker, Meaning, text};
use crate::ast::{Statement, StatementKind};
use crate::error::{Mistake, SourceSpan};

/// See the [module](self).
pub(super) struct Scope {
    pub names: HashMap<String, Meaning>,
    /// Every name that some statement declares.
    pub declared: HashSet<String>,
    pub used: HashSet<String>,
    /// A statement could not be parsed at all: it may have declared any name that is missing.
    pub incomplete: bool,
    /// The block being checked, if this is the scope of a body.
    pub inside: Option<Inside>,
}

/// The body of a block: which block, for which use, and the index of the use's next member.
#[derive(Clone, Copy)]
pub(super) struct Inside {
    pub block: usize,
    pub use_index: usize,
    pub next_member: usize,
}

impl Scope {
    /// The scope before the first of these statements.
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
    /// Declares a name; a second declaration is a mistake.
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

    /// The meaning of a name in this scope.
    pub(super) fn meaning(&self, key: &str) -> Option<Meaning> {
        self.scope.names.get(key).copied().or_else(|| self.meaning_in_blocks(key))
    }

    /// Whether a name is declared in this scope, or is a block that is visible here.
    pub(super) fn is_declared(&self, key: &str) -> bool {
        self.scope.declared.contains(key) || self.meaning(key).is_some()
    }

    /// The names with a matching meaning, sorted.
    pub(super) fn names(&self, matches: impl Fn(Meaning) -> bool) -> Vec<&str> {
        let local = self.scope.names.iter().map(|(name, meaning)| (&**name, *meaning));
        let mut names: Vec<&str> = local
            .chain(self.visible_blocks())
            .filter(|(_, meaning)| matches(*meaning))
            .map(|(name, _)| name)
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Reserves the names that statements declare, so that layers and uses of blocks without a name
    /// are not given one of them, as `linear1`.
    pub(super) fn reserve(&mut self, statements: &[Statement]) {
        let blocks = self.network.statements.iter().filter_map(|s| match &s.kind {
            StatementKind::Block(block) => Some(text(&block.name).to_lowercase()),
            _ => None,
        });
        let kinds: HashSet<String> = layers::names().map(str::to_lowercase).chain(blocks).collect();
        for name in statements.iter().flat_map(Statement::declares).map(text) {
            if kinds.iter().any(|kind| name.starts_with(kind)) {
                let span = SourceSpan::from(self.network.name.span());
                let name = name.into();
                self.recorder.declare(CompilerStatement::Reserve { name }, &CallSpans::at(span));
            }
        }
    }

    /// Reports unused names. Unused layers and parameters would be trained in vain; unused values
    /// are probably forgotten, unless their names start with `_`, as in Rust.
    pub(super) fn unused(&mut self) {
        if self.scope.incomplete {
            return;
        }
        let network = self.network;
        let is_root = |s: &Statement| s.keyword == "output" || s.keyword == "loss";
        let is_right = self.mistake_count() == 0 && network.statements.iter().any(is_root);
        self.unused_in(&network.statements, is_right);
        self.unused_blocks();
    }

    /// Reports unused parameters of a block.
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

    /// Reports unused names of the statements of one scope, except blocks. Unused values may follow
    /// from other mistakes, and are reported only if there are none.
    pub(super) fn unused_in(&mut self, statements: &[Statement], is_right: bool) {
        let (mut seen, mut unused) = (HashSet::new(), Vec::new());
        for statement in statements {
            let is_value = match &statement.kind {
                StatementKind::Layer { .. }
                | StatementKind::Param { .. }
                | StatementKind::Choice { .. } => false,
                // The names that it mentions would count as used.
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
