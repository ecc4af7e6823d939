//! Shared code of reductions over the examples of a batch.

use super::reduce::{Axis, Reduction};
use super::{Attribute, AttributeKind, Domain, Op, Operand, Reverse, Sample, elementwise};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Shape, Type};

/// Whether outputs may depend on the other examples of a batch.
pub(in crate::ops) const PREDICT: Attribute =
    Attribute { name: "predict", kind: AttributeKind::Flag, default: Some("false") };

/// The type of a value over all examples: that of one.
pub(in crate::ops) fn shape(name: &str, x: Argument<'_>) -> Result<Type, Mistake> {
    elementwise::require_real(name, 0, x)?;
    let shape = &x.ty.shape;
    match shape.batched {
        true => Ok(Type::real(Shape { batched: false, ..shape.clone() })),
        false => Err(Mistake::operand(
            0,
            format!("`{}` is one value for all examples: `{name}` has no batch to reduce", x.name),
        )),
    }
}

/// Reduces each element of the examples, for the interpreter.
#[cfg(feature = "eval")]
pub(in crate::ops) fn evaluate<T: Real>(
    x: &Value<T>,
    at: &Evaluation<'_>,
    reduce: impl Fn(&mut dyn Iterator<Item = T>) -> T,
) -> Value<T> {
    let elements = x.reals();
    let width = elements.len() / at.batch;
    let reduced = (0..width).map(|i| reduce(&mut elements[i..].iter().copied().step_by(width)));
    Value::real(&at.sizes(), reduced.collect())
}

/// The gradient of the maximum or minimum, divided evenly among equal extrema.
pub(in crate::ops) fn extreme_gradient(g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
    let is_extreme = g.equal(at.x[0], at.y);
    let count = g.reduce(Reduction::Sum, Axis::Batch, is_extreme);
    let share = g.div(at.dy, count);
    vec![Some(g.mul(is_extreme, share))]
}

/// Samples of examples of some shapes.
pub(in crate::ops) fn samples(size: usize, domain: Domain, op: impl Into<Op>) -> Vec<Sample> {
    let op = op.into();
    let shapes: [&[usize]; 3] = [&[size], &[size, 3], &[]];
    let sample = |dims: &[usize]| {
        let ty = Type::real(Shape::batched(dims.iter().copied()));
        Sample::new(op.clone(), [Operand::new(ty, domain)]).summing(40)
    };
    shapes.map(sample).into()
}
