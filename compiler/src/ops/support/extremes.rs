//! Shared code of `argmax` and `argmin`: positions of largest elements, as reals.

use super::axis::{self, Reduced};
use super::{Attribute, AttributeKind, Number};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::graph::{Graph, NodeId};
use crate::ops::slice::fixed;
use crate::shape::{Argument, Shape, Type};

/// The number of positions that are exact as reals.
const MOST: usize = 1 << 24;

/// The axis; default all elements of the example.
pub(in crate::ops) const ALONG: Attribute =
    Attribute { name: "axis", kind: AttributeKind::Axis, default: Some("all") };

/// The type of positions along an axis, or among all elements.
pub(in crate::ops) fn shape(
    name: &str,
    over: Option<i64>,
    x: Argument<'_>,
) -> Result<Type, Mistake> {
    let reduced = Reduced::one(over);
    let ty = reduced.shape(name, x)?;
    let mut count = 1usize;
    for axis in reduced.axes(x.ty) {
        count = count.saturating_mul(fixed(name, axis, x)?);
    }
    match count > MOST {
        true => Err(Mistake::operand(
            0,
            format!(
                "`{name}` returns positions as reals, which are exact up to {MOST}, but there are \
                 {count} elements of `{}`",
                x.name
            ),
        )),
        false => Ok(ty),
    }
}

/// The position of the first largest element, or of the first NaN, for the interpreter.
#[cfg(feature = "eval")]
pub(in crate::ops) fn first_largest<T: Real>(lane: &[T]) -> T {
    let mut best = 0;
    for (i, x) in lane.iter().enumerate() {
        if !lane[best].is_nan() && (x.is_nan() || *x > lane[best]) {
            best = i;
        }
    }
    T::of(best as f32)
}

/// The position of the first largest element along an axis, or among all elements.
pub(in crate::ops) fn position(g: &mut Graph, x: NodeId, over: Option<i64>) -> NodeId {
    let ty = g.ty(x).clone();
    let reduced = Reduced::one(over).result(&ty);
    let (x, along) = match over {
        Some(over) => (x, axis::resolve(over, &ty)),
        None => {
            let count: usize = ty.shape.sizes().iter().product();
            let dims = vec![count.into()];
            (g.reshape(x, &Shape { batched: ty.shape.batched, dims }), 0)
        }
    };
    let shape = g.shape(x).clone();
    let count = shape.sizes()[along];
    let largest = g.max_axis(x, along);
    let is_largest = g.equal(x, largest);
    // The largest is NaN if an element is.
    let (is_number, one) = (g.equal(x, x), g.constant(1.0));
    let is_largest = g.select(is_number, is_largest, one);
    // The first position is the largest of their negatives.
    let minus: Vec<Number> = (0..count).map(|i| Number(-(i as f32))).collect();
    let minus = g.vector(minus);
    let ones = shape.dims.iter().map(|_| 1.into()).collect();
    let row = Shape { batched: false, dims: ones }.with(along, count);
    let minus = g.reshape(minus, &row);
    let lowest = g.constant(f32::NEG_INFINITY);
    let candidates = g.select(is_largest, minus, lowest);
    let first = g.max_axis(candidates, along);
    let first = g.neg(first);
    g.reshape(first, &reduced)
}
