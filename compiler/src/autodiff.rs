//! Symbolic differentiation: takes a graph with a loss, adds the nodes of its
//! gradient with respect to some leaves, and returns them. Nothing is recorded
//! at run time.
//!
//! Only nodes on a path from those leaves to the loss are differentiated.

use crate::graph::{Graph, NodeId};
use crate::ops::{Linearity, Op, Reverse};

/// For each of `leaves`, the gradient of the single number `loss` with respect
/// to it: zeros where the loss does not depend on it.
pub fn gradients(g: &mut Graph, loss: NodeId, leaves: &[NodeId]) -> Vec<NodeId> {
    let forward = g.len();
    let mut depends = vec![false; forward];
    for leaf in leaves {
        depends[leaf.index()] = true;
    }
    for id in g.ids() {
        depends[id.index()] |= g.operands(id).iter().any(|x| depends[x.index()]);
    }

    let mut gradient: Vec<Option<NodeId>> = vec![None; forward];
    let mut masks: Vec<Vec<Mask>> = vec![Vec::new(); forward];
    let shape = g.shape(loss).clone();
    gradient[loss.index()] = Some(g.filled(1.0, &shape));
    for id in (0..forward).rev().map(NodeId::new) {
        let Some(dy) = gradient[id.index()].filter(|_| depends[id.index()]) else { continue };
        let x = g.operands(id).to_vec();
        let wanted: Vec<bool> = x.iter().map(|x| depends[x.index()]).collect();
        if x.is_empty() {
            continue;
        }
        let op = g.op(id).clone();
        let contributions = op.gradient(g, &Reverse { x: &x, y: id, dy, requested: &wanted });
        let outer = std::mem::take(&mut masks[id.index()]);
        for (i, (contribution, wanted)) in contributions.into_iter().zip(wanted).enumerate() {
            if let Some(dx) = contribution.filter(|_| wanted) {
                debug_assert_eq!(g.shape(dx), g.shape(x[i]), "the gradient of {}", op.name());
                let dx = masked(g, &op, &outer, dx);
                let own = masks_of(g, &op, &outer, &x, i);
                let sum = match gradient[x[i].index()] {
                    Some(sum) => {
                        masks[x[i].index()].retain(|mask| own.contains(mask));
                        g.add(sum, dx)
                    }
                    None => {
                        masks[x[i].index()] = own;
                        dx
                    }
                };
                gradient[x[i].index()] = Some(sum);
            }
        }
    }
    let zeros = |g: &mut Graph, leaf: NodeId| {
        let shape = g.shape(leaf).clone();
        g.filled(0.0, &shape)
    };
    leaves.iter().map(|leaf| gradient[leaf.index()].unwrap_or_else(|| zeros(g, *leaf))).collect()
}

/// Elements whose gradient is 0 because another value is chosen in their place: where a condition is
/// not this.
type Mask = (NodeId, bool);

/// The gradient of an operand by an operation on results with these masks. Where the result is not
/// chosen its gradient is 0, and the product with a slope that is not finite would be NaN.
fn masked(g: &mut Graph, op: &Op, masks: &[Mask], dx: NodeId) -> NodeId {
    let is_passed = matches!(op.linearity(), Linearity::Sum(_));
    if masks.is_empty() || is_passed || !op.is_pointwise() {
        return dx;
    }
    let zero = g.constant(0.0);
    masks.iter().fold(dx, |dx, (condition, holds)| match holds {
        true => g.choose(*condition, dx, zero),
        false => g.choose(*condition, zero, dx),
    })
}

/// The masks of an operand's gradient, from those of the result's.
fn masks_of(g: &Graph, op: &Op, masks: &[Mask], x: &[NodeId], operand: usize) -> Vec<Mask> {
    if !op.is_pointwise() {
        return Vec::new();
    }
    let chosen = op.chosen_by(operand).map(|(condition, holds)| (x[condition], holds));
    let all = masks.iter().copied().chain(chosen);
    all.filter(|(condition, _)| g.shape(*condition) == g.shape(x[operand])).collect()
}
