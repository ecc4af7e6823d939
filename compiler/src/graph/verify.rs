//! The verifier of graphs, which runs after every pass in tests and debug
//! builds.

use super::{Computation, Graph, NodeId, Root};
use crate::error::Violations;
use crate::ops::Leaf;
use crate::shape::{Dim, Shape};

impl Graph {
    /// Checks the guarantees of the [module](super), and that a compiled graph
    /// has no symbolic sizes, that the loss and metrics are single numbers, and
    /// that gradients and assigned values have the shape of their parameter or input.
    ///
    /// # Errors
    /// The nodes and roots that break a rule.
    pub fn verify(&self) -> Result<(), Violations> {
        let mut found = Violations::default();
        for id in self.ids() {
            let node = self.node(id);
            let mut fail = |message: String| found.push(Computation(self, id), message);
            let operands = self.operands(id);
            for late in operands.iter().filter(|x| **x >= id) {
                fail(format!("its operand %{} comes after it", late.index()));
            }
            if node.ty.shape.dims.iter().any(|d| matches!(d, Dim::Symbol(_))) {
                fail(format!("has symbolic size {}", node.ty.shape));
            }
            if node.ty.shape.dims.contains(&Dim::Fixed(0)) {
                fail(format!("has an axis of size 0: {}", node.ty.shape));
            }
            match self.infer(&node.op, operands) {
                Ok(ty) if ty == node.ty => {}
                Ok(ty) => fail(format!("is {:?}, but its operation gives {ty:?}", node.ty)),
                Err(mistake) => fail(mistake.message),
            }
            match self.known.get(&(node.op.clone(), operands.into())) {
                Some(known) if *known == id => {}
                Some(known) => fail(format!("is a duplicate of %{}", known.index())),
                None => fail("is missing in the table of known computations".into()),
            }
        }
        self.verify_roots(&mut found);
        found.into_result()
    }

    fn verify_roots(&self, found: &mut Violations) {
        let leaf = |id: NodeId| Some((id, self.op(id).leaf()?));
        let leaves: Vec<(NodeId, Leaf<'_>)> = self.ids().filter_map(leaf).collect();
        for (i, (root, id)) in self.roots.iter().enumerate() {
            let mut fail =
                |message: String| found.push(format!("{root} = %{}", id.index()), message);
            if self.roots[..i].iter().any(|(other, _)| other == root) {
                fail("is a duplicate".into());
            }
            if id.index() >= self.len() {
                fail("is a node of another graph".into());
                continue;
            }
            let shape = self.shape(*id);
            let is_number = matches!(
                root,
                Root::Loss | Root::Metric(_) | Root::Sum(..) | Root::Weight(..) | Root::Guard
            );
            if is_number && *shape != Shape::scalar() {
                fail(format!("is not a single number but {shape:?}"));
            }
            let wrong = leaves.iter().find(|(_, leaf)| match (root, leaf) {
                (Root::Assign(i) | Root::Gradient(i), Leaf::Parameter(op)) => {
                    op.index == *i && op.shape != *shape
                }
                (Root::InputGradient(i), Leaf::Input(op)) => {
                    op.index == *i && op.ty.shape != *shape
                }
                _ => false,
            });
            if let Some((leaf, _)) = wrong {
                let expected = self.shape(*leaf);
                let leaf = leaf.index();
                fail(format!("is {shape:?}, not the shape of its leaf %{leaf}, {expected:?}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::NodeId;
    use crate::shape::Type;

    #[test]
    fn all_violations_are_reported() {
        let text = "graph for batches of 2
%0 = input(0) : f32 batch×[4]
%1 = relu(%0) : f32 batch×[4]
%2 = exp(%1) : f32 batch×[4]
%3 = parameter(7) : f32 [3]
%4 = exp(%0) : f32 batch×[4]
loss = %2
gradient of parameter 7 = %2
output y = %2
output y = %3
";
        let mut g: Graph = text.parse().unwrap();
        g.nodes[NodeId::new(1)].ty = Type::real(Shape::batched([0usize]));
        // Equal to another node after the change of its operand.
        g.nodes[NodeId::new(4)].operands = [NodeId::new(1)].into();
        let expected = [
            "%1 = relu(%0): has an axis of size 0: [0]",
            "%1 = relu(%0): is f32 batch×[0], but its operation gives f32 batch×[4]",
            "%2 = exp(%1): is f32 batch×[4], but its operation gives f32 batch×[0]",
            "%4 = exp(%1): is f32 batch×[4], but its operation gives f32 batch×[0]",
            "%4 = exp(%1): is a duplicate of %2",
            "loss = %2: is not a single number but batch×[4]",
            "gradient of parameter 7 = %2: is batch×[4], not the shape of its leaf %3, [3]",
            "output y = %3: is a duplicate",
        ];
        assert_eq!(g.verify().unwrap_err().to_string(), expected.join("\n"));
    }
}
