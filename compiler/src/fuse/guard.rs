//! The guard of a step: finite loss and gradients, known before anything is overwritten.
//!
//! Takes an arranged graph, in which [`Root::Guard`] checks that the loss and
//! the gradients are finite, and returns one in which it checks values
//! that are in memory anyway: computing a gradient before the guard would separate
//! it from its update, which is fused onto the product that computes it, and would write and
//! read every large weight once more. So instead of a product it checks the product's
//! two factors, and instead of a sum its terms. That is equivalent unless a
//! sum of finite terms overflows.
//!
//! Values that depend only on values that the loss depends on, and are no factor of a
//! product, are covered by the loss. Of factors that are computed from each other, only
//! the last is checked, if values that are not finite propagate to it: if an element of a row
//! of a product's first factor is not finite, no element of that row of the product is.

use std::collections::BTreeSet;

use rustc_hash::FxHashSet;

use super::arrange::{is_computed, materialize_anew};
use super::views::{Relation, base, is_join, real_sizes, relation, writers};
use crate::expr::scalar::Reduction;
use crate::faults::{self, Fault};
use crate::graph::{Graph, NodeId, Root};
use crate::ops::all_finite::AllFinite;
use crate::ops::reduce::Axis;
use crate::ops::{Leaf, Linearity, Lowering, Op, Propagation, View};
use crate::simplify::constant_value;

/// A layer of at least this many units is assumed never to have all units negative, or all
/// inactive, by chance.
const WIDE: usize = 32;

/// A batch of more elements is first summed over its examples, by a kernel
/// that threads share; the guard itself runs on one thread.
const REDUCED_ELEMENTS: usize = 1 << 15;

pub(super) fn guard(mut g: Graph) -> Graph {
    let Some(guard) = g.root(&Root::Guard) else { return g };
    let Lowering::AllFinite(&AllFinite { direct }) = g.op(guard).lower() else { return g };
    let loss = g.root(&Root::Loss);
    let forward = ancestors(&g, loss.into_iter().collect());
    let mut search = Search { g: &g, forward, ..Search::new(&g) };
    for (i, &x) in g.operands(guard).iter().enumerate() {
        match i < direct {
            true => search.check(base(&g, x)),
            false if faults::is(Fault::UnguardedGradient) => {}
            false => search.gradient(x),
        }
    }
    let factors: Vec<NodeId> = search.factors.iter().copied().collect();
    for x in factors.into_iter().filter(|x| !search.is_seen_later(*x)).collect::<Vec<_>>() {
        search.check(x);
    }
    let found = search.checked;
    // A loss that depends on no value in memory, a constant, is checked in a copy.
    let numbers = g.operands(guard)[..direct].iter().copied();
    let is_wrong = |x: &NodeId| constant_value(&g, base(&g, *x)).is_some_and(|x| !x.is_finite());
    let mut copied: Vec<NodeId> = numbers.filter(is_wrong).collect();
    if found.is_empty() && copied.is_empty() {
        copied.extend(g.operands(guard).first());
    }
    let mut small: Vec<NodeId> = found.into_iter().map(|x| reduced(&mut g, x)).collect();
    small.extend(copied.into_iter().map(|x| materialize_anew(&mut g, x)).collect::<Vec<_>>());
    let guard = g.all_finite(&small, &[]);

    // An assigned value is computed after the guard: where the guard needs it, a copy
    // is assigned.
    let needed = ancestors(&g, vec![guard]);
    let roots = g.roots().to_vec();
    g.retain_roots(|_| false);
    for (root, id) in roots {
        let id = match root {
            Root::Guard => guard,
            Root::Assign(_) if needed.contains(&id) => materialize_anew(&mut g, id),
            _ => id,
        };
        g.add_root(root, id);
    }
    g
}

/// Some nodes and all nodes that they are computed from.
fn ancestors(g: &Graph, mut pending: Vec<NodeId>) -> FxHashSet<NodeId> {
    let mut found = FxHashSet::default();
    while let Some(id) = pending.pop() {
        if found.insert(id) {
            pending.extend(g.operands(id));
        }
    }
    found
}

