//! Grouping: which nodes of the graph one kernel computes (operator fusion).
//!
//! Nodes are visited operands first (and readers of a parameter before what
//! overwrites it, and the guard before all that overwrites). A node joins the group of an operand where the two agree on
//! the place of every element and no other group would have to run in between;
//! otherwise it starts a group. What is kept in memory anyway, because a
//! product or another shape needs it there, is read back rather than followed:
//! so an activation's derivative is computed where it is used, not stored.

mod fit;
mod merge;
mod size;
mod space;
mod verify;

use rustc_hash::FxHashMap;

use super::arrange::is_computed;
use super::formula::outline;
use super::order::Order;
use super::views::{Relation, base, real_sizes, relation};
use crate::graph::{Graph, NodeId, Root};
use crate::kernel::SpaceKind;
use crate::ops::{Leaf, Lowering};
use fit::{Fit, Member};
use size::Size;

pub(super) use space::{Level, Space};
pub(super) use verify::verify;

/// Rows from which on a kernel of their own pays, and steps of a formula.
const MANY_ROWS: usize = 16;
const MANY_TERMS: usize = 16;

/// Nodes that become one kernel. Each comes with the level that it has in the
/// space: without one, nothing becomes a part of a group.
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

    /// On which level a node works; `None` where it is not of the group.
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
    /// The operand, of which the value is the base.
    operand: NodeId,
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
    /// The node whose value overwrites a parameter.
    writers: FxHashMap<usize, NodeId>,
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
    /// For each computed node, what it adds to its group.
    sizes: Vec<Size>,
    /// For each node, whether its formula needs the element's position on the last axis.
    is_indexed: Vec<bool>,
    /// Answers of [`Grouping::is_needed_within`], by space and node.
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
        }
    }

    /// Those who read the parameter that a node's value overwrites.
    fn readers(&self, id: NodeId) -> &[Use] {
        let leaf = self.assigns.get(&id).and_then(|p| self.parameters.get(p));
        leaf.map_or(&[], |leaf| &self.uses[leaf.index()])
    }

    /// Computed nodes, each after its operands, and after all who read what it
    /// overwrites and the guard; and the guard after all that a step gives.
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
        let operands = self.g.operands(id).iter().map(|x| base(self.g, *x));
        let operands = operands.filter(|x| self.computed[x.index()]);
        let readers = self.readers(id).iter().map(|u| u.user).filter(|by| *by != id);
        let guard = self.guard.filter(|_| self.assigns.contains_key(&id));
        let roots = if self.guard == Some(id) { self.read_roots() } else { Vec::new() };
        operands.chain(readers).chain(guard).chain(roots).collect()
    }

    /// What is read after a step, which must be there where it stops at the guard.
    fn read_roots(&self) -> Vec<NodeId> {
        let roots = self.g.roots().iter();
        let read = roots.filter(|(root, _)| !matches!(root, Root::Assign(_) | Root::Guard));
        let read = read.map(|(_, id)| base(self.g, *id));
        read.filter(|id| self.computed[id.index()]).collect()
    }

    /// On which level of a space a node works; `None` if on neither.
    fn level(&self, space: &Space, id: NodeId) -> Option<Level> {
        space.level(self.g, id, self.is_indexed[id.index()])
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

    /// Whether a value is kept in memory whatever joins its group, because
    /// someone needs it who cannot join.
    fn is_materialized(&self, id: NodeId) -> bool {
        let Some(group) = self.group_of[id.index()] else { return true };
        let space = &self.group(group).space;
        self.uses[id.index()].iter().any(|u| match self.g.op(u.user).lower() {
            Lowering::Contraction(_) => true,
            Lowering::Scatter => !self.is_only_scattered(id, u.user),
            Lowering::Reduction(..) => match (space, Space::of_reduction(self.g, u.user)) {
                (Space::Rows(own), Space::Rows(sizes)) => *own != sizes,
                (Space::Rows(_), Space::Columns(..)) => !self.can_absorb(id, u.user),
                _ => true,
            },
            _ => !self.hands_over(space, u.user, u.operand),
        })
    }

    /// Whether a reduction can compute a value itself: the value's group does
    /// nothing else for anybody else.
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

    /// The group that a reduction in a space would rather be a part of.
    fn group_for_reduction(&self, id: NodeId, space: &Space) -> Option<usize> {
        let operand = self.g.operands(id)[0];
        let value = base(self.g, operand);
        let group = self.group_of[value.index()]?;
        let fits = match (&self.group(group).space, space) {
            (Space::Rows(own), Space::Rows(sizes)) => own == sizes,
            (Space::Rows(own), Space::Columns(sizes, _)) => {
                own == sizes
                    && self.relation(operand) == Relation::Same
                    && self.can_absorb(value, id)
            }
            _ => false,
        };
        fits.then_some(group)
    }

    /// The group that an elementwise node joins; operands' groups that can be
    /// merged with it are.
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
        // Plain maps join others, not the other way round.
        candidates.sort_by_key(|group| self.group(*group).is_map);
        let chosen = *candidates.first()?;
        for other in &candidates[1..] {
            // What runs after the other would run after the node's own group.
            let awaited = self.before(id).into_iter().any(|x| {
                let group = self.group_of[x.index()];
                group.is_some_and(|h| h != chosen && self.order.is_before(*other, h))
            });
            if !awaited
                && let Some(fit) = self.can_merge(*other, chosen)
                && !fit.with(&self.sizes[id.index()]).is_too_large(&self.group(chosen).space)
            {
                self.merge(*other, chosen, fit);
            }
        }
        // Merged or not: what is handed on inside, and what has to come before.
        let fit = self.fit(id, chosen, &self.group(chosen).space)?;
        Some((chosen, fit))
    }

    /// Whether a node that has one element for each row takes long, and nobody
    /// needs it within the rows: there, every lane of a vector would compute the
    /// same, and in a kernel of its own each computes another row's.
    fn should_split(&mut self, id: NodeId, space: &Space) -> bool {
        let Space::Rows(sizes) = space else { return false };
        let rows: usize = sizes.split_last().map_or(1, |(_, outer)| outer.iter().product());
        rows >= MANY_ROWS
            && self.level(space, id) == Some(Level::Outer)
            && self.sizes[id.index()].terms >= MANY_TERMS
            && !self.is_needed_within(id, space)
    }

    /// Whether what follows from a node, one element for each row, is needed for
    /// every element of the rows.
    fn is_needed_within(&mut self, id: NodeId, space: &Space) -> bool {
        // Ways part and meet again, and many nodes ask: each answer is kept.
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

    /// Makes a group one of another space with a node more, if all of them fit.
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

    /// Makes a node a part of a group that it fits.
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
