//! Grouping: which nodes of the graph one kernel computes (operator fusion).
//!
//! Nodes are visited operands first (readers of a parameter before the node that
//! overwrites it, the guard before all nodes that overwrite). A node joins the group of an
//! operand if the two agree on the index of every element and no other group would have to run
//! in between; otherwise it starts a group. Values that are materialized anyway, because a
//! product or another shape needs them in memory, are loaded instead of fused with their users:
//! so an activation's derivative is computed where it is used, not stored.

mod fit;
mod merge;
mod size;
mod space;
mod verify;

use rustc_hash::{FxHashMap, FxHashSet};

use super::arrange::is_computed;
use super::formula::outline;
use super::order::Order;
use super::views::{Relation, base, is_join, real_sizes, relation, writers};
use crate::faults::{self, Fault};
use crate::graph::{Graph, NodeId, Root};
use crate::kernel::SpaceKind;
use crate::ops::{Leaf, Lowering};
use fit::{Fit, Member};
use size::Size;

pub(super) use space::{Level, Space};
pub(super) use verify::verify;

/// Rows, and terms of a formula, from which on a kernel of their own is faster.
const MANY_ROWS: usize = 16;
const MANY_TERMS: usize = 16;

/// Nodes that become one kernel, each with its level in the space.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub space: Space,
    /// In an order that respects dependencies.
    pub nodes: Vec<NodeId>,
    members: FxHashMap<NodeId, Member>,
    size: Size,
    /// Whether all of them are elementwise or gathered, in a space of rows.
    is_map: bool,
}

impl Group {
    fn new(space: Space) -> Group {
        let is_map = space.kind() == SpaceKind::Rows;
        Group {
            space,
            nodes: Vec::new(),
            members: FxHashMap::default(),
            size: Size::default(),
            is_map,
        }
    }

    /// The level of a node; `None` if it is not in the group.
    pub fn level(&self, node: NodeId) -> Option<Level> {
        self.members.get(&node).map(|member| member.level)
    }
}

/// The groups in the order in which they can run.
pub(super) fn group(g: &Graph) -> Vec<Group> {
    let mut grouping = Grouping::new(g);
    for id in grouping.visiting_order() {
        grouping.assign(id);
    }
    grouping.absorb_maps();
    grouping.absorb_column_sums();
    grouping.in_order()
}

/// One use of a value by a computed node.
#[derive(Clone, Copy, Debug)]
struct Use {
    user: NodeId,
    /// The operand, whose base is the value.
    operand: NodeId,
}

struct Grouping<'g> {
    g: &'g Graph,
    computed: Vec<bool>,
    /// For each node, the uses of its elements, directly or through views.
    uses: Vec<Vec<Use>>,
    /// For each node, whether it is a root or a part of a join: then it is stored.
    is_root: Vec<bool>,
    joins: FxHashSet<NodeId>,
    /// The parameter that a node's value overwrites.
    assigns: FxHashMap<NodeId, usize>,
    /// The node whose value overwrites a parameter.
    writers: FxHashMap<usize, NodeId>,
    /// The guard, which runs before any parameter is overwritten.
    guard: Option<NodeId>,
    /// The leaf of each parameter.
    parameters: FxHashMap<usize, NodeId>,
    group_of: Vec<Option<usize>>,
    /// By number; none if it was merged into another.
    groups: Vec<Option<Group>>,
    /// The partial order of groups.
    order: Order,
    relations: FxHashMap<NodeId, Relation>,
    /// For each computed node, the size that it adds to its group.
    sizes: Vec<Size>,
    /// For each node, whether its formula uses the element's position on the last axis.
    is_indexed: Vec<bool>,
    /// Results of [`Grouping::is_needed_within`], by space and node.
    needed_within: FxHashMap<Space, FxHashMap<NodeId, bool>>,
}

