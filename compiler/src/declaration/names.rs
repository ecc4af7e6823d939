//! Names and declaration order of layers, modules and parameters.
//!
//! What the parts of a network are called, and in which order they were
//! declared.
//!
//! A module is a part with names of its own, as PyTorch's are: what is declared
//! while it is entered is named below it, `residual1.fc`, and belongs where the
//! module was declared.

use std::collections::{BTreeMap, BTreeSet};

/// Where something was declared: the places of the modules around it, then its
/// own. In lexicographic order.
pub(super) type Order = Vec<usize>;

/// Names a module of one builder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ModuleId(usize);

#[derive(Debug)]
struct Module {
    name: String,
    /// Its full name and a dot.
    prefix: String,
    order: Order,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Names {
    modules: Vec<Module>,
    /// The modules that have been entered, the innermost last.
    entered: Vec<ModuleId>,
    /// Full names that nothing without a name may be given.
    taken: BTreeSet<String>,
    /// For each kind, by its full name, the number in the last name given.
    numbers: BTreeMap<String, usize>,
    /// Counts declarations.
    declared: usize,
}

impl Names {
    fn inside(&self) -> Option<&Module> {
        self.entered.last().map(|module| &self.modules[module.0])
    }

    /// A name here with those of the modules around it.
    pub fn full(&self, name: &str) -> String {
        format!("{}{name}", self.inside().map_or("", |module| &module.prefix))
    }

    /// The place of what is declared next.
    pub fn order(&mut self) -> Order {
        self.declared += 1;
        let mut place = self.inside().map_or(Order::new(), |module| module.order.clone());
        place.push(self.declared);
        place
    }

    /// Keeps a name here from what has none of its own.
    pub fn take(&mut self, name: &str) {
        let full = self.full(name);
        self.taken.insert(full);
    }

    /// A name for something of a kind: `linear1` for a `Linear`.
    pub fn free(&mut self, kind: &str) -> String {
        let stem = kind.to_lowercase();
        let full = self.full(&stem);
        let mut number = self.numbers.get(&full).copied().unwrap_or(0) + 1;
        while self.taken.contains(&format!("{full}{number}")) {
            number += 1;
        }
        self.numbers.insert(full, number);
        format!("{stem}{number}")
    }

    /// A module; without a name it gets one from its kind.
    pub fn module(&mut self, name: Option<&str>, kind: &str) -> ModuleId {
        let name = name.map_or_else(|| self.free(kind), String::from);
        self.take(&name);
        let prefix = format!("{}.", self.full(&name));
        let place = self.order();
        self.modules.push(Module { name, prefix, order: place });
        ModuleId(self.modules.len() - 1)
    }

    /// A module's own name; empty where there is no such module.
    pub fn of(&self, module: ModuleId) -> &str {
        self.modules.get(module.0).map_or("", |module| &module.name)
    }

    /// Whether there is such a module, which is entered then.
    pub fn enter(&mut self, module: ModuleId) -> bool {
        let is_there = module.0 < self.modules.len();
        if is_there {
            self.entered.push(module);
        }
        is_there
    }

    pub fn leave(&mut self) {
        self.entered.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_name_is_counted_in_its_module() {
        let mut names = Names::default();
        names.take("block1");
        let first = names.module(None, "Block");
        assert_eq!(names.of(first), "block2");
        names.enter(first);
        let inner = names.module(Some("inner"), "Block");
        assert_eq!(
            (names.free("Linear"), names.full("fc")),
            ("linear1".into(), "block2.fc".into())
        );
        names.enter(inner);
        assert_eq!(
            (names.free("Linear"), names.full("w")),
            ("linear1".into(), "block2.inner.w".into())
        );
        names.leave();
        assert_eq!(names.free("Linear"), "linear2");
        names.leave();
        assert_eq!((names.free("Linear"), names.full("fc")), ("linear1".into(), "fc".into()));
    }

    #[test]
    fn what_is_in_a_module_belongs_where_the_module_was_declared() {
        let mut names = Names::default();
        let module = names.module(Some("first"), "Block");
        let after = names.order();
        names.enter(module);
        let (a, b) = (names.order(), names.order());
        assert!(a < b && b < after);
    }
}
