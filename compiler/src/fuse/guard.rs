//! The guard of a step: finite loss and gradients, known before anything is overwritten.
//!
//! Takes an arranged graph, in which [`Root::Guard`] asks whether the loss and
//! the gradients are finite, and returns one in which it asks that of values
//! that are in memory anyway: to compute a gradient before the guard would part
//! it from its update, which goes onto the product that makes it, and write and
//! read every large weight once more. So instead of a product it looks at its
//! two factors, and instead of a sum at its terms. That is the same but where a
//! sum of finite terms is too large for a float.
//!
//! What depends on nothing but what the loss depends on, and is no factor of a
//! product, is left to the loss. And of factors that follow from each other only
//! the last is looked at, where whatever is not finite reaches it: a row of a
//! product is not finite in any of its elements, if in a row of its first factor
//! one is not.

use std::collections::BTreeSet;

use rustc_hash::FxHashSet;

use super::arrange::{is_computed, materialize_anew};
use super::views::{Relation, base, real_sizes, relation};
use crate::expr::scalar::Reduction;
use crate::graph::{Graph, NodeId, Root};
use crate::ops::all_finite::AllFinite;
use crate::ops::reduce::Axis;
use crate::ops::{Leaf, Linearity, Lowering, Op, Shows};
use crate::simplify::constant_value;

/// So many units of a layer are never all less than zero, or all inactive, by
/// chance.
const WIDE: usize = 32;

/// A batch of more elements is added up over its examples first, by a kernel
/// that threads share; the guard itself runs on one.
const MANY: usize = 1 << 15;

pub(super) fn guard(mut g: Graph) -> Graph {
    let Some(guard) = g.root(&Root::Guard) else { return g };
    let Lowering::AllFinite(&AllFinite { direct }) = g.op(guard).lower() else { return g };
    let loss = g.root(&Root::Loss);
    let forward = ancestors(&g, loss.into_iter().collect());
    let mut search = Search { g: &g, forward, ..Search::new(&g) };
    for (i, &x) in g.operands(guard).iter().enumerate() {
        match i < direct {
            true => search.take(base(&g, x)),
            false => search.gradient(x),
        }
    }
    let factors: Vec<NodeId> = search.factors.iter().copied().collect();
    for x in factors.into_iter().filter(|x| !search.is_seen_later(*x)).collect::<Vec<_>>() {
        search.take(x);
    }
    let found = search.found;
    // A loss that follows from nothing is in no memory: a copy is looked at.
    let numbers = g.operands(guard)[..direct].iter().copied();
    let is_wrong = |x: &NodeId| constant_value(&g, base(&g, *x)).is_some_and(|x| !x.is_finite());
    let mut copied: Vec<NodeId> = numbers.filter(is_wrong).collect();
    if found.is_empty() && copied.is_empty() {
        copied.extend(g.operands(guard).first());
    }
    let mut small: Vec<NodeId> = found.into_iter().map(|x| shrunk(&mut g, x)).collect();
    small.extend(copied.into_iter().map(|x| materialize_anew(&mut g, x)).collect::<Vec<_>>());
    let guard = g.all_finite(&small, &[]);

    // What is assigned must not be there before: where the guard needs it, a copy
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

/// Nodes and all that they are computed from.
fn ancestors(g: &Graph, mut left: Vec<NodeId>) -> FxHashSet<NodeId> {
    let mut found = FxHashSet::default();
    while let Some(id) = left.pop() {
        if found.insert(id) {
            left.extend(g.operands(id));
        }
    }
    found
}

/// A value that is finite exactly where a value is, and small.
fn shrunk(g: &mut Graph, x: NodeId) -> NodeId {
    let elements: usize = g.sizes(x).iter().product();
    if elements <= MANY || !g.shape(x).batched || g.batch() == 1 {
        return x;
    }
    let zeros = g.scale(x, 0.0);
    g.reduce(Reduction::Sum, Axis::Batch, zeros)
}

struct Search<'g> {
    g: &'g Graph,
    /// What the loss is computed from.
    forward: FxHashSet<NodeId>,
    seen: FxHashSet<NodeId>,
    /// Factors of products that make gradients.
    factors: BTreeSet<NodeId>,
    /// What is looked at.
    found: Vec<NodeId>,
}

