//! Decides whether a node or a group fits a kernel.
//!
//! Every growth of a group, by a node, by a merge or by a change of its space, requires a
//! [`Fit`], and only the checks here return one. The kernel builder reads the levels in it.

use super::{Group, Grouping, Level, Size, Space};
use crate::faults::{self, Fault};
use crate::fuse::views::{Relation, base};
use crate::graph::NodeId;
use crate::ops::{Leaf, Lowering};

/// Proof that a group can take nodes, with their levels and stages.
pub(super) struct Fit {
    members: Vec<(NodeId, Member)>,
    /// The size of the group with them.
    size: Size,
}

/// A node's level and stage in its group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    pub level: Level,
    /// The reductions along rows on the longest path to it, itself included.
    pub stage: usize,
}

impl Fit {
    /// The size of the group with one more node.
    pub fn with(&self, node: &Size) -> Size {
        self.size.with(node)
    }
}

impl Group {
    /// Adds nodes that fit.
    pub(super) fn add(&mut self, fit: Fit) {
        self.members.extend(fit.members);
        self.size = fit.size;
    }
}

impl Grouping<'_> {
    /// The level on which a space's kernel can compute a node, next to nodes that
    /// are `inside`; `None` if it cannot.
    pub(super) fn fitting_level(
        &self,
        space: &Space,
        id: NodeId,
        inside: impl Fn(NodeId) -> bool,
    ) -> Option<Level> {
        let level = match (self.g.op(id).lower(), space) {
            (Lowering::Elementwise(_) | Lowering::Gather, _) => self.level(space, id)?,
            (Lowering::Reduction(..), Space::Rows(_) | Space::Columns(..)) => {
                (Space::of_reduction(self.g, id) == *space).then_some(Level::Outer)?
            }
            // The column sums that are fused with a product.
            (Lowering::Reduction(..), Space::Product(_)) => {
                let value = self.g.operands(id)[0];
                let mut users = self.uses[base(self.g, value).index()].iter().map(|u| u.user);
                let is_fused = users.any(|by| inside(by) && self.sums_over_batch(by, value));
                is_fused.then(|| self.level(space, id)).flatten()?
            }
            (Lowering::Contraction(_), Space::Product(_)) => self.level(space, id)?,
            (Lowering::Scatter, Space::Scatter(..)) => Level::Full,
            (Lowering::AllFinite(_), Space::AllFinite) => Level::Full,
            _ => return None,
        };
        let handed_on =
            self.g.operands(id).iter().all(|operand| {
                !inside(base(self.g, *operand)) || self.hands_over(space, id, *operand)
            });
        let in_place = self.overwrites_in_place(id, space, |by| by == id || inside(by));
        (handed_on && in_place).then_some(level)
    }

    /// Whether a kernel can hand a value in registers to another of its nodes
    /// through an operand.
    pub(super) fn hands_over(&self, space: &Space, user: NodeId, through: NodeId) -> bool {
        let value = base(self.g, through);
        let (by, of) = (self.g.op(user).lower(), self.g.op(value).lower());
        let relation = self.relation(through);
        let (from, to) = (self.level(space, value), self.level(space, user));
        match (by, of, space) {
            // Tables are accessed at other elements than those that a kernel computes, factors
            // as a whole; the guard has a kernel of its own.
            (Lowering::Gather | Lowering::Contraction(_) | Lowering::AllFinite(_), ..)
            | (_, Lowering::Scatter | Lowering::AllFinite(_), _) => false,
            (Lowering::Scatter, ..) => {
                let values = self.g.operands(user)[0] == through;
                values && relation == Relation::Same && from == Some(Level::Full)
            }
            (Lowering::Reduction(..), _, Space::Product(_)) => false,
            (Lowering::Reduction(..), ..) => {
                relation == Relation::Same && from == Some(Level::Full)
            }
            (_, _, Space::Rows(_)) if relation == Relation::Row => {
                from == Some(Level::Outer) && to == Some(Level::Full)
            }
            _ => relation == Relation::Same && from.is_some() && from == to,
        }
    }

    /// Whether all nodes of its group that read the parameter that `id` overwrites
    /// read each element at the index at which it is overwritten.
    fn overwrites_in_place(
        &self,
        id: NodeId,
        space: &Space,
        inside: impl Fn(NodeId) -> bool,
    ) -> bool {
        self.readers(id).iter().all(|u| {
            faults::is(Fault::OverwrittenInPlace)
                || !inside(u.user)
                || (self.is_elementwise(u.user)
                    && self.relation(u.operand) == Relation::Same
                    && self.level(space, u.user) == self.level(space, id))
        })
    }

    /// Whether a node fits a group, or a new one, in this space: its operands
    /// and other predecessors are computed before the group runs, or are
    /// passed on inside, and the kernel is not too large.
    pub(super) fn fit(&self, id: NodeId, group: usize, space: &Space) -> Option<Fit> {
        let current = self.groups.get(group).and_then(Option::as_ref);
        let inside = |node: NodeId| self.group_of[node.index()] == Some(group);
        let ready = |x: NodeId| {
            inside(x) || self.group_of[x.index()].is_some_and(|h| !self.order.is_before(group, h))
        };
        let level = self.fitting_level(space, id, inside)?;
        let stage =
            self.stage(id, |x| current.and_then(|current| Some(current.members.get(&x)?.stage)));
        let size = current.map_or_else(Size::default, |current| current.size);
        let size = size.with(&self.sizes[id.index()]).with_stages(stage);
        // There is no limit for a single node.
        let fits = current.is_none()
            || (!size.is_too_large(space) && self.before(id).into_iter().all(ready));
        fits.then(|| Fit { members: vec![(id, Member { level, stage })], size })
    }

    /// Whether all of a group fits another one, in the space of the latter: no third group
    /// has to run between them.
    pub(super) fn fit_groups(&self, from: usize, into: usize) -> Option<Fit> {
        let (a, b) = (self.group(from), self.group(into));
        let size = a.size.with(&b.size);
        if size.is_too_large(&b.space)
            || self.order.has_between(from, into)
            || self.order.has_between(into, from)
        {
            return None;
        }
        let of = |node: NodeId, group| self.group_of[node.index()] == Some(group);
        let inside = |node: NodeId| of(node, from) || of(node, into);
        // Of the target group, only nodes that use values of the other, or overwrite parameters
        // that it reads, are checked again: groups grow by many
        // small merges.
        let users = a.nodes.iter().flat_map(|n| &self.uses[n.index()]).map(|u| u.user);
        let users: Vec<NodeId> = users.filter(|by| of(*by, into)).collect();
        let writers = a.nodes.iter().flat_map(|n| self.overwriters(*n));
        let mut affected = writers.chain(users.iter().copied()).filter(|n| of(*n, into));
        if !affected.all(|n| self.fitting_level(&b.space, n, inside).is_some()) {
            return None;
        }
        match users.is_empty() || size.stages == 0 {
            true => {
                let known = |x: NodeId| Some(b.members.get(&x)?.stage);
                self.fit_all(&b.space, a.nodes.iter(), size, known, inside)
            }
            // Users may move to a later stage.
            false => {
                let all = a.nodes.iter().chain(&b.nodes);
                self.fit_all(&b.space, all, size, |_| None, inside)
            }
        }
    }

    /// The nodes that overwrite the parameters that a node reads.
    fn overwriters(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        let leaves = self.g.operands(id).iter().map(|x| base(self.g, *x));
        leaves.filter_map(|leaf| match self.g.op(leaf).leaf() {
            Some(Leaf::Parameter(p)) => self.writers.get(&p.index).copied(),
            _ => None,
        })
    }

    /// Whether a group's nodes and one more fit another space.
    pub(super) fn fit_changed(&self, group: usize, space: &Space, id: NodeId) -> Option<Fit> {
        let current = self.group(group);
        let inside = |node: NodeId| self.group_of[node.index()] == Some(group);
        let ready = |x: NodeId| {
            inside(x) || self.group_of[x.index()].is_some_and(|h| !self.order.is_before(group, h))
        };
        let size = current.size.with(&self.sizes[id.index()]);
        if !self.before(id).into_iter().all(ready) {
            return None;
        }
        self.fit_all(space, current.nodes.iter().chain([&id]), size, |_| None, inside)
    }

    /// Whether all nodes fit a space; `known` returns the stages of other nodes of the group.
    fn fit_all<'a>(
        &self,
        space: &Space,
        nodes: impl Iterator<Item = &'a NodeId>,
        size: Size,
        known: impl Fn(NodeId) -> Option<usize>,
        inside: impl Fn(NodeId) -> bool,
    ) -> Option<Fit> {
        // In the order of numbers, operands come first.
        let mut nodes: Vec<NodeId> = nodes.copied().collect();
        nodes.sort_unstable();
        let mut fit = Fit { members: Vec::new(), size };
        for id in nodes {
            let level = self.fitting_level(space, id, &inside)?;
            let stage = self.stage(id, |x| {
                let found = fit.members.binary_search_by_key(&x, |(node, _)| *node);
                found.ok().map(|index| fit.members[index].1.stage).or_else(|| known(x))
            });
            fit.size = fit.size.with_stages(stage);
            fit.members.push((id, Member { level, stage }));
        }
        (!fit.size.is_too_large(space)).then_some(fit)
    }

    /// The number of reductions on the longest path to a node; `known` returns
    /// it for the nodes of its group.
    fn stage(&self, id: NodeId, known: impl Fn(NodeId) -> Option<usize>) -> usize {
        let operands = self.g.operands(id).iter();
        let before = operands.filter_map(|x| known(base(self.g, *x))).max().unwrap_or(0);
        before + usize::from(matches!(self.g.op(id).lower(), Lowering::Reduction(..)))
    }
}
