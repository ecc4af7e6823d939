//! The rules that every graph keeps; run after every pass in tests and debug
//! builds.

use super::{Graph, Root};
use crate::ops::Op;
use crate::shape::{Dim, Shape};

impl Graph {
    /// Checks what the [module](super) guarantees, and that a compiled graph
    /// has no symbolic sizes, that the loss and metrics are single numbers and
    /// that gradients and what is
    /// assigned fit their parameter or input. Says which node breaks what.
    pub fn verify(&self) -> Result<(), String> {
        for id in self.ids() {
            let node = self.node(id);
            let fail =
                |what: String| Err(format!("node {} ({}): {what}", id.index(), self.label(id)));
            let operands = self.operands(id);
            if let Some(late) = operands.iter().find(|x| **x >= id) {
                return fail(format!("operand {} comes after it", late.index()));
            }
            if node.ty.shape.dims.iter().any(|d| matches!(d, Dim::Symbol(_))) {
                return fail(format!("has symbolic size {}", node.ty.shape));
            }
            if node.ty.shape.dims.contains(&Dim::Fixed(0)) {
                return fail(format!("has an axis of size 0: {}", node.ty.shape));
            }
            match self.infer(&node.op, &operands) {
                Ok(ty) if ty == node.ty => {}
                Ok(ty) => return fail(format!("is {}, but its operation gives {ty}", node.ty)),
                Err(mistake) => return fail(mistake.message),
            }
            if self.known.get(&(node.op.clone(), operands)) != Some(&id) {
                return fail("is there twice".into());
            }
        }
        for (i, (root, id)) in self.roots.iter().enumerate() {
            if id.index() >= self.len() {
                return Err(format!("{root:?} is a node of another graph"));
            }
            if self.roots[..i].iter().any(|(other, _)| other == root) {
                return Err(format!("{root:?} is there twice"));
            }
            let shape = self.shape(*id);
            let is_number = matches!(
                root,
                Root::Loss | Root::Metric(_) | Root::Sum(..) | Root::Weight(..) | Root::Guard
            );
            if is_number && *shape != Shape::scalar() {
                return Err(format!("{root:?} is not a single number but {shape}"));
            }
            let wrong = self.ids().any(|leaf| match (root, self.op(leaf)) {
                (Root::Assign(i) | Root::Gradient(i), Op::Parameter(op)) => {
                    op.index == *i && op.shape != *shape
                }
                (Root::InputGradient(i), Op::Input(op)) => op.index == *i && op.ty.shape != *shape,
                _ => false,
            });
            if wrong {
                return Err(format!("{root:?} does not have the shape of its leaf: {shape}"));
            }
        }
        Ok(())
    }
}