impl<'g> Search<'g> {
    fn new(g: &'g Graph) -> Search<'g> {
        let (forward, seen) = (FxHashSet::default(), FxHashSet::default());
        Search { g, forward, seen, factors: BTreeSet::new(), found: Vec::new() }
    }

    /// Looks at a value, of which the operand of a node may be a view.
    fn take(&mut self, x: NodeId) {
        let real_input = is_input(self.g.op(x)) && self.g.ty(x).is_real();
        if (real_input || is_computed(self.g, x)) && !self.found.contains(&x) {
            self.found.push(x);
        }
    }

    /// Looks at what a gradient is computed from, which may go on with an
    /// update in the same kernel.
    fn gradient(&mut self, gradient: NodeId) {
        let g = self.g;
        let mut left = vec![gradient];
        while let Some(x) = left.pop() {
            let x = base(g, x);
            if !self.seen.insert(x) {
                continue;
            }
            let operands = g.operands(x);
            match g.op(x).lower() {
                // Both are in memory, whatever computes the product.
                Lowering::Contraction(_) => {
                    self.factors.extend(operands.iter().map(|x| base(g, *x)));
                }
                Lowering::Reduction(Reduction::Sum, _) | Lowering::Scatter => {
                    match self.terms(operands[0]) {
                        Some(terms) => {
                            let (factors, others): (Vec<NodeId>, Vec<NodeId>) =
                                terms.into_iter().partition(|x| self.is_factor(*x));
                            self.factors.extend(factors);
                            others.into_iter().for_each(|x| self.take(x));
                        }
                        None => self.take(x),
                    }
                }
                Lowering::Elementwise(_) if self.is_linear(x) => left.extend(operands),
                _ if self.forward.contains(&x) => {}
                _ => self.take(x),
            }
        }
    }

    /// Whether a result is finite where its operands are, but for its size, and
    /// is not where one of them is not.
    fn is_linear(&self, x: NodeId) -> bool {
        let constant = |x: &NodeId| constant_value(self.g, base(self.g, *x)).is_some();
        match self.g.op(x).linearity() {
            Linearity::Sum(_) => true,
            Linearity::Product => self.g.operands(x).iter().any(constant),
            Linearity::Quotient | Linearity::Unknown => false,
        }
    }

    /// What is in memory of what a kernel adds up: values from which its terms
    /// follow, element by element, so that they are finite where these are.
    /// `None` where that cannot be said.
    fn terms(&self, operand: NodeId) -> Option<Vec<NodeId>> {
        let g = self.g;
        let first = base(g, operand);
        let sizes = real_sizes(g, first);
        let mut left = vec![first];
        let (mut seen, mut found) = (FxHashSet::default(), Vec::new());
        while let Some(x) = left.pop() {
            if !seen.insert(x) {
                continue;
            }
            if self.forward.contains(&x) {
                // Where it is NaN, so is the loss. But it may be infinite and the loss
                // finite, by what saturates, and then 0 times it is NaN.
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
            if !finiteness.is_kept {
                return None;
            }
            for operand in g.operands(x).iter().copied().skip(finiteness.deciding) {
                let value = base(g, operand);
                match relation(g, operand) {
                    Relation::Same => left.push(value),
                    _ if self.forward.contains(&value) => left.push(value),
                    _ => found.push(value),
                }
            }
        }
        Some(found)
    }

    /// Whether another factor that is looked at, or the loss, is not finite where
    /// this one is not.
    fn is_seen_later(&self, x: NodeId) -> bool {
        match self.forward.contains(&x) {
            // They are finite or NaN, and then so is the loss.
            true if self.g.op(x).finiteness().is_bounded => true,
            true => self.reaches_factor(x),
            // Only its size can make it infinite.
            false => self.follows_from_factors(x) && self.reaches_factor(x),
        }
    }

    /// Whether a factor that comes after it is not finite where it is not.
    fn reaches_factor(&self, x: NodeId) -> bool {
        let g = self.g;
        let (mut left, mut seen) = (vec![x], FxHashSet::default());
        while let Some(x) = left.pop() {
            for user in g.users(x) {
                let is_wide = || g.sizes(user).last().is_some_and(|n| *n >= WIDE);
                let passes = match g.op(user).lower() {
                    // With a weight: then a row has it in all of its elements.
                    Lowering::Contraction(_) => {
                        g.operands(user).iter().any(|x| !g.shape(*x).batched)
                    }
                    Lowering::View(_) => true,
                    Lowering::Elementwise(_) => {
                        let finiteness = g.op(user).finiteness();
                        // As what is chosen, not as what chooses.
                        !g.operands(user)[..finiteness.deciding].contains(&x)
                            && match finiteness.shows {
                                Shows::Always => true,
                                Shows::ByChance => is_wide(),
                                Shows::Unknown => false,
                            }
                    }
                    _ => false,
                };
                if passes && self.factors.contains(&user) {
                    return true;
                }
                if passes && seen.insert(user) {
                    left.push(user);
                }
            }
        }
        false
    }

    /// Whether it is made of products and of what the loss is made of, so that
    /// it is finite where their factors are, but for its size.
    fn follows_from_factors(&self, x: NodeId) -> bool {
        let g = self.g;
        let (mut left, mut seen) = (vec![x], FxHashSet::default());
        while let Some(x) = left.pop() {
            let x = base(g, x);
            if self.forward.contains(&x) || !is_computed(g, x) || !seen.insert(x) {
                continue;
            }
            match g.op(x).lower() {
                Lowering::Contraction(_) => {}
                Lowering::Elementwise(_) if g.op(x).finiteness().is_kept => {
                    left.extend(g.operands(x));
                }
                _ => return false,
            }
        }
        true
    }

    /// Whether a product has a value for its factor: then it is in memory.
    fn is_factor(&self, x: NodeId) -> bool {
        let mut left = vec![x];
        while let Some(x) = left.pop() {
            for user in self.g.users(x) {
                match self.g.op(user).lower() {
                    Lowering::Contraction(_) => return true,
                    Lowering::View(_) => left.push(user),
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

/// Whether a result is never infinite, so that it is NaN or finite; parameters and
/// what is set are taken to be finite.
fn is_bounded(op: &Op) -> bool {
    op.finiteness().is_bounded
        || matches!(op.leaf(), Some(Leaf::Parameter(_) | Leaf::StepScalar(_)))
}
