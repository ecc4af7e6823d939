//! The verifier of groups.
//!
//! The rules of the groups of a graph, before kernels are built from them:
//!
//! 1. Every computed node is in one group, after its operands.
//! 2. A node has its level in its group's space, and is of a kind that the
//!    space's kernel computes. A product, a scatter and the guard have a space of
//!    their own, and no other node creates groups with such a space.
//! 3. A node gets operands of its own group in registers: the same
//!    element, or the row's. Factors, tables and indices are loaded from memory.
//! 4. Values of every element of a space of columns or of a scatter are not used
//!    outside of their group: their kernels store only reduced values.
//! 5. A node that overwrites a parameter comes after all nodes that read it; those in the same
//!    group read each element at the index at which it is overwritten.
//! 6. A group comes after the groups that it depends on.
//! 7. A kernel of several nodes is not too large.

use rustc_hash::FxHashMap;

use super::{Group, Grouping, Level, Size};
use crate::error::Violations;
use crate::graph::{Computation, Graph, NodeId};
use crate::kernel::SpaceKind;

/// Checks the rules of the [module](self).
///
/// # Errors
/// The nodes and groups that break a rule.
pub(in crate::fuse) fn verify(g: &Graph, groups: &[Group]) -> Result<(), Violations> {
    let mut found = Violations::default();
    let mut grouping = Grouping::new(g);
    // For each node, its group, and its index there.
    let mut indices: FxHashMap<NodeId, (usize, usize)> = FxHashMap::default();
    for (i, group) in groups.iter().enumerate() {
        for (index, node) in group.nodes.iter().enumerate() {
            grouping.group_of[node.index()] = Some(i);
            if indices.insert(*node, (i, index)).is_some() {
                found.push(Computation(g, *node), "is in two groups");
            }
        }
    }
    for id in g.ids() {
        match (grouping.computed[id.index()], indices.contains_key(&id)) {
            (true, false) => found.push(Computation(g, id), "is in no group"),
            (false, true) => found.push(Computation(g, id), "is in a group, but not computed"),
            _ => {}
        }
    }
    let mut check = Check { grouping, indices, found };
    for (i, group) in groups.iter().enumerate() {
        check.group(i, group);
    }
    check.found.into_result()
}

struct Check<'g> {
    grouping: Grouping<'g>,
    indices: FxHashMap<NodeId, (usize, usize)>,
    found: Violations,
}

