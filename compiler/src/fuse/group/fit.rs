//! Whether a node or a group fits a kernel: the one place that says so.
//!
//! However a group grows, by a node that joins, by another group that becomes a
//! part of it or by another space, it takes a [`Fit`], and only what is asked
//! here gets one. The emitter reads the levels that came with it.

use super::{Group, Grouping, Level, Size, Space};
use crate::fuse::views::{Relation, base};
use crate::graph::NodeId;
use crate::ops::{Leaf, Lowering};

/// Nodes that a group can take, with what it will know of them.
pub(super) struct Fit {
    members: Vec<(NodeId, Member)>,
    /// Of the whole group then.
    size: Size,
}

/// What a group knows of a node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    pub level: Level,
    /// How many reductions along rows come one after the other up to it.
    pub stage: usize,
}

impl Fit {
    /// What the whole group is then, with one more node.
    pub fn with(&self, node: &Size) -> Size {
        self.size.with(node)
    }
}

impl Group {
    /// Makes room for nodes that fit.
    pub(super) fn add(&mut self, fit: Fit) {
        self.members.extend(fit.members);
        self.size = fit.size;
    }
}

impl Grouping<'_> {
    /// The level on which a space's kernel can compute a node, next to nodes that
    /// are `inside`; `None` where it cannot.
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
            // The one that rides along.
            (Lowering::Reduction(..), Space::Product(_)) => {
                let value = self.g.operands(id)[0];
                let mut users = self.uses[base(self.g, value).index()].iter().map(|u| u.user);
                let rides = users.any(|by| inside(by) && self.sums_over_batch(by, value));
                rides.then(|| self.level(space, id)).flatten()?
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
            // Tables are read and written elsewhere than where who computes them
            // or goes on with them is, and factors as a whole; the guard has a kernel
            // of its own.
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

    /// Whether all who read what `id` overwrites, as far as they are in its
    /// group, read each element where it is overwritten.
    fn overwrites_in_place(
        &self,
        id: NodeId,
        space: &Space,
        inside: impl Fn(NodeId) -> bool,
    ) -> bool {
        self.readers(id).iter().all(|u| {
            !inside(u.user)
                || (self.is_elementwise(u.user)
                    && self.relation(u.operand) == Relation::Same
                    && self.level(space, u.user) == self.level(space, id))
        })
    }

    /// A node as a part of a group, or of a new one, in this space: its operands
    /// and whatever must come before it are there before the group runs, or are
    /// handed on inside, and the kernel stays small enough.
    pub(super) fn fit(&self, id: NodeId, group: usize, space: &Space) -> Option<Fit> {
        let own = self.groups.get(group).and_then(Option::as_ref);
        let inside = |node: NodeId| self.group_of[node.index()] == Some(group);
        let ready = |x: NodeId| {
            inside(x) || self.group_of[x.index()].is_some_and(|h| !self.order.is_before(group, h))
        };
        let level = self.fitting_level(space, id, inside)?;
        let stage = self.stage(id, |x| own.and_then(|own| Some(own.members.get(&x)?.stage)));
        let size = own.map_or_else(Size::default, |own| own.size);
        let size = size.with(&self.sizes[id.index()]).with_stages(stage);
        // By itself, a node is as large as it is.
        let fits =
            own.is_none() || (!size.is_too_large(space) && self.before(id).into_iter().all(ready));
        fits.then(|| Fit { members: vec![(id, Member { level, stage })], size })
    }

    /// All of a group as a part of another one, in the space of the latter: no third
    /// would have to run between them.
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
        // Of the group that is there already, only who needs something of the
        // other, or overwrites what that reads, is asked again: groups grow by many
        // small ones.
        let users = a.nodes.iter().flat_map(|n| &self.uses[n.index()]).map(|u| u.user);
        let users: Vec<NodeId> = users.filter(|by| of(*by, into)).collect();
        let writers = a.nodes.iter().flat_map(|n| self.overwriters(*n));
        let mut asked = writers.chain(users.iter().copied()).filter(|n| of(*n, into));
        if !asked.all(|n| self.fitting_level(&b.space, n, inside).is_some()) {
            return None;
        }
        match users.is_empty() || size.stages == 0 {
            true => {
                let known = |x: NodeId| Some(b.members.get(&x)?.stage);
                self.fit_all(&b.space, a.nodes.iter(), size, known, inside)
            }
            // Whose values are reduced may have come to a later stage.
            false => {
                let all = a.nodes.iter().chain(&b.nodes);
                self.fit_all(&b.space, all, size, |_| None, inside)
            }
        }
    }

    /// Who overwrites the parameters that a node reads.
    fn overwriters(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        let leaves = self.g.operands(id).iter().map(|x| base(self.g, *x));
        leaves.filter_map(|leaf| match self.g.op(leaf).leaf() {
            Some(Leaf::Parameter(p)) => self.writers.get(&p.index).copied(),
            _ => None,
        })
    }

    /// A group's nodes and one more in another space.
    pub(super) fn fit_changed(&self, group: usize, space: &Space, id: NodeId) -> Option<Fit> {
        let own = self.group(group);
        let inside = |node: NodeId| self.group_of[node.index()] == Some(group);
        let ready = |x: NodeId| {
            inside(x) || self.group_of[x.index()].is_some_and(|h| !self.order.is_before(group, h))
        };
        let size = own.size.with(&self.sizes[id.index()]);
        if !self.before(id).into_iter().all(ready) {
            return None;
        }
        self.fit_all(space, own.nodes.iter().chain([&id]), size, |_| None, inside)
    }

    /// Nodes that all fit a space, beside those of which `known` says the stage.
    fn fit_all<'a>(
        &self,
        space: &Space,
        nodes: impl Iterator<Item = &'a NodeId>,
        size: Size,
        known: impl Fn(NodeId) -> Option<usize>,
        inside: impl Fn(NodeId) -> bool,
    ) -> Option<Fit> {
        // By number, operands come first.
        let mut nodes: Vec<NodeId> = nodes.copied().collect();
        nodes.sort_unstable();
        let mut fit = Fit { members: Vec::new(), size };
        for id in nodes {
            let level = self.fitting_level(space, id, &inside)?;
            let stage = self.stage(id, |x| {
                let found = fit.members.binary_search_by_key(&x, |(node, _)| *node);
                found.ok().map(|place| fit.members[place].1.stage).or_else(|| known(x))
            });
            fit.size = fit.size.with_stages(stage);
            fit.members.push((id, Member { level, stage }));
        }
        (!fit.size.is_too_large(space)).then_some(fit)
    }

    /// How many reductions come one after the other up to a node, where `known`
    /// says it for those of its group.
    fn stage(&self, id: NodeId, known: impl Fn(NodeId) -> Option<usize>) -> usize {
        let operands = self.g.operands(id).iter();
        let before = operands.filter_map(|x| known(base(self.g, *x))).max().unwrap_or(0);
        before + usize::from(matches!(self.g.op(id).lower(), Lowering::Reduction(..)))
    }
}
