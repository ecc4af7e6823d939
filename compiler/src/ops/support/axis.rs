//! Shared code of operations over an axis: `sum`, `mean`, `amax`, `softmax`.

use super::reduce::{Axis, Reduction};
use super::{Attribute, AttributeKind, Attributes, Domain, Op, Operand, Reverse, Sample};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Shape, Type, resolve_axis};

/// The axis of a reduction; default all axes of the example.
pub(in crate::ops) const REDUCED: Attribute =
    Attribute { name: "axis", kind: AttributeKind::Axis, default: Some("all") };

/// The axis along which an operation maps lanes; default the last.
pub(in crate::ops) const LANES: Attribute =
    Attribute { name: "axis", kind: AttributeKind::Axis, default: Some("-1") };

/// The value of [`LANES`].
pub(in crate::ops) fn lanes(attributes: &Attributes) -> i64 {
    attributes.axis("axis").unwrap_or(-1)
}

/// The type of a value without one axis, or without all axes of the example.
pub(in crate::ops) fn reduced(
    name: &str,
    axis: Option<i64>,
    x: Argument<'_>,
) -> Result<Type, Mistake> {
    super::elementwise::require_real(name, 0, x)?;
    let mut shape = x.ty.shape.clone();
    match axis {
        Some(axis) => {
            shape.dims.remove(resolve_axis(axis, x)?);
        }
        None => shape.dims.clear(),
    }
    Ok(Type::real(shape))
}

/// The type of a value whose lanes along an axis are mapped: unchanged, if the axis exists.
pub(in crate::ops) fn unchanged(name: &str, axis: i64, x: Argument<'_>) -> Result<Type, Mistake> {
    reduced(name, Some(axis), x).map(|_| x.ty.clone())
}

/// The axes to reduce, of a checked operand.
pub(in crate::ops) fn axes(axis: Option<i64>, ty: &Type) -> Vec<usize> {
    match axis {
        Some(axis) => vec![resolve(axis, ty)],
        None => (0..ty.shape.rank()).collect(),
    }
}

/// The axis as an index, of a checked operand.
pub(in crate::ops) fn resolve(axis: i64, ty: &Type) -> usize {
    resolve_axis(axis, Argument { name: "", ty }).expect("the shape function has checked it")
}

/// The operand's shape with size 1 for the reduced axes, as PyTorch's `keepdim`.
pub(in crate::ops) fn keepdim(axis: Option<i64>, ty: &Type) -> Shape {
    axes(axis, ty).into_iter().fold(ty.shape.clone(), |shape, axis| shape.with(axis, 1))
}

/// The number of elements that are reduced to one result.
pub(in crate::ops) fn count(axis: Option<i64>, ty: &Type) -> usize {
    axes(axis, ty).into_iter().map(|a| ty.shape.sizes()[a]).product()
}

/// Reduces each lane, for the interpreter.
#[cfg(feature = "eval")]
pub(in crate::ops) fn evaluate<T: Real>(
    axis: Option<i64>,
    x: &Value<T>,
    at: &Evaluation<'_>,
    reduce: impl Fn(&mut dyn Iterator<Item = &T>) -> T,
) -> Value<T> {
    let sizes = at.sizes();
    let elements = match axis {
        Some(axis) => {
            let axis = at.array_axis(0, resolve(axis, at.operands[0]));
            let lanes = x.array().map_axis(ndarray::Axis(axis), |lane| reduce(&mut lane.iter()));
            lanes.iter().copied().collect()
        }
        None => {
            let rows = sizes.iter().product::<usize>();
            let x = x.reals();
            let width = x.len() / rows;
            (0..rows).map(|r| reduce(&mut x[r * width..(r + 1) * width].iter())).collect()
        }
    };
    Value::real(&sizes, elements)
}

/// Maps each lane along an axis, for the interpreter.
#[cfg(feature = "eval")]
pub(in crate::ops) fn map_lanes<T: Real>(
    axis: i64,
    x: &Value<T>,
    at: &Evaluation<'_>,
    map: impl Fn(&[T]) -> Vec<T>,
) -> Value<T> {
    let axis = at.array_axis(0, resolve(axis, at.operands[0]));
    let mut array = x.array().clone();
    for mut lane in array.lanes_mut(ndarray::Axis(axis)) {
        let mapped = map(&lane.to_vec());
        lane.assign(&ndarray::ArrayView1::from(&mapped));
    }
    Value::Real(array)
}

/// A reduction as reductions of single axes, the last axis first.
pub(in crate::ops) fn decompose(
    reduction: Reduction,
    axis: Option<i64>,
    g: &mut Graph,
    x: NodeId,
) -> NodeId {
    let ty = g.ty(x).clone();
    let mut y = x;
    for axis in axes(axis, &ty).into_iter().rev() {
        y = g.reduce(reduction, Axis::Example(axis), y);
    }
    let shape = reduced("", axis, Argument { name: "", ty: &ty });
    g.reshape(y, &shape.expect("the shape function has checked it").shape)
}

/// The gradient of the maximum or minimum of each lane, divided evenly among equal extrema.
pub(in crate::ops) fn extreme_gradient(
    axis: Option<i64>,
    g: &mut Graph,
    at: &Reverse<'_>,
) -> Vec<Option<NodeId>> {
    let x = at.x[0];
    let keepdim = keepdim(axis, g.ty(x));
    let (y, dy) = (g.reshape(at.y, &keepdim), g.reshape(at.dy, &keepdim));
    let is_extreme = g.equal(x, y);
    let count = g.sum_to(is_extreme, &keepdim);
    let share = g.div(dy, count);
    vec![Some(g.mul(is_extreme, share))]
}

/// Samples over each axis of some shapes, and over all.
pub(in crate::ops) fn samples<O: Into<Op>>(
    size: usize,
    domain: Domain,
    op: impl Fn(Option<i64>) -> O,
) -> Vec<Sample> {
    let cases: [(Option<i64>, &[usize]); 5] = [
        (Some(-1), &[size]),
        (Some(0), &[size, 3]),
        (Some(1), &[2, size, 3]),
        (None, &[3, size]),
        (None, &[]),
    ];
    cases
        .into_iter()
        .map(|(axis, dims)| {
            let ty = Type::real(Shape::batched(dims.iter().copied()));
            Sample::new(op(axis), [Operand::new(ty, domain)]).summing(3 * size)
        })
        .collect()
}

/// Samples along each axis of some shapes, with numbers whose exponentials vary widely.
pub(in crate::ops) fn samples_along<O: Into<Op>>(
    size: usize,
    op: impl Fn(i64) -> O,
) -> Vec<Sample> {
    let mut samples = samples(size, Domain::Normal(3.0), |axis| op(axis.unwrap_or(-1)));
    samples.retain(|sample| sample.operands[0].ty.shape.rank() > 0);
    samples
}