impl Check<'_> {
    fn group(&mut self, number: usize, group: &Group) {
        let grouping = &self.grouping;
        let mut own_spaces = 0;
        let mut size = Size::default();
        for node in &group.nodes {
            let mut fail = |message: String| {
                let at = Computation(grouping.g, *node);
                self.found.push(format!("{at}, of group {number}: {:?}", group.space), message);
            };
            let inside = |x: NodeId| grouping.group_of[x.index()] == Some(number);
            let level = grouping.fitting_level(&group.space, *node, inside);
            if level.is_none() || level != group.level(*node) {
                fail("does not fit its group".into());
            }
            let own_space = grouping.g.op(*node).lower().own_space();
            own_spaces += usize::from(own_space.is_some());
            for before in grouping.before(*node) {
                // A node that is in no group has been reported.
                let index = self.indices.get(&before);
                if index.is_some_and(|index| *index >= self.indices[node]) {
                    fail(format!("comes before %{}", before.index()));
                }
            }
            let kind = group.space.kind();
            let inner = matches!(kind, SpaceKind::Columns | SpaceKind::Scatter);
            if inner && level == Some(Level::Full) && own_space != Some(kind) {
                let escapes = grouping.uses[node.index()].iter().any(|u| !inside(u.user));
                if escapes || grouping.is_root[node.index()] {
                    fail("is needed outside of its group".into());
                }
            }
            size = size.with(&grouping.sizes[node.index()]);
        }
        let mut fail = |message: String| {
            self.found.push(format!("group {number}: {:?}", group.space), message);
        };
        let kind = group.space.kind();
        let expected = !matches!(kind, SpaceKind::Rows | SpaceKind::Columns);
        if own_spaces != usize::from(expected) {
            fail(format!("there are {own_spaces} nodes with a space of their own"));
        }
        if group.nodes.len() > 1 && size.with_stages(group.size.stages).is_too_large(&group.space) {
            fail(format!("{} nodes are too large a kernel", group.nodes.len()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Space, group};
    use super::*;
    use crate::expr::scalar::Reduction;
    use crate::graph::Root;
    use crate::ops::contract::Contract;
    use crate::ops::input::Input;
    use crate::ops::reduce::Axis;
    use crate::shape::{Shape, Type};

    fn input(g: &mut Graph, index: usize, shape: Shape) -> NodeId {
        g.apply(Input { index, ty: Type::real(shape) }, &[])
    }

    /// A graph with a product and an activation, and one that adds up examples.
    fn graph() -> Graph {
        let mut g = Graph::new(3);
        let x = input(&mut g, 0, Shape::batched([4]));
        let w = input(&mut g, 1, Shape::unbatched([4, 5]));
        let product = Contract { shared: vec![], contracted: vec![(0, 0)], over_batch: false };
        let y = g.apply(product, &[x, w]);
        let y = g.sigmoid(y);
        g.add_root(Root::Output("y".into()), y);
        let squares = g.square(x);
        let sum = g.reduce(Reduction::Sum, Axis::Batch, squares);
        g.add_root(Root::Output("sum".into()), sum);
        g
    }

    #[test]
    fn violations_are_rejected() {
        let g = graph();
        let groups = group(&g);
        assert_eq!(verify(&g, &groups), Ok(()));
        assert_eq!(groups.len(), 2);
        let of = |kind: fn(&Space) -> bool| groups.iter().position(|x| kind(&x.space)).unwrap();
        let product = of(|space| matches!(space, Space::Product(_)));
        let columns = of(|space| matches!(space, Space::Columns(..)));
        let assert_rejected = |expected: &str, change: &dyn Fn(&mut Vec<Group>)| {
            let mut changed = groups.clone();
            change(&mut changed);
            let message = verify(&g, &changed).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        };
        assert_rejected("is in no group", &|groups| {
            groups[product].nodes.pop();
        });
        assert_rejected("two groups", &|groups| {
            let node = groups[product].nodes[1];
            groups[columns].nodes.push(node);
        });
        assert_rejected("comes before", &|groups| groups[product].nodes.reverse());
        assert_rejected("does not fit", &|groups| groups[product].space = Space::Rows(vec![3, 5]));
        assert_rejected("does not fit", &|groups| groups[product].members.clear());
        assert_rejected("there are 0 nodes", &|groups| {
            let mut separate = Group::new(Space::Product(vec![3, 5]));
            separate.nodes.push(groups[product].nodes.pop().unwrap());
            let activation = separate.nodes[0];
            separate.members.insert(activation, groups[product].members[&activation]);
            groups.push(separate);
        });
        assert_rejected("needed outside", &|groups| {
            let sum = groups[columns].nodes.pop().unwrap();
            let mut separate = Group::new(groups[columns].space.clone());
            separate.nodes.push(sum);
            separate.members.insert(sum, groups[columns].members[&sum]);
            groups.push(separate);
        });
    }

    #[test]
    fn all_violations_are_reported() {
        let g = graph();
        let mut groups = group(&g);
        let product = groups.iter().position(|x| matches!(x.space, Space::Product(_))).unwrap();
        let columns = 1 - product;
        groups[product].space = Space::Rows(vec![3, 5]);
        groups[columns].nodes.remove(0);
        let expected = [
            "%4 = square(%0): is in no group",
            "%2 = contract(%0, %1, contracted = [(0, 0)]), of group 0: Rows([3, 5]): does not fit its group",
            "group 0: Rows([3, 5]): there are 1 nodes with a space of their own",
        ];
        assert_eq!((product, columns), (0, 1));
        assert_eq!(verify(&g, &groups).unwrap_err().to_string(), expected.join("\n"));
    }

    /// Groups stay below the size limit, and a larger one is rejected.
    #[test]
    fn kernels_have_a_size_limit() {
        let mut g = Graph::new(3);
        let mut x = input(&mut g, 0, Shape::batched([20]));
        for _ in 0..2_000 {
            x = g.sigmoid(x);
        }
        g.add_root(Root::Output("x".into()), x);
        let groups = group(&g);
        assert_eq!(verify(&g, &groups), Ok(()));
        assert!((4..20).contains(&groups.len()), "{}", groups.len());
        let mut all = groups[0].clone();
        for other in &groups[1..] {
            all.nodes.extend(&other.nodes);
            all.members.extend(other.members.iter().map(|(node, member)| (*node, *member)));
        }
        let message = verify(&g, &[all]).unwrap_err().to_string();
        assert!(message.contains("too large"), "{message}");
    }
}
