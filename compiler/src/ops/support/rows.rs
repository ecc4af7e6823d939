//! Shared code of losses that compare the rows (along the last axis) of two values of one shape, with
//! one result per row.

use super::{Domain, Op, Operand, Sample};
use crate::error::Mistake;
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Facts, Shape, Type};

/// The type of one value per row.
pub(in crate::ops) fn shape(
    name: &str,
    a: Argument<'_>,
    b: Argument<'_>,
    facts: &mut Facts,
) -> Result<Type, Mistake> {
    let mut shape = super::elementwise::shape(name, &[a, b], facts)?.shape;
    if shape.dims.pop().is_none() {
        let message =
            format!("`{name}` reduces the last axis, but `{}` is a single number", a.name);
        return Err(Mistake::operand(0, message));
    }
    if a.ty.shape.batched != b.ty.shape.batched {
        let (batched, shared) = if a.ty.shape.batched { (a, b) } else { (b, a) };
        let message = format!(
            "`{name}` compares rows, but `{}` has rows for each example and `{}` only one for all",
            batched.name, shared.name
        );
        return Err(Mistake::operand(1, message));
    }
    Ok(Type::real(shape))
}

/// The sum of each row.
pub(in crate::ops) fn sum(g: &mut Graph, x: NodeId) -> NodeId {
    let mut shape = g.shape(x).clone();
    let axis = shape.rank() - 1;
    shape.dims.pop();
    let sum = g.sum_axis(x, axis);
    g.reshape(sum, &shape)
}

/// Samples: two values, and an optional operand with one element per row.
pub(in crate::ops) fn samples<O: Into<Op> + Clone>(
    size: usize,
    domains: [Domain; 2],
    per_row: Option<Domain>,
    op: O,
) -> Vec<Sample> {
    [vec![], vec![3]]
        .into_iter()
        .map(|outer: Vec<usize>| {
            let values = Type::real(Shape::batched(outer.iter().copied().chain([size])));
            let rows = Type::real(Shape::batched(outer));
            let mut operands = domains.map(|d| Operand::new(values.clone(), d)).to_vec();
            operands.extend(per_row.map(|d| Operand::new(rows, d)));
            Sample::new(op.clone(), operands).summing(size)
        })
        .collect()
}
