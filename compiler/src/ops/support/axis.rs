//! What functions over an axis share: `sum`, `mean`, `amax`, `softmax`.

use super::reduce::{Axis, Reduction};
use super::{Attribute, AttributeKind, Attributes, Domain, Op, Operand, Reverse, Sample};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Shape, Type, resolve_axis};

/// Which axis a function reduces: all of the example's by default.
pub(in crate::ops) const OVER: Attribute =
    Attribute { name: "axis", kind: AttributeKind::Axis, default: Some("all") };

/// Along which axis a function goes: the last by default.
pub(in crate::ops) const ALONG: Attribute =
    Attribute { name: "axis", kind: AttributeKind::Axis, default: Some("-1") };

/// What [`ALONG`] says.
pub(in crate::ops) fn along(attributes: &Attributes) -> i64 {
    attributes.axis("axis").unwrap_or(-1)
}

/// The type of a value with one axis gone, or all of the example's.
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

/// The type of a value whose lanes along an axis become others.
pub(in crate::ops) fn replaced(name: &str, axis: i64, x: Argument<'_>) -> Result<Type, Mistake> {
    reduced(name, Some(axis), x).map(|_| x.ty.clone())
}

/// The axes to reduce, of an operand that has been checked.
pub(in crate::ops) fn axes(axis: Option<i64>, ty: &Type) -> Vec<usize> {
    match axis {
        Some(axis) => vec![one(axis, ty)],
        None => (0..ty.shape.rank()).collect(),
    }
}

/// The axis, of an operand that has been checked.
pub(in crate::ops) fn one(axis: i64, ty: &Type) -> usize {
    resolve_axis(axis, Argument { name: "", ty }).expect("the shape function has checked it")
}

/// The operand's shape with the reduced axes kept at size one.
pub(in crate::ops) fn kept(axis: Option<i64>, ty: &Type) -> Shape {
    axes(axis, ty).into_iter().fold(ty.shape.clone(), |shape, axis| shape.with(axis, 1))
}

/// The number of elements that are reduced to one.
pub(in crate::ops) fn count(axis: Option<i64>, ty: &Type) -> usize {
    axes(axis, ty).into_iter().map(|a| ty.shape.sizes()[a]).product()
}

/// Reduces each lane of plain numbers.
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
            let axis = at.array_axis(0, one(axis, at.operands[0]));
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

/// Replaces each lane of plain numbers along an axis.
#[cfg(feature = "eval")]
pub(in crate::ops) fn map_lanes<T: Real>(
    axis: i64,
    x: &Value<T>,
    at: &Evaluation<'_>,
    map: impl Fn(&[T]) -> Vec<T>,
) -> Value<T> {
    let axis = at.array_axis(0, one(axis, at.operands[0]));
    let mut array = x.array().clone();
    for mut lane in array.lanes_mut(ndarray::Axis(axis)) {
        let mapped = map(&lane.to_vec());
        lane.assign(&ndarray::ArrayView1::from(&mapped));
    }
    Value::Real(array)
}

/// Single-axis reductions, the last axis first.
pub(in crate::ops) fn expand(
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

/// The gradient of the largest or the smallest of each lane: those that are it share it evenly.
pub(in crate::ops) fn extreme_gradient(
    axis: Option<i64>,
    g: &mut Graph,
    at: &Reverse<'_>,
) -> Vec<Option<NodeId>> {
    let x = at.x[0];
    let kept = kept(axis, g.ty(x));
    let (y, dy) = (g.reshape(at.y, &kept), g.reshape(at.dy, &kept));
    let is_it = g.equal(x, y);
    let count = g.sum_to(is_it, &kept);
    let share = g.div(dy, count);
    vec![Some(g.mul(is_it, share))]
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

/// Samples along each axis of some shapes, of numbers whose exponentials are far apart.
pub(in crate::ops) fn samples_along<O: Into<Op>>(
    size: usize,
    op: impl Fn(i64) -> O,
) -> Vec<Sample> {
    let mut samples = samples(size, Domain::Normal(3.0), |axis| op(axis.unwrap_or(-1)));
    samples.retain(|sample| sample.operands[0].ty.shape.rank() > 0);
    samples
}
