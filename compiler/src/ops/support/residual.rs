//! Shared code of losses of the residual `x - target`.

use super::{Mistake, Number, Reverse};
use crate::graph::{Graph, NodeId};
use crate::ops::minimum::Minimum;

/// An attribute that must be at least 0, or greater than 0.
pub(in crate::ops) fn threshold(name: &str, x: f64, may_be_zero: bool) -> Result<Number, Mistake> {
    let is_valid = if may_be_zero { x >= 0.0 } else { x > 0.0 };
    match is_valid {
        true => Ok(Number(x as f32)),
        false => {
            let bound = if may_be_zero { "at least 0" } else { "greater than 0" };
            Err(Mistake::attribute(name, format!("`{name}` must be {bound}, but is {x}")))
        }
    }
}

/// 1, 0 or -1 by the sign; NaN stays NaN.
pub(in crate::ops) fn sign(g: &mut Graph, x: NodeId) -> NodeId {
    let [zero, one, minus] = [0.0, 1.0, -1.0].map(|c| g.constant(c));
    let positive = g.greater(x, zero);
    let negative = g.greater(zero, x);
    let nonpositive = g.select(negative, minus, x);
    g.select(positive, one, nonpositive)
}

/// `x` clamped to `-bound` and `bound`; NaN stays NaN.
pub(in crate::ops) fn clamp(g: &mut Graph, x: NodeId, bound: f32) -> NodeId {
    let shape = g.shape(x).clone();
    let (low, high) = (g.constant(-bound), g.filled(bound, &shape));
    let below = g.apply(Minimum, &[x, high]);
    g.maximum(below, low)
}

/// The gradients of `x` and `target` from the derivative at their difference.
pub(in crate::ops) fn gradients(
    g: &mut Graph,
    at: &Reverse<'_>,
    slope: NodeId,
) -> Vec<Option<NodeId>> {
    let dx = g.mul(at.dy, slope);
    let dtarget = g.neg(dx);
    vec![Some(dx), Some(dtarget)]
}
