//! The gradient of a composite through the operations that it is made of.

use std::collections::BTreeMap;

use super::Reverse;
use crate::graph::{Graph, NodeId};

/// The gradients of the operands of a composite that `build` makes of other operations. Its nodes are
/// those of the decomposition, so that the graph holds each once.
pub(in crate::ops) fn gradient(
    g: &mut Graph,
    at: &Reverse<'_>,
    build: impl FnOnce(&mut Graph, &[NodeId]) -> NodeId,
) -> Vec<Option<NodeId>> {
    let y = build(g, at.x);
    // Each node from the result back to the operands, and whether it depends on a requested one.
    let mut between: BTreeMap<NodeId, bool> = at.x.iter().map(|x| (*x, false)).collect();
    for (x, requested) in at.x.iter().zip(at.requested) {
        *between.entry(*x).or_default() |= requested;
    }
    mark(g, y, &mut between);
    let mut gradient: BTreeMap<NodeId, NodeId> = BTreeMap::from([(y, at.dy)]);
    for id in between.keys().rev().copied().filter(|id| between[id] && !at.x.contains(id)) {
        let Some(dy) = gradient.get(&id).copied() else { continue };
        let x = g.operands(id).to_vec();
        let requested: Vec<bool> =
            x.iter().map(|x| between.get(x).copied().unwrap_or(false)).collect();
        let op = g.op(id).clone();
        let contributions = op.gradient(g, &Reverse { x: &x, y: id, dy, requested: &requested });
        for ((x, dx), _) in x.into_iter().zip(contributions).zip(requested).filter(|(_, r)| *r) {
            let Some(dx) = dx else { continue };
            let sum = match gradient.get(&x) {
                Some(sum) => g.add(*sum, dx),
                None => dx,
            };
            gradient.insert(x, sum);
        }
    }
    // An operand that is passed twice has its gradient once.
    at.x.iter().map(|x| gradient.remove(x)).collect()
}

/// Notes for every node from `id` back to known ones whether it depends on one that is `true`.
fn mark(g: &Graph, id: NodeId, between: &mut BTreeMap<NodeId, bool>) -> bool {
    if let Some(known) = between.get(&id) {
        return *known;
    }
    let mut depends = false;
    for x in g.operands(id) {
        depends |= mark(g, *x, between);
    }
    between.insert(id, depends);
    depends
}
