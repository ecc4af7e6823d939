//! Groups that become part of others.

use super::super::views::{base, real_sizes};
use super::{Group, Grouping, Level, Space};
use crate::graph::NodeId;
use crate::ops::reduce::{Axis, Reduction};
use crate::ops::{Lowering, Op};

impl Grouping<'_> {
    /// Whether a group can become part of another: no third would have to run
    /// between them, and their spaces agree.
    pub(super) fn can_merge(&self, from: usize, into: usize) -> bool {
        let (a, b) = (self.group(from), self.group(into));
        let spaces_agree = match (&a.space, &b.space) {
            (Space::Rows(x), Space::Rows(y)) => x == y,
            (Space::Rows(x), Space::Product(y)) => x == y && a.is_map,
            (Space::Rows(x), Space::Columns(y, axis)) => {
                let mut left = y.clone();
                left.remove(*axis);
                *x == left && a.is_map
            }
            _ => false,
        };
        // Maps that have one element for each row mean another axis there.
        let one_level = matches!(b.space, Space::Rows(_))
            || a.nodes.iter().all(|n| self.level(&a.space, *n) == Some(Level::Full));
        let connected = |group: &Group, other: usize| {
            group.nodes.iter().all(|n| {
                self.g.operands(*n).into_iter().all(|operand| {
                    self.group_of[base(self.g, operand).index()] != Some(other)
                        || self.connects(&b.space, *n, operand)
                })
            })
        };
        let in_place = |group: &Group, other: usize| {
            let inside = |by: NodeId| self.group_of[by.index()] == Some(other);
            group.nodes.iter().all(|n| self.overwrites_in_place(*n, &b.space, inside))
        };
        spaces_agree
            && one_level
            && !self.order.has_between(from, into)
            && !self.order.has_between(into, from)
            && connected(a, into)
            && connected(b, from)
            && in_place(a, into)
            && in_place(b, from)
            && self.reads_no_factor(from, b)
    }

    /// Whether a product's factors are not written by what joins it.
    fn reads_no_factor(&self, from: usize, into: &Group) -> bool {
        let factors = into.nodes.iter().filter(|n| {
            matches!(self.g.op(**n).lower(), Lowering::Contraction(_) | Lowering::Reduction(..))
        });
        factors.flat_map(|n| self.g.operands(*n)).all(|operand| {
            let value = base(self.g, operand);
            self.group_of[value.index()] != Some(from)
        })
    }

    pub(super) fn merge(&mut self, from: usize, into: usize) {
        let Some(moved) = self.groups[from].take() else { return };
        for n in &moved.nodes {
            self.group_of[n.index()] = Some(into);
        }
        let target = self.group_mut(into);
        // Both lists respect dependencies; by number, so does the union.
        target.nodes.extend(moved.nodes);
        target.nodes.sort_unstable();
        target.is_map &= moved.is_map;
        self.order.merge(from, into);
    }

    /// Maps that are left on their own join the group that computes one of
    /// their operands, which saves reading it back.
    pub(super) fn absorb_maps(&mut self) {
        for from in 0..self.groups.len() {
            let Some(group) = self.groups[from].as_ref().filter(|group| group.is_map) else {
                continue;
            };
            let operands = group.nodes.iter().flat_map(|n| self.g.operands(*n));
            let target = operands.into_iter().find_map(|operand| {
                let into = self.group_of[base(self.g, operand).index()]?;
                (into != from && self.can_merge(from, into)).then_some(into)
            });
            if let Some(into) = target {
                self.merge(from, into);
            }
        }
    }

    /// The sum of a product's second factor over the batch, the gradient of a
    /// bias, rides along with the product, the gradient of the weight.
    pub(super) fn absorb_column_sums(&mut self) {
        for from in 0..self.groups.len() {
            let Some(value) = self.column_sum(from) else { continue };
            let products = self.uses[value.index()].iter().map(|u| u.by);
            let into = products
                .filter(|product| self.sums_over_batch(*product, value))
                .filter_map(|product| self.group_of[product.index()])
                .find(|into| {
                    !self.order.is_before(from, *into) && !self.order.is_before(*into, from)
                });
            if let Some(into) = into {
                self.merge(from, into);
            }
        }
    }

    /// The value that a group sums over the batch, if it does nothing else but
    /// go on with the sums.
    fn column_sum(&self, group: usize) -> Option<NodeId> {
        let group = self.groups[group].as_ref()?;
        if !matches!(&group.space, Space::Columns(sizes, 0) if sizes.len() == 2) {
            return None;
        }
        let (sums, rest): (Vec<NodeId>, Vec<NodeId>) =
            group.nodes.iter().partition(|n| matches!(self.g.op(**n), Op::Reduce(_)));
        let [sum] = sums[..] else { return None };
        let Op::Reduce(reduce) = self.g.op(sum) else { return None };
        let outer = rest.iter().all(|n| self.level(&group.space, *n) == Some(Level::Outer));
        let over_batch = reduce.axis == Axis::Batch && reduce.reduction == Reduction::Sum;
        (outer && over_batch).then(|| self.g.operands(sum)[0])
    }

    /// Whether a node is a product with two axes that sums over the batch, with
    /// a value for its second factor.
    fn sums_over_batch(&self, node: NodeId, value: NodeId) -> bool {
        let Op::Contract(contract) = self.g.op(node) else { return false };
        contract.over_batch
            && contract.shared.is_empty()
            && contract.contracted.is_empty()
            && self.g.operands(node)[1] == value
            && real_sizes(self.g, node).len() == 2
            && real_sizes(self.g, value).len() == 2
    }
}
