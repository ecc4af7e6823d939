//! The verifier of graphs, which runs after every pass in tests and debug
//! builds.

use super::{Computation, Graph, NodeId, Root};
use crate::error::Violations;
use crate::ops::Leaf;
use crate::shape::{DType, Dim, Shape};

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
            if let DType::Index { below: Dim::Fixed(below) } = node.ty.dtype
                && !(1..=1 << 32).contains(&(below as u64))
            {
                fail(format!("holds integers below {below}, and not below 1 to 2³²"));
            }
            if matches!(node.op.leaf(), Some(Leaf::Parameter(_))) && node.ty.shape.batched {
                fail("is a parameter, and has one for each example".into());
            }
            match self.infer(&node.op, operands) {
                Ok(ty) if ty == node.ty => {
                    let differs = |x: &&NodeId| *self.shape(**x) != ty.shape;
                    if let Some(x) =
                        operands.iter().filter(|_| node.op.is_pointwise()).find(differs)
                    {
                        let (x, shape) = (x.index(), self.shape(*x));
                        fail(format!("is {:?}, but its operand %{x} is {shape:?}", ty.shape));
                    }
                }
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
            if !self.ty(*id).is_real() {
                fail("holds integers".into());
            }
            let is_number = matches!(
                root,
                Root::Loss | Root::Metric(_) | Root::Sum(..) | Root::Weight(..) | Root::Guard
            );
            if is_number && *shape != Shape::scalar() {
                fail(format!("is not a single number but {shape:?}"));
            }
            if matches!(root, Root::Assign(_)) && shape.batched {
                fail("is the next value of a parameter, and has one for each example".into());
            }
            if *root == Root::Guard {
                if self.roots.iter().any(|(other, node)| other != root && node == id) {
                    fail("is another root too, and all others are before it".into());
                }
                if let Some(user) = self.ids().find(|user| self.operands(*user).contains(id)) {
                    fail(format!("is an operand of %{}", user.index()));
                }
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

    #[test]
    fn graphs_of_which_no_code_can_be_made_are_refused() {
        let text = "graph for batches of 2
%0 = input(0) : f32 batch×[3]
%1 = input(1) : f32 [3]
%2 = input(2) : u32 below 0 batch×[3]
%3 = input(3) : u32 below 4294967297 batch×[3]
%4 = parameter(0) : f32 batch×[3]
%5 = mul(%0, %1)
%6 = random(%2, %2, %2, %3, stream = 1)
%7 = input(4) : u32 below 5 batch×[2]
%8 = random(%7, %3, %3, %3, stream = 1)
output y = %3
";
        let g: Graph = text.parse().unwrap();
        let expected = [
            "%2 = input(2): holds integers below 0, and not below 1 to 2³²",
            "%3 = input(3): holds integers below 4294967297, and not below 1 to 2³²",
            "%4 = parameter(0): is a parameter, and has one for each example",
            "%5 = mul(%0, %1): is batch×[3], but its operand %1 is [3]",
            "%8 = random(%7, %3, %3, %3, stream = 1): is batch×[2], but its operand %3 is batch×[3]",
            "output y = %3: holds integers",
        ];
        assert_eq!(g.verify().unwrap_err().to_string(), expected.join("\n"));
    }

    #[test]
    fn operations_on_what_they_cannot_take_are_no_nodes() {
        for (node, message) in [
            ("reduce(%0, sum, axis = 0)", "`reduce` takes reals"),
            ("binary_cross_entropy_with_logits(%1, %1, pos_weight = [])", "`pos_weight`"),
        ] {
            let leaves = "%0 = input(0) : u32 below 3 batch×[3]\n%1 = input(1) : f32 batch×[3]\n";
            let text = format!("graph for batches of 2\n{leaves}%2 = {node}\noutput y = %2\n");
            let error = text.parse::<Graph>().unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
