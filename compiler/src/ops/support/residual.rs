//! What losses of a difference `x - target` share.

use super::{Mistake, Number, Reverse};
use crate::graph::{Graph, NodeId};
use crate::ops::minimum::Minimum;

/// A number that must not be negative, or must be greater than 0.
pub(in crate::ops) fn threshold(name: &str, x: f64, may_be_zero: bool) -> Result<Number, Mistake> {
    let fits = if may_be_zero { x >= 0.0 } else { x > 0.0 };
    match fits {
        true => Ok(Number(x as f32)),
        false => {
            let bound = if may_be_zero { "at least 0" } else { "greater than 0" };
            Err(Mistake::attribute(name, format!("`{name}` is {bound}, and not {x}")))
        }
    }
}

/// 1, 0 or -1 by the sign; NaN stays NaN.
pub(in crate::ops) fn sign(g: &mut Graph, x: NodeId) -> NodeId {
    let [zero, one, minus] = [0.0, 1.0, -1.0].map(|c| g.constant(c));
    let positive = g.greater(x, zero);
    let negative = g.greater(zero, x);
    let rest = g.select(negative, minus, x);
    g.select(positive, one, rest)
}

/// `x`, but at least `-bound` and at most `bound`; NaN stays NaN.
pub(in crate::ops) fn clamp(g: &mut Graph, x: NodeId, bound: f32) -> NodeId {
    let shape = g.shape(x).clone();
    let (low, high) = (g.constant(-bound), g.filled(bound, &shape));
    let below = g.apply(Minimum, &[x, high]);
    g.maximum(below, low)
}

/// The gradients of `x` and `target` from the slope at their difference.
pub(in crate::ops) fn gradients(
    g: &mut Graph,
    at: &Reverse<'_>,
    slope: NodeId,
) -> Vec<Option<NodeId>> {
    let dx = g.mul(at.dy, slope);
    let dtarget = g.neg(dx);
    vec![Some(dx), Some(dtarget)]
}
