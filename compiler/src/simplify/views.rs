//! Rewrites of views of views.

use crate::faults::{self, Fault};
use crate::graph::{Graph, NodeId};
use crate::ops::Op;

/// - `broadcast (broadcast x)` → `broadcast x`
/// - `reshape (reshape x)` → `reshape x`, or `x` if it has that shape
/// - `transpose (transpose x)` → `x` if the two are inverse
/// - `transpose x` by the identity → `x`
pub(super) fn rewrite(g: &mut Graph, op: &Op, x: &[NodeId]) -> Option<NodeId> {
    let inner = |x: NodeId| g.operands(x)[0];
    match (op, x.first().map(|x| g.op(*x))?) {
        (Op::Broadcast(outer), Op::Broadcast(_)) => {
            let x = inner(x[0]);
            Some(g.broadcast(x, &outer.shape))
        }
        (Op::Broadcast(outer), _) if outer.shape == *g.shape(x[0]) => Some(x[0]),
        (Op::Reshape(outer), _) if outer.dims == g.shape(x[0]).dims => Some(x[0]),
        (Op::Reshape(outer), Op::Reshape(_)) => {
            let x = inner(x[0]);
            let shape =
                crate::shape::Shape { batched: g.shape(x).batched, dims: outer.dims.clone() };
            Some(g.reshape(x, &shape))
        }
        (Op::Transpose(outer), found) => {
            let order = outer.permutation_of(g.ty(x[0]));
            if order.iter().enumerate().all(|(i, axis)| i == *axis) {
                return Some(x[0]);
            }
            let Op::Transpose(first) = found else { return None };
            let source = inner(x[0]);
            let first = first.permutation_of(g.ty(source));
            let both = order.iter().map(|axis| first[*axis]);
            let cancel = both.enumerate().all(|(i, axis)| i == axis)
                || (faults::is(Fault::CancelledTranspositions) && g.ty(source) == g.ty(x[0]));
            cancel.then_some(source)
        }
        _ => None,
    }
}
