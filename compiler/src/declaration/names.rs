//! Names and declaration order of layers, modules and parameters.
//!
//! A module is a namespace, as in PyTorch: names declared while it is entered are qualified by it,
//! `residual1.fc`, and are ordered at the module's declaration.

use std::collections::{BTreeMap, BTreeSet};

/// The position of a declaration: those of the enclosing modules, then its own; compared
/// lexicographically.
pub(super) type Order = Vec<usize>;

/// Identifies a module of a builder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ModuleId(usize);

#[derive(Debug)]
struct Module {
    name: String,
    /// Its qualified name and a dot.
    prefix: String,
    order: Order,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Names {
    modules: Vec<Module>,
    /// The modules that are entered, the innermost last.
    entered: Vec<ModuleId>,
    /// Qualified names that must not be generated.
    reserved: BTreeSet<String>,
    /// For each kind, by its qualified name, the number in the last generated name.
    numbers: BTreeMap<String, usize>,
    /// The number of declarations.
    declared: usize,
}

impl Names {
    fn current(&self) -> Option<&Module> {
        self.entered.last().map(|module| &self.modules[module.0])
    }

    /// The qualified name of a name in the current module.
    pub fn full(&self, name: &str) -> String {
        format!("{}{name}", self.current().map_or("", |module| &module.prefix))
    }

    /// The position of the next declaration.
    pub fn next_order(&mut self) -> Order {
        self.declared += 1;
        let mut order = self.current().map_or(Order::new(), |module| module.order.clone());
        order.push(self.declared);
        order
    }

    /// Reserves a name in the current module, so that it is not generated.
    pub fn reserve(&mut self, name: &str) {
        let full = self.full(name);
        self.reserved.insert(full);
    }

    /// Generates a name from a kind: `linear1` for a `Linear`.
    pub fn generate(&mut self, kind: &str) -> String {
        let stem = kind.to_lowercase();
        let full = self.full(&stem);
        let mut number = self.numbers.get(&full).copied().unwrap_or(0) + 1;
        while self.reserved.contains(&format!("{full}{number}")) {
            number += 1;
        }
        self.numbers.insert(full, number);
        format!("{stem}{number}")
    }

    /// Declares a module; without a name, one is generated from its kind.
    pub fn module(&mut self, name: Option<&str>, kind: &str) -> ModuleId {
        let name = name.map_or_else(|| self.generate(kind), String::from);
        self.reserve(&name);
        let prefix = format!("{}.", self.full(&name));
        let order = self.next_order();
        self.modules.push(Module { name, prefix, order });
        ModuleId(self.modules.len() - 1)
    }

    /// The unqualified name of a module; empty if there is no such module.
    pub fn name_of(&self, module: ModuleId) -> &str {
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
    fn generated_names_are_numbered_per_module() {
        let mut names = Names::default();
        names.reserve("block1");
        let first = names.module(None, "Block");
        assert_eq!(names.name_of(first), "block2");
        names.enter(first);
        let inner = names.module(Some("inner"), "Block");
        assert_eq!(
            (names.generate("Linear"), names.full("fc")),
            ("linear1".into(), "block2.fc".into())
        );
        names.enter(inner);
        assert_eq!(
            (names.generate("Linear"), names.full("w")),
            ("linear1".into(), "block2.inner.w".into())
        );
        names.leave();
        assert_eq!(names.generate("Linear"), "linear2");
        names.leave();
        assert_eq!((names.generate("Linear"), names.full("fc")), ("linear1".into(), "fc".into()));
    }

    #[test]
    fn declarations_in_a_module_are_ordered_at_the_module() {
        let mut names = Names::default();
        let module = names.module(Some("first"), "Block");
        let after = names.next_order();
        names.enter(module);
        let (a, b) = (names.next_order(), names.next_order());
        assert!(a < b && b < after);
    }
}