/// A value, reduced over the batch if it is large, that is finite if and only if the value is.
fn reduced(g: &mut Graph, x: NodeId) -> NodeId {
    let elements: usize = g.sizes(x).iter().product();
    if elements <= REDUCED_ELEMENTS || !g.shape(x).batched || g.batch() == 1 {
        return x;
    }
    let zeros = g.scale(x, 0.0);
    g.reduce(Reduction::Sum, Axis::Batch, zeros)
}

struct Search<'g> {
    g: &'g Graph,
    /// The nodes that the loss is computed from.
    forward: FxHashSet<NodeId>,
    seen: FxHashSet<NodeId>,
    /// Factors of products that compute gradients.
    factors: BTreeSet<NodeId>,
    /// The values to check.
    checked: Vec<NodeId>,
}

impl<'g> Search<'g> {
    fn new(g: &'g Graph) -> Search<'g> {
        let (forward, seen) = (FxHashSet::default(), FxHashSet::default());
        Search { g, forward, seen, factors: BTreeSet::new(), checked: Vec::new() }
    }

    /// Adds a value to those to check, unless it needs no check; of a join all its values.
    fn check(&mut self, x: NodeId) {
        if is_join(self.g, x) {
            return writers(self.g, x).into_iter().for_each(|x| self.check(x));
        }
        let real_input = is_input(self.g.op(x)) && self.g.ty(x).is_real();
        if (real_input || is_computed(self.g, x)) && !self.checked.contains(&x) {
            self.checked.push(x);
        }
    }

    /// Adds the values that a gradient is computed from; the gradient itself may be fused with
    /// its update.
    fn gradient(&mut self, gradient: NodeId) {
        let g = self.g;
        let mut pending = vec![gradient];
        while let Some(x) = pending.pop() {
            let x = base(g, x);
            if !self.seen.insert(x) {
                continue;
            }
            let operands = g.operands(x);
            match g.op(x).lower() {
                // Both are in memory in any case.
                Lowering::Contraction(_) => {
                    self.factors.extend(operands.iter().map(|x| base(g, *x)));
                }
                Lowering::Reduction(Reduction::Sum, _) | Lowering::Scatter => {
                    match self.terms(operands[0]) {
                        Some(terms) => {
                            let (factors, others): (Vec<NodeId>, Vec<NodeId>) =
                                terms.into_iter().partition(|x| self.is_factor(*x));
                            self.factors.extend(factors);
                            others.into_iter().for_each(|x| self.check(x));
                        }
                        None => self.check(x),
                    }
                }
                Lowering::Elementwise(_) if self.is_linear(x) => pending.extend(operands),
                Lowering::Join(_) => pending.extend(operands),
                _ if self.forward.contains(&x) => {}
                _ => self.check(x),
            }
        }
    }

    /// Whether a result is finite, unless it overflows, if and only if all its operands
    /// are.
    fn is_linear(&self, x: NodeId) -> bool {
        let constant = |x: &NodeId| constant_value(self.g, base(self.g, *x)).is_some();
        match self.g.op(x).linearity() {
            Linearity::Sum(_) => true,
            Linearity::Product => self.g.operands(x).iter().any(constant),
            Linearity::Quotient | Linearity::Unknown => false,
        }
    }

    /// The values in memory from which the terms of a sum are computed, element by
    /// element: the terms are finite where these values are.
    /// `None` if that is not guaranteed.
    fn terms(&self, operand: NodeId) -> Option<Vec<NodeId>> {
        let g = self.g;
        let first = base(g, operand);
        let sizes = real_sizes(g, first);
        let mut pending = vec![first];
        let (mut seen, mut found) = (FxHashSet::default(), Vec::new());
        while let Some(x) = pending.pop() {
            if !seen.insert(x) {
                continue;
            }
            if self.forward.contains(&x) {
                // If it is NaN, so is the loss. But it may be infinite and the loss
                // finite, if an operation saturates, and then 0 times it is NaN.
                match g.op(x) {
                    op if is_bounded(op) || constant_value(g, x).is_some() => {}
                    op if is_input(op) => found.push(x),
                    _ => return None,
                }
                continue;
            }
            let is_inside = is_computed(g, x)
                && matches!(g.op(x).lower(), Lowering::Elementwise(_))
                && real_sizes(g, x) == sizes
                && !self.is_factor(x);
            if !is_inside {
                found.push(x);
                continue;
            }
            let finiteness = g.op(x).finiteness();
            if !finiteness.preserves_finite {
                return None;
            }
            for operand in g.operands(x).iter().copied().skip(finiteness.conditions) {
                let value = base(g, operand);
                match relation(g, operand) {
                    Relation::Same => pending.push(value),
                    _ if self.forward.contains(&value) => pending.push(value),
                    _ => found.push(value),
                }
            }
        }
        Some(found)
    }

    /// Whether another checked factor, or the loss, is not finite if this factor is not.
    fn is_seen_later(&self, x: NodeId) -> bool {
        match self.forward.contains(&x) {
            // Bounded values are finite or NaN, and then so is the loss.
            true if self.g.op(x).finiteness().is_bounded => true,
            true => self.reaches_factor(x),
            // It can become infinite only by overflow.
            false => self.follows_from_factors(x) && self.reaches_factor(x),
        }
    }

    /// Whether values that are not finite propagate to a later factor.
    fn reaches_factor(&self, x: NodeId) -> bool {
        let g = self.g;
        let (mut pending, mut seen) = (vec![x], FxHashSet::default());
        while let Some(x) = pending.pop() {
            for user in g.users(x) {
                let is_wide = || g.sizes(user).last().is_some_and(|n| *n >= WIDE);
                let passes = match g.op(user).lower() {
                    // With a weight, they propagate to all elements of the row.
                    Lowering::Contraction(_) => {
                        g.operands(user).iter().any(|x| !g.shape(*x).batched)
                    }
                    // A slice may be of other elements.
                    Lowering::View(View::Slice(_)) => false,
                    Lowering::View(_) | Lowering::Join(_) => true,
                    Lowering::Elementwise(_) => {
                        let finiteness = g.op(user).finiteness();
                        // As a value that is selected, not as the condition.
                        !g.operands(user)[..finiteness.conditions].contains(&x)
                            && match finiteness.propagation {
                                Propagation::Always => true,
                                Propagation::Sometimes => is_wide(),
                                Propagation::Unknown => false,
                            }
                    }
                    _ => false,
                };
                if passes && self.factors.contains(&user) {
                    return true;
                }
                if passes && seen.insert(user) {
                    pending.push(user);
                }
            }
        }
        false
    }

    /// Whether it is computed from products and from values that the loss depends on, so that
    /// it is finite where their factors are, unless it overflows.
    fn follows_from_factors(&self, x: NodeId) -> bool {
        let g = self.g;
        let (mut pending, mut seen) = (vec![x], FxHashSet::default());
        while let Some(x) = pending.pop() {
            let x = base(g, x);
            let is_given = !is_computed(g, x) && !is_join(g, x);
            if self.forward.contains(&x) || is_given || !seen.insert(x) {
                continue;
            }
            if is_join(g, x) {
                pending.extend(g.operands(x));
                continue;
            }
            match g.op(x).lower() {
                Lowering::Contraction(_) => {}
                Lowering::Elementwise(_) if g.op(x).finiteness().preserves_finite => {
                    pending.extend(g.operands(x));
                }
                _ => return false,
            }
        }
        true
    }

    /// Whether a value is a factor of a product: then it is in memory.
    fn is_factor(&self, x: NodeId) -> bool {
        let mut pending = vec![x];
        while let Some(x) = pending.pop() {
            for user in self.g.users(x) {
                match self.g.op(user).lower() {
                    Lowering::Contraction(_) => return true,
                    Lowering::View(_) | Lowering::Join(_) => pending.push(user),
                    _ => {}
                }
            }
        }
        false
    }
}

fn is_input(op: &Op) -> bool {
    matches!(op.leaf(), Some(Leaf::Input(_)))
}

/// Whether a result is never infinite, only NaN or finite; parameters and
/// step scalars are assumed to be finite.
fn is_bounded(op: &Op) -> bool {
    op.finiteness().is_bounded
        || matches!(op.leaf(), Some(Leaf::Parameter(_) | Leaf::StepScalar(_)))
}
