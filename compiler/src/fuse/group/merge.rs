//! Merging of groups.

use super::super::views::{base, real_sizes};
use super::{Fit, Grouping, Level, Space};
use crate::expr::scalar::Reduction;
use crate::graph::NodeId;
use crate::ops::Lowering;
use crate::ops::reduce::Axis;

impl Grouping<'_> {
    /// Whether the spaces of two groups agree, so that maps of the first can be merged into
    /// the second, or all of it if both have the same rows.
    fn agree(&self, from: usize, into: usize) -> bool {
        let (a, b) = (self.group(from), self.group(into));
        let spaces = match (&a.space, &b.space) {
            (Space::Rows(x), Space::Rows(y)) => x == y,
            (Space::Rows(x), Space::Product(y)) => x == y && a.is_map,
            (Space::Rows(x), Space::Columns(y, axis)) => {
                let mut remaining = y.clone();
                remaining.remove(*axis);
                *x == remaining && a.is_map
            }
            _ => false,
        };
        // Maps with one element for each row would be on another axis there.
        let one_level = matches!(b.space, Space::Rows(_))
            || a.nodes.iter().all(|n| a.level(*n) == Some(Level::Full));
        spaces && one_level
    }

    /// Whether a group can be merged into another: their spaces agree and all nodes fit.
    pub(super) fn can_merge(&self, from: usize, into: usize) -> Option<Fit> {
        if self.agree(from, into) { self.fit_groups(from, into) } else { None }
    }

    pub(super) fn merge(&mut self, from: usize, into: usize, fit: Fit) {
        let Some(moved) = self.groups[from].take() else { return };
        for n in &moved.nodes {
            self.group_of[n.index()] = Some(into);
        }
        let target = self.group_mut(into);
        // Both lists respect dependencies; by number, so does the union.
        target.nodes.extend(moved.nodes);
        target.nodes.sort_unstable();
        target.add(fit);
        target.is_map &= moved.is_map;
        self.order.merge(from, into);
    }

    /// Merges remaining maps into the group that computes one of
    /// their operands, which saves loading it.
    pub(super) fn absorb_maps(&mut self) {
        for from in 0..self.groups.len() {
            let Some(group) = self.groups[from].as_ref().filter(|group| group.is_map) else {
                continue;
            };
            let operands = group.nodes.iter().flat_map(|n| self.g.operands(*n));
            let target = operands.into_iter().find_map(|operand| {
                let into = self.group_of[base(self.g, *operand).index()]?;
                let fit = if into != from { self.can_merge(from, into)? } else { return None };
                Some((into, fit))
            });
            if let Some((into, fit)) = target {
                self.merge(from, into, fit);
            }
        }
    }

    /// Fuses the sum of a product's second factor over the batch (the gradient of a
    /// bias) with the product (the gradient of the weight).
    pub(super) fn absorb_column_sums(&mut self) {
        for from in 0..self.groups.len() {
            let Some(value) = self.column_sum(from) else { continue };
            let products = self.uses[value.index()].iter().map(|u| u.user);
            let into = products
                .filter(|product| self.sums_over_batch(*product, value))
                .filter_map(|product| self.group_of[product.index()])
                .filter(|into| {
                    !self.order.is_before(from, *into) && !self.order.is_before(*into, from)
                })
                .find_map(|into| Some((into, self.fit_groups(from, into)?)));
            if let Some((into, fit)) = into {
                self.merge(from, into, fit);
            }
        }
    }

    /// The value that a group sums over the batch, if all its other nodes are
    /// computed from the sums.
    fn column_sum(&self, group: usize) -> Option<NodeId> {
        let group = self.groups[group].as_ref()?;
        if !matches!(&group.space, Space::Columns(sizes, 0) if sizes.len() == 2) {
            return None;
        }
        let is_reduction = |n: &&NodeId| matches!(self.g.op(**n).lower(), Lowering::Reduction(..));
        let (reductions, others): (Vec<NodeId>, Vec<NodeId>) =
            group.nodes.iter().partition(is_reduction);
        let [sum] = reductions[..] else { return None };
        let outer = others.iter().all(|n| group.level(*n) == Some(Level::Outer));
        match self.g.op(sum).lower() {
            Lowering::Reduction(Reduction::Sum, Axis::Batch) if outer => {
                Some(self.g.operands(sum)[0])
            }
            _ => None,
        }
    }

    /// Whether a node is a product with two axes that sums over the batch, with
    /// a value for its second factor.
    pub(super) fn sums_over_batch(&self, node: NodeId, value: NodeId) -> bool {
        let Lowering::Contraction(contract) = self.g.op(node).lower() else { return false };
        contract.over_batch
            && contract.shared.is_empty()
            && contract.contracted.is_empty()
            && self.g.operands(node)[1] == value
            && real_sizes(self.g, node).len() == 2
            && real_sizes(self.g, value).len() == 2
    }
}