impl<'g> Grouping<'g> {
    fn new(g: &'g Graph) -> Grouping<'g> {
        let needed = g.needed();
        let computed: Vec<bool> =
            g.ids().map(|id| needed[id.index()] && is_computed(g, id)).collect();
        let mut uses = vec![Vec::new(); g.len()];
        let mut relations = FxHashMap::default();
        for by in g.ids().filter(|id| computed[id.index()]) {
            for &through in g.operands(by) {
                uses[base(g, through).index()].push(Use { user: by, operand: through });
                relations.entry(through).or_insert_with(|| relation(g, through));
            }
        }
        // Values that are read after the kernels, or stored in a join.
        let mut is_root = vec![false; g.len()];
        let joins: FxHashSet<NodeId> =
            g.ids().filter(|id| needed[id.index()] && is_join(g, *id)).collect();
        for join in &joins {
            g.operands(*join).iter().for_each(|x| is_root[base(g, *x).index()] = true);
        }
        let mut assigns = FxHashMap::default();
        for (root, id) in g.roots() {
            is_root[id.index()] = true;
            if let Root::Assign(parameter) = root {
                assigns.insert(*id, *parameter);
            }
        }
        let parameters = g
            .ids()
            .filter_map(|id| match g.op(id).leaf() {
                Some(Leaf::Parameter(p)) => Some((p.index, id)),
                _ => None,
            })
            .collect();
        let (mut sizes, mut is_indexed) = (vec![Size::default(); g.len()], vec![false; g.len()]);
        for id in g.ids().filter(|id| computed[id.index()]) {
            let outline = outline(g, id);
            sizes[id.index()] = Size::of(g, id, outline, is_root[id.index()]);
            is_indexed[id.index()] = outline.is_some_and(|outline| outline.is_indexed);
        }
        Grouping {
            g,
            uses,
            writers: assigns.iter().map(|(id, parameter)| (*parameter, *id)).collect(),
            assigns,
            guard: g.root(&Root::Guard),
            parameters,
            group_of: vec![None; g.len()],
            groups: Vec::new(),
            order: Order::default(),
            relations,
            sizes,
            is_indexed,
            needed_within: FxHashMap::default(),
            computed,
            is_root,
            joins,
        }
    }

    /// The uses of the parameter that a node's value overwrites.
    fn readers(&self, id: NodeId) -> &[Use] {
        let assigns = self.assigns.get(&id).filter(|_| !faults::is(Fault::AntiDependency));
        let leaf = assigns.and_then(|p| self.parameters.get(p));
        leaf.map_or(&[], |leaf| &self.uses[leaf.index()])
    }

    /// Computed nodes, each after its operands, after all readers of the parameter that it
    /// overwrites, and after the guard if it overwrites one; the guard after all results of a step.
    fn visiting_order(&self) -> Vec<NodeId> {
        let mut order = Vec::new();
        let mut visited = vec![false; self.g.len()];
        // Depth first, with an explicit stack: graphs may be deep.
        for id in self.g.ids().filter(|id| self.computed[id.index()]) {
            let mut stack = vec![(id, false)];
            while let Some((id, ready)) = stack.pop() {
                if visited[id.index()] {
                    continue;
                }
                if ready {
                    visited[id.index()] = true;
                    order.push(id);
                    continue;
                }
                stack.push((id, true));
                for x in self.before(id).into_iter().rev() {
                    if !visited[x.index()] {
                        stack.push((x, false));
                    }
                }
            }
        }
        order
    }

    /// Computed nodes that must be computed before a node.
    fn before(&self, id: NodeId) -> Vec<NodeId> {
        let mut operands: Vec<NodeId> = Vec::new();
        for x in self.g.operands(id).iter().map(|x| base(self.g, *x)) {
            match self.joins.contains(&x) {
                true => operands.extend(writers(self.g, x)),
                false => operands.push(x),
            }
        }
        let operands = operands.into_iter().filter(|x| self.computed[x.index()]);
        let readers = self.readers(id).iter().map(|u| u.user).filter(|by| *by != id);
        let assigns = self.assigns.contains_key(&id) && !faults::is(Fault::AntiDependency);
        let guard = self.guard.filter(|_| assigns);
        let mut roots = if self.guard == Some(id) { self.read_roots() } else { Vec::new() };
        roots.retain(|root| *root != id);
        operands.chain(readers).chain(guard).chain(roots).collect()
    }

    /// The roots that are read after a step, also if it stops at the guard.
    fn read_roots(&self) -> Vec<NodeId> {
        let roots = self.g.roots().iter();
        let read = roots.filter(|(root, _)| !matches!(root, Root::Assign(_) | Root::Guard));
        let read = read.flat_map(|(_, id)| writers(self.g, base(self.g, *id)));
        read.filter(|id| self.computed[id.index()]).collect()
    }

    /// The level of a node in a space; `None` if it has none.
    fn level(&self, space: &Space, id: NodeId) -> Option<Level> {
        space.level(self.g, id, self.is_indexed[id.index()])
    }

    fn relation(&self, operand: NodeId) -> Relation {
        self.relations[&operand]
    }

    fn group(&self, id: usize) -> &Group {
        self.groups[id].as_ref().expect("a group that was not merged")
    }

    fn group_mut(&mut self, id: usize) -> &mut Group {
        self.groups[id].as_mut().expect("a group that was not merged")
    }

    /// Whether a value is materialized regardless of the nodes that join its group, because
    /// one of its users cannot join.
    fn is_materialized(&self, id: NodeId) -> bool {
        let Some(group) = self.group_of[id.index()] else { return true };
        let space = &self.group(group).space;
        self.uses[id.index()].iter().any(|u| match self.g.op(u.user).lower() {
            Lowering::Contraction(_) => true,
            Lowering::Scatter => !self.is_only_scattered(id, u.user),
            Lowering::Reduction(..) => match (space, Space::of_reduction(self.g, u.user)) {
                (Space::Rows(group_sizes), Space::Rows(sizes)) => *group_sizes != sizes,
                (Space::Rows(_), Space::Columns(..)) => !self.can_absorb(id, u.user),
                _ => true,
            },
            _ => !self.hands_over(space, u.user, u.operand),
        })
    }

    /// Whether a reduction can compute a value itself: no other group or root uses
    /// the value's group.
    fn can_absorb(&self, value: NodeId, reduction: NodeId) -> bool {
        let Some(number) = self.group_of[value.index()] else { return false };
        let group = self.group(number);
        let inside = |u: &Use| self.group_of[u.user.index()] == Some(number) || u.user == reduction;
        group.is_map
            && group.nodes.iter().all(|n| {
                !self.is_root[n.index()]
                    && self.uses[n.index()].iter().all(inside)
                    && group.level(*n) == Some(Level::Full)
            })
    }

    /// Whether a scatter can compute the values that it adds itself.
    fn is_only_scattered(&self, value: NodeId, scatter: NodeId) -> bool {
        let operands = self.g.operands(scatter);
        let [values, index] = [operands[0], operands[1]].map(|x| base(self.g, x));
        let group = self.group_of[value.index()];
        let sizes = real_sizes(self.g, operands[0]);
        // Maps have no axis for rows of one element.
        values == value
            && self.g.sizes(operands[0]).last() != Some(&1)
            && !self.assigns.contains_key(&scatter)
            && self.relation(operands[0]) == Relation::Same
            && group.is_some_and(|group| self.group(group).space == Space::Rows(sizes))
            && self.group_of[index.index()] != group
            && self.can_absorb(value, scatter)
    }

    fn assign(&mut self, id: NodeId) {
        let space = match self.g.op(id).lower() {
            Lowering::Contraction(_) => Space::Product(real_sizes(self.g, id)),
            Lowering::Scatter => {
                let operand = self.g.operands(id)[0];
                let columns = self.g.sizes(operand).last().copied().unwrap_or(1);
                let space = Space::Scatter(real_sizes(self.g, operand), columns);
                let value = base(self.g, operand);
                if let Some(group) = self.group_of[value.index()]
                    && self.is_only_scattered(value, id)
                    && self.change(group, &space, id)
                {
                    return;
                }
                space
            }
            Lowering::Gather => Space::of_gather(self.g, id),
            Lowering::AllFinite(_) => Space::AllFinite,
            Lowering::Reduction(..) => {
                let space = Space::of_reduction(self.g, id);
                if let Some(group) = self.group_for_reduction(id, &space)
                    && self.change(group, &space, id)
                {
                    return;
                }
                space
            }
            _ => {
                if let Some((group, fit)) = self.joinable(id) {
                    return self.join(id, group, fit);
                }
                Space::Rows(real_sizes(self.g, id))
            }
        };
        let group = self.groups.len();
        let fit = self.fit(id, group, &space).expect("a space of its own holds a node");
        self.groups.push(Some(Group::new(space)));
        self.order.add();
        self.join(id, group, fit);
    }

    /// The group that a reduction in a space joins if it fits: that of its operand.
    fn group_for_reduction(&self, id: NodeId, space: &Space) -> Option<usize> {
        let operand = self.g.operands(id)[0];
        let value = base(self.g, operand);
        let group = self.group_of[value.index()]?;
        let fits = match (&self.group(group).space, space) {
            (Space::Rows(group_sizes), Space::Rows(sizes)) => group_sizes == sizes,
            (Space::Rows(group_sizes), Space::Columns(sizes, _)) => {
                group_sizes == sizes
                    && self.relation(operand) == Relation::Same
                    && self.can_absorb(value, id)
            }
            _ => false,
        };
        fits.then_some(group)
    }

    /// The group that an elementwise node joins. Merges other operands' groups into it where
    /// possible.
    fn joinable(&mut self, id: NodeId) -> Option<(usize, Fit)> {
        let mut candidates: Vec<usize> = Vec::new();
        for &operand in self.g.operands(id) {
            let value = base(self.g, operand);
            let Some(group) = self.group_of[value.index()] else { continue };
            let space = self.group(group).space.clone();
            if !candidates.contains(&group)
                && self.hands_over(&space, id, operand)
                && !self.is_materialized(value)
                && !self.should_split(id, &space)
                && self.fit(id, group, &space).is_some()
            {
                candidates.push(group);
            }
        }
        // Maps are merged into other groups, not the other way round.
        candidates.sort_by_key(|group| self.group(*group).is_map);
        let chosen = *candidates.first()?;
        for other in &candidates[1..] {
            // A predecessor of the node that runs after the other group would run after the
            // node's own group.
            let blocked = self.before(id).into_iter().any(|x| {
                let group = self.group_of[x.index()];
                group.is_some_and(|h| h != chosen && self.order.is_before(*other, h))
            });
            if !blocked
                && let Some(fit) = self.can_merge(*other, chosen)
                && !fit.with(&self.sizes[id.index()]).is_too_large(&self.group(chosen).space)
            {
                self.merge(*other, chosen, fit);
            }
        }
        // Merges may have changed the values that are passed on inside, and the order.
        let fit = self.fit(id, chosen, &self.group(chosen).space)?;
        Some((chosen, fit))
    }

    /// Whether a node with one element for each row is expensive and not
    /// needed within the rows: in the rows' kernel, every lane of a vector would compute the
    /// same, and in a kernel of its own each lane computes another row's element.
    fn should_split(&mut self, id: NodeId, space: &Space) -> bool {
        let Space::Rows(sizes) = space else { return false };
        let rows: usize = sizes.split_last().map_or(1, |(_, outer)| outer.iter().product());
        rows >= MANY_ROWS
            && self.level(space, id) == Some(Level::Outer)
            && self.sizes[id.index()].terms >= MANY_TERMS
            && !self.is_needed_within(id, space)
    }

    /// Whether a value that is computed from a node with one element for each row is needed for
    /// every element of the rows.
    fn is_needed_within(&mut self, id: NodeId, space: &Space) -> bool {
        // Memoized, with an explicit stack: paths diverge and join again.
        let mut known = self.needed_within.remove(space).unwrap_or_default();
        let mut begun = vec![id];
        while let Some(next) = begun.last().copied() {
            let follows = |u: &&Use| self.is_elementwise(u.user);
            let users = || self.uses[next.index()].iter().filter(follows).map(|u| u.user);
            let level = |by: NodeId| self.level(space, by);
            let outer = || users().filter(|by| level(*by) == Some(Level::Outer));
            let needed = users().any(|by| level(by) == Some(Level::Full))
                || outer().any(|by| known.get(&by) == Some(&true));
            let unknown = outer().find(|by| !known.contains_key(by));
            match unknown {
                Some(by) if !needed && !known.contains_key(&next) => begun.push(by),
                _ => {
                    begun.pop();
                    known.insert(next, needed);
                }
            }
        }
        let needed = known[&id];
        self.needed_within.insert(space.clone(), known);
        needed
    }

    /// Changes the space of a group and adds a node, if all nodes fit.
    fn change(&mut self, group: usize, space: &Space, id: NodeId) -> bool {
        let same = self.group(group).space == *space;
        let fit =
            if same { self.fit(id, group, space) } else { self.fit_changed(group, space, id) };
        let Some(fit) = fit else { return false };
        self.group_mut(group).space = space.clone();
        self.join(id, group, fit);
        true
    }

    fn is_elementwise(&self, id: NodeId) -> bool {
        matches!(self.g.op(id).lower(), Lowering::Elementwise(_))
    }

    /// Adds a node to a group that it fits.
    fn join(&mut self, id: NodeId, group: usize, fit: Fit) {
        for x in self.before(id) {
            if let Some(h) = self.group_of[x.index()].filter(|h| *h != group) {
                self.order.require(h, group);
            }
        }
        self.group_of[id.index()] = Some(group);
        let is_map = matches!(self.g.op(id).lower(), Lowering::Elementwise(_) | Lowering::Gather);
        let group = self.group_mut(group);
        group.nodes.push(id);
        group.add(fit);
        group.is_map &= is_map;
    }

    fn in_order(mut self) -> Vec<Group> {
        self.order.sorted().into_iter().filter_map(|i| self.groups[i].take()).collect()
    }
}
