//! Symbolic differentiation: takes a graph with a loss, adds the nodes of its
//! gradient with respect to some leaves, and returns them. Nothing is recorded
//! at run time.
//!
//! Only nodes on a path from those leaves to the loss are differentiated.

use crate::graph::{Graph, NodeId};
use crate::ops::Reverse;

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
        for ((x, contribution), wanted) in x.into_iter().zip(contributions).zip(wanted) {
            if let Some(dx) = contribution.filter(|_| wanted) {
                debug_assert_eq!(g.shape(dx), g.shape(x), "the gradient of {}", op.name());
                let sum = match gradient[x.index()] {
                    Some(sum) => g.add(sum, dx),
                    None => dx,
                };
                gradient[x.index()] = Some(sum);
            }
        }
    }
    let zeros = |g: &mut Graph, leaf: NodeId| {
        let shape = g.shape(leaf).clone();
        g.filled(0.0, &shape)
    };
    leaves.iter().map(|leaf| gradient[leaf.index()].unwrap_or_else(|| zeros(g, *leaf))).collect()
}
