//! Constant folding.

use crate::expr::{Expressions, Term};
use crate::graph::{Graph, NodeId};
use crate::ops::{Lowering, Op};
use crate::shape::Shape;

/// - `f(c)` → the number `f(c)`, with the arithmetic of machine code
/// - `f(broadcast c)` → `broadcast f(c)`
/// - a vector of equal numbers `c` → `broadcast c`
pub(super) fn rewrite(g: &mut Graph, op: &Op, operands: &[NodeId]) -> Option<NodeId> {
    if let Lowering::Numbers([first, others @ ..]) = op.lower()
        && others.iter().all(|x| x == first)
    {
        return Some(g.filled(first.0, &Shape::unbatched([others.len() + 1])));
    }
    let Lowering::Elementwise(formula) = op.lower() else { return None };
    if op.memory_order().is_some() {
        return None;
    }
    let values: Option<Vec<f32>> = operands.iter().map(|x| value(g, *x)).collect();
    let mut e = Expressions::default();
    let x: Vec<_> = values?.into_iter().map(|v| e.float(v)).collect();
    let y = formula(&mut e, &x);
    let Term::Float(bits) = *e.term(y) else { return None };
    let shape = g.shape(*operands.first()?).clone();
    Some(g.filled(f32::from_bits(bits), &shape))
}

/// The number that all elements of a node are equal to, if it is a constant.
pub fn value(g: &Graph, id: NodeId) -> Option<f32> {
    match g.op(id) {
        Op::Constant(c) => Some(c.0.0),
        Op::Broadcast(_) | Op::Reshape(_) | Op::Slice(_) => value(g, g.operands(id)[0]),
        _ => None,
    }
}
