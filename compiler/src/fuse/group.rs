//! Which nodes are computed together.
//!
//! Nodes are visited operands first (and readers of a parameter before what
//! overwrites it, and the guard before all that overwrites). A node joins the group of an operand where the two agree on
//! the place of every element and no other group would have to run in between;
//! otherwise it starts a group. What is kept in memory anyway, because a
//! product or another shape needs it there, is read back rather than followed:
//! so an activation's derivative is computed where it is used, not stored.

mod merge;
mod space;

use rustc_hash::{FxHashMap, FxHashSet};

use super::arrange::is_computed;
use super::order::Order;
use super::views::{Relation, base, real_sizes, relation};
use crate::graph::{Graph, NodeId, Root};
use crate::kernel::expr::{Expr, Expressions, Term};
use crate::kernel::scalar::Kind;
use crate::ops::{Lowering, Op};

pub(super) use space::{Level, Space};

/// Rows from which on a kernel of their own pays, and steps of a formula.
const MANY_ROWS: usize = 16;
const MANY_STEPS: usize = 16;

/// Nodes that become one kernel.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub space: Space,
    /// In an order that respects dependencies.
    pub nodes: Vec<NodeId>,
    /// Whether all of them are elementwise or gathered, in a space of rows.
    is_map: bool,
}

/// The groups in the order in which they can run.
pub(super) fn group(g: &Graph) -> Vec<Group> {
    let mut grouping = Grouping::new(g);
    for id in grouping.visiting_order() {
        grouping.place(id);
    }
    grouping.absorb_maps();
    grouping.absorb_column_sums();
    grouping.in_order()
}

/// One use of a value by a computed node.
#[derive(Clone, Copy, Debug)]
struct Use {
    by: NodeId,
    /// The operand, of which the value is the base.
    through: NodeId,
}

struct Grouping<'g> {
    g: &'g Graph,
    computed: Vec<bool>,
    /// For each node, who uses its elements, directly or through views.
    uses: Vec<Vec<Use>>,
    /// For each node, whether it is a root.
    is_root: Vec<bool>,
    /// The parameter that a node's value overwrites.
    assigns: FxHashMap<NodeId, usize>,
    /// What must be known before any of these is overwritten.
    guard: Option<NodeId>,
    /// The leaf of each parameter.
    parameters: FxHashMap<usize, NodeId>,
    group_of: Vec<Option<usize>>,
    /// By number; none where it has become part of another.
    groups: Vec<Option<Group>>,
    /// Which must run before which.
    order: Order,
    relations: FxHashMap<NodeId, Relation>,
}

