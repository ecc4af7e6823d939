//! Algebraic rewrites: identities, and pairs of operations that are equal to one.

use super::constants::value;
use crate::faults::{self, Fault};
use crate::graph::{Graph, NodeId};
use crate::ops::Op;
use crate::ops::compare_position::ComparePosition;
use crate::ops::reduce::Axis;

/// - `x + 0`, `0 + x`, `x - 0`, `x · 1`, `1 · x`, `x / 1` → `x`
/// - `0 - x` → `-x`; `x · -1` → `-x`
/// - `-(-x)` → `x`; `a + (-b)` → `a - b`; `a - (-b)` → `a + b`
/// - `x / c` → `x · (1/c)` for a power of two `c`
/// - `reduce x` over an axis of size 1 → `x`
/// - comparisons with positions on an axis of size 1 → their result
pub(super) fn rewrite(g: &mut Graph, op: &Op, x: &[NodeId]) -> Option<NodeId> {
    let constant = |i: usize| value(g, x[i]);
    let negated = |i: usize| match g.op(x[i]) {
        Op::Neg(_) => Some(g.operands(x[i])[0]),
        _ => None,
    };
    match op {
        Op::Add(_) if constant(1) == Some(0.0) => Some(x[0]),
        Op::Add(_) if constant(0) == Some(0.0) => Some(x[1]),
        Op::Add(_) => {
            let b = negated(1)?;
            if faults::is(Fault::AddedNegation) {
                return Some(g.add(x[0], b));
            }
            Some(g.sub(x[0], b))
        }
        Op::Sub(_) if constant(1) == Some(0.0) => Some(x[0]),
        Op::Sub(_) if constant(0) == Some(0.0) && faults::is(Fault::ZeroMinus) => Some(x[1]),
        Op::Sub(_) if constant(0) == Some(0.0) => Some(g.neg(x[1])),
        Op::Sub(_) => {
            let b = negated(1)?;
            Some(g.add(x[0], b))
        }
        Op::Mul(_) if constant(1) == Some(1.0) => Some(x[0]),
        Op::Mul(_) if constant(0) == Some(1.0) => Some(x[1]),
        Op::Mul(_) if constant(1) == Some(-1.0) => Some(g.neg(x[0])),
        Op::Mul(_) if constant(0) == Some(-1.0) => Some(g.neg(x[1])),
        Op::Div(_) if constant(1) == Some(1.0) => Some(x[0]),
        Op::Div(_) => {
            let inverse = exact_inverse(constant(1)?)?;
            let inverse = if faults::is(Fault::DivisionByPower) { 1.0 / inverse } else { inverse };
            Some(g.scale(x[0], inverse))
        }
        Op::Neg(_) => negated(0),
        Op::Reduce(reduce) => {
            let shape = g.shape(x[0]);
            match reduce.axis {
                Axis::Example(axis) if shape.sizes()[axis] == 1 => Some(x[0]),
                _ => None,
            }
        }
        Op::ComparePosition(compare) if g.shape(x[0]).sizes().last() == Some(&1) => {
            // The only index below 1 is 0.
            let holds = match compare {
                ComparePosition::Equal => 1.0,
                ComparePosition::Before => 0.0,
            };
            let shape = g.shape(x[0]).clone();
            Some(g.filled(holds, &shape))
        }
        _ => None,
    }
}

/// `1/c` where that is exact: for powers of two whose inverse is normal.
fn exact_inverse(c: f32) -> Option<f32> {
    let inverse = 1.0 / c;
    (c.is_normal() && inverse.is_normal() && c.to_bits() & 0x7F_FFFF == 0).then_some(inverse)
}