impl<'g> Grouping<'g> {
    fn new(g: &'g Graph) -> Grouping<'g> {
        let needed = g.needed();
        let computed: Vec<bool> =
            g.ids().map(|id| needed[id.index()] && is_computed(g, id)).collect();
        let mut uses = vec![Vec::new(); g.len()];
        let mut relations = FxHashMap::default();
        for by in g.ids().filter(|id| computed[id.index()]) {
            for through in g.operands(by) {
                uses[base(g, through).index()].push(Use { by, through });
                relations.entry(through).or_insert_with(|| relation(g, through));
            }
        }
        let mut is_root = vec![false; g.len()];
        let mut assigns = FxHashMap::default();
        for (root, id) in g.roots() {
            is_root[id.index()] = true;
            if let Root::Assign(parameter) = root {
                assigns.insert(*id, *parameter);
            }
        }
        let parameters = g
            .ids()
            .filter_map(|id| match g.op(id) {
                Op::Parameter(p) => Some((p.index, id)),
                _ => None,
            })
            .collect();
        let group_of = vec![None; g.len()];
        Grouping {
            g,
            computed,
            uses,
            is_root,
            assigns,
            guard: g.root(&Root::Guard),
            parameters,
            group_of,
            groups: Vec::new(),
            order: Order::default(),
            relations,
        }
    }

    /// Those who read the parameter that a node's value overwrites.
    fn readers(&self, id: NodeId) -> &[Use] {
        let leaf = self.assigns.get(&id).and_then(|p| self.parameters.get(p));
        leaf.map_or(&[], |leaf| &self.uses[leaf.index()])
    }

    /// Computed nodes, each after its operands, and after all who read what it
    /// overwrites and the guard.
    fn visiting_order(&self) -> Vec<NodeId> {
        let mut order = Vec::new();
        let mut placed = vec![false; self.g.len()];
        // Depth first, with an explicit stack: graphs may be deep.
        for id in self.g.ids().filter(|id| self.computed[id.index()]) {
            let mut stack = vec![(id, false)];
            while let Some((id, ready)) = stack.pop() {
                if placed[id.index()] {
                    continue;
                }
                if ready {
                    placed[id.index()] = true;
                    order.push(id);
                    continue;
                }
                stack.push((id, true));
                for x in self.before(id).into_iter().rev() {
                    if !placed[x.index()] {
                        stack.push((x, false));
                    }
                }
            }
        }
        order
    }

    /// Computed nodes that must be computed before a node.
    fn before(&self, id: NodeId) -> Vec<NodeId> {
        let operands = self.g.operands(id).into_iter().map(|x| base(self.g, x));
        let operands = operands.filter(|x| self.computed[x.index()]);
        let readers = self.readers(id).iter().map(|u| u.by).filter(|by| *by != id);
        let guard = self.guard.filter(|_| self.assigns.contains_key(&id));
        operands.chain(readers).chain(guard).collect()
    }

    fn relation(&self, operand: NodeId) -> Relation {
        self.relations[&operand]
    }

    fn group(&self, id: usize) -> &Group {
        self.groups[id].as_ref().expect("a group that nodes are in")
    }

    fn group_mut(&mut self, id: usize) -> &mut Group {
        self.groups[id].as_mut().expect("a group that nodes are in")
    }

    /// On which level of a space a node of these sizes works.
    fn level(&self, space: &Space, id: NodeId) -> Option<Level> {
        space.level(self.g, id)
    }

    /// Whether a group's own nodes can hand a value in registers to another
    /// node of the group through an operand.
    fn connects(&self, space: &Space, user: NodeId, through: NodeId) -> bool {
        let value = base(self.g, through);
        // Tables are read and written elsewhere than where who computes them or
        // goes on with them is.
        let reads = matches!(self.g.op(user).lower(), Lowering::Gather | Lowering::Scatter);
        if reads || matches!(self.g.op(value).lower(), Lowering::Scatter) {
            return false;
        }
        let (Some(from), Some(to)) = (self.level(space, value), self.level(space, user)) else {
            return false;
        };
        match (space, self.relation(through)) {
            (_, Relation::Same) => from == to,
            (Space::Rows(_), Relation::Row) => from == Level::Outer && to == Level::Full,
            _ => false,
        }
    }

    /// Whether a value is kept in memory whatever joins its group, because
    /// someone needs it who cannot join.
    fn is_kept(&self, id: NodeId) -> bool {
        let Some(group) = self.group_of[id.index()] else { return true };
        let space = &self.group(group).space;
        self.uses[id.index()].iter().any(|u| match self.g.op(u.by).lower() {
            Lowering::Contraction(_) => true,
            Lowering::Scatter => !self.is_scattered_alone(id, u.by),
            Lowering::Reduction(..) => match (space, Space::of_reduction(self.g, u.by)) {
                (Space::Rows(own), Space::Rows(sizes)) => *own != sizes,
                (Space::Rows(_), Space::Columns(..)) => !self.can_absorb(id, u.by),
                _ => true,
            },
            _ => !self.connects(space, u.by, u.through),
        })
    }

    /// Whether a reduction can compute a value itself: the value's group does
    /// nothing else for anybody else.
    fn can_absorb(&self, value: NodeId, reduction: NodeId) -> bool {
        let Some(number) = self.group_of[value.index()] else { return false };
        let group = self.group(number);
        let inside = |u: &Use| self.group_of[u.by.index()] == Some(number) || u.by == reduction;
        group.is_map
            && group.nodes.iter().all(|n| {
                !self.is_root[n.index()]
                    && self.uses[n.index()].iter().all(inside)
                    && self.level(&group.space, *n) == Some(Level::Full)
            })
    }

    /// Whether a scatter can compute the values that it adds itself.
    fn is_scattered_alone(&self, value: NodeId, scatter: NodeId) -> bool {
        let operands = self.g.operands(scatter);
        let [own, index] = [operands[0], operands[1]].map(|x| base(self.g, x));
        let group = self.group_of[value.index()];
        let sizes = real_sizes(self.g, operands[0]);
        // Rows of one element are no axis of a map.
        own == value
            && self.g.sizes(operands[0]).last() != Some(&1)
            && !self.assigns.contains_key(&scatter)
            && self.relation(operands[0]) == Relation::Same
            && group.is_some_and(|group| self.group(group).space == Space::Rows(sizes))
            && self.group_of[index.index()] != group
            && self.can_absorb(value, scatter)
    }

    fn place(&mut self, id: NodeId) {
        let space = match self.g.op(id).lower() {
            Lowering::Contraction(_) => Space::Product(real_sizes(self.g, id)),
            Lowering::Scatter => {
                let operand = self.g.operands(id)[0];
                let columns = self.g.sizes(operand).last().copied().unwrap_or(1);
                let space = Space::Scatter(real_sizes(self.g, operand), columns);
                let value = base(self.g, operand);
                let group = self.group_of[value.index()];
                if let Some(group) = group
                    && self.is_scattered_alone(value, id)
                    && self.can_join(id, group)
                {
                    self.group_mut(group).space = space;
                    return self.join(id, group);
                }
                space
            }
            Lowering::Gather => Space::of_gather(self.g, id),
            Lowering::AllFinite => Space::Alone,
            Lowering::Reduction(..) => {
                let space = Space::of_reduction(self.g, id);
                if let Some(group) = self.joinable_by_reduction(id, &space) {
                    self.group_mut(group).space = space;
                    return self.join(id, group);
                }
                space
            }
            _ => {
                if let Some(group) = self.joinable(id) {
                    return self.join(id, group);
                }
                Space::Rows(real_sizes(self.g, id))
            }
        };
        let is_map = matches!(space, Space::Rows(_));
        self.groups.push(Some(Group { space, nodes: Vec::new(), is_map }));
        self.order.add();
        self.join(id, self.groups.len() - 1);
    }

    fn joinable_by_reduction(&self, id: NodeId, space: &Space) -> Option<usize> {
        let operand = self.g.operands(id)[0];
        let value = base(self.g, operand);
        let group = self.group_of[value.index()]?;
        let fits = match (&self.group(group).space, space) {
            (Space::Rows(own), Space::Rows(sizes)) => {
                own == sizes
                    && self.relation(operand) == Relation::Same
                    && self.level(space, value) == Some(Level::Full)
            }
            (Space::Rows(own), Space::Columns(sizes, _)) => {
                own == sizes
                    && self.relation(operand) == Relation::Same
                    && self.can_absorb(value, id)
            }
            _ => false,
        };
        (fits && self.can_join(id, group)).then_some(group)
    }

    /// The group that an elementwise node joins; operands' groups that can be
    /// merged with it are.
    fn joinable(&mut self, id: NodeId) -> Option<usize> {
        let mut candidates: Vec<usize> = Vec::new();
        for operand in self.g.operands(id) {
            let value = base(self.g, operand);
            let Some(group) = self.group_of[value.index()] else { continue };
            let space = &self.group(group).space;
            if !candidates.contains(&group)
                && self.connects(space, id, operand)
                && !self.is_kept(value)
                && !self.is_better_apart(id, space)
                && self.can_join(id, group)
            {
                candidates.push(group);
            }
        }
        // Plain maps join others, not the other way round.
        candidates.sort_by_key(|group| self.group(*group).is_map);
        let chosen = *candidates.first()?;
        for other in &candidates[1..] {
            // What runs after the other would run after the node's own group.
            let awaited = self.before(id).into_iter().any(|x| {
                let group = self.group_of[x.index()];
                group.is_some_and(|h| h != chosen && self.order.is_before(*other, h))
            });
            if !awaited && self.can_merge(*other, chosen) {
                self.merge(*other, chosen);
            }
        }
        Some(chosen)
    }

    /// Whether a node that has one element for each row takes long, and nobody
    /// needs it within the rows: there, every lane of a vector would compute the
    /// same, and in a kernel of its own each computes another row's.
    fn is_better_apart(&self, id: NodeId, space: &Space) -> bool {
        let Space::Rows(sizes) = space else { return false };
        let rows: usize = sizes.split_last().map_or(1, |(_, outer)| outer.iter().product());
        rows >= MANY_ROWS
            && self.level(space, id) == Some(Level::Outer)
            && self.steps(id) >= MANY_STEPS
            && !self.is_needed_within(id, space)
    }

    /// How many steps a node's formula has.
    fn steps(&self, id: NodeId) -> usize {
        let Lowering::Elementwise(formula) = self.g.op(id).lower() else { return 0 };
        let mut e = Expressions::default();
        let kind = |x: NodeId| if self.g.ty(x).is_real() { Kind::Float } else { Kind::Int };
        let operands = self.g.operands(id).into_iter().enumerate();
        let x: Vec<Expr> = operands.map(|(i, x)| e.push(Term::Load(i, kind(x)))).collect();
        formula(&mut e, &x);
        e.len()
    }

    /// Whether what follows from a node, one element for each row, is needed for
    /// every element of the rows.
    fn is_needed_within(&self, id: NodeId, space: &Space) -> bool {
        let mut left = vec![id];
        // Ways part and meet again: as often as there are ways would be too often.
        let mut seen = FxHashSet::default();
        while let Some(id) = left.pop() {
            if !seen.insert(id) {
                continue;
            }
            for u in &self.uses[id.index()] {
                match self.level(space, u.by) {
                    _ if !self.is_elementwise(u.by) => {}
                    Some(Level::Full) => return true,
                    Some(Level::Outer) => left.push(u.by),
                    None => {}
                }
            }
        }
        false
    }

    fn is_elementwise(&self, id: NodeId) -> bool {
        matches!(self.g.op(id).lower(), Lowering::Elementwise(_))
    }

    /// Whether a node's other operands and whatever must come before it are
    /// there before a group runs, or are handed on inside.
    fn can_join(&self, id: NodeId, group: usize) -> bool {
        let space = &self.group(group).space;
        let inside = |node: NodeId| self.group_of[node.index()] == Some(group);
        let before = self.before(id);
        let no_cycle = before.iter().all(|x| {
            inside(*x) || self.group_of[x.index()].is_some_and(|h| !self.order.is_before(group, h))
        });
        // What a reduction or a scatter adds up has been checked by who asks.
        let is_reduction =
            matches!(self.g.op(id).lower(), Lowering::Reduction(..) | Lowering::Scatter);
        let handed_on =
            is_reduction
                || self.g.operands(id).into_iter().all(|operand| {
                    !inside(base(self.g, operand)) || self.connects(space, id, operand)
                });
        no_cycle && handed_on && self.overwrites_in_place(id, space, |by| by == id || inside(by))
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
            !inside(u.by)
                || (self.is_elementwise(u.by)
                    && self.relation(u.through) == Relation::Same
                    && self.level(space, u.by) == self.level(space, id))
        })
    }

    fn join(&mut self, id: NodeId, group: usize) {
        for x in self.before(id) {
            if let Some(h) = self.group_of[x.index()].filter(|h| *h != group) {
                self.order.require(h, group);
            }
        }
        self.group_of[id.index()] = Some(group);
        let is_map = matches!(self.g.op(id).lower(), Lowering::Elementwise(_) | Lowering::Gather);
        let group = self.group_mut(group);
        group.nodes.push(id);
        group.is_map &= is_map;
    }

    fn in_order(mut self) -> Vec<Group> {
        self.order.sorted().into_iter().filter_map(|i| self.groups[i].take()).collect()
    }
}
