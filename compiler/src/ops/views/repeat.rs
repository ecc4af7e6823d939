//! The operation [`Repeat`].

use super::{
    Attribute, AttributeKind, Attributes, Domain, Lowering, Operand, Operation, Reverse, Sample,
    Signature, elementwise,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::ops::reduce::{Axis, Reduction};
use crate::ops::slice::fixed;
#[cfg(feature = "eval")]
use crate::ops::slice::select;
use crate::shape::{Argument, Facts, Shape, Type, resolve_axis};

/// All elements of one axis several times, one after the other.
///
/// In the language: `repeat(x, times, axis = 0)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [2];
///         output y = repeat(x, 2);
///     }
/// }
///
/// let x = array![[1.0, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![[1.0, 2.0, 1.0, 2.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Repeat {
    /// How often; at least 1.
    pub times: usize,
    /// The axis of the example; negative ones count from the last.
    pub axis: i64,
}

impl Operation for Repeat {
    const NAME: &'static str = "repeat";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]).with(&[
        Attribute { name: "times", kind: AttributeKind::Integer, default: None },
        Attribute { name: "axis", kind: AttributeKind::Axis, default: Some("0") },
    ]));

    fn from_call(attributes: &Attributes) -> Result<Repeat, Mistake> {
        let axis = attributes.axis("axis").unwrap_or(0);
        Ok(Repeat { times: attributes.integer("times").unwrap_or(1), axis })
    }

    fn shape(&self, x: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        shape(Self::NAME, self.times, self.axis, x[0])
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        let axis = at.array_axis(0, super::axis::resolve(self.axis, at.operands[0]));
        let size = x[0].sizes()[axis];
        let positions: Vec<usize> = (0..size * self.times).map(|i| i % size).collect();
        select(x[0], axis, &positions)
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        vec![Some(repeated_back(g, at, self.times, self.axis, 0))]
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| repeated(g, x[0], self.times, self.axis, 0)))
    }

    fn samples(size: usize) -> Vec<Sample> {
        let real = |shape| Operand::new(Type::real(shape), Domain::Normal(1.0));
        let of = |times, axis| Repeat { times, axis };
        vec![
            Sample::new(of(3, 0), [real(Shape::batched([size]))]),
            Sample::new(of(2, -1), [real(Shape::batched([3, size]))]),
            Sample::new(of(2, 1), [real(Shape::unbatched([2, size, 3]))]),
            Sample::new(of(1, 0), [real(Shape::batched([size]))]),
        ]
    }
}

/// The type of a value whose elements along an axis are repeated.
pub(in crate::ops) fn shape(
    name: &str,
    times: usize,
    axis: i64,
    x: Argument<'_>,
) -> Result<Type, Mistake> {
    elementwise::require_real(name, 0, x)?;
    let axis = resolve_axis(axis, x)?;
    if times == 0 {
        return Err(Mistake::attribute("times", "`times` must be at least 1"));
    }
    let size = fixed(name, axis, x)?.saturating_mul(times);
    Ok(Type::real(x.ty.shape.with(axis, size)))
}

/// The shape of an operand with an axis for the repetitions: `after` axes behind the repeated one.
fn with_times(g: &Graph, x: NodeId, times: usize, axis: i64, after: usize) -> (usize, Shape) {
    let axis = super::axis::resolve(axis, g.ty(x)) + after;
    let mut shape = g.shape(x).clone();
    shape.dims.insert(axis, times.into());
    (axis, shape)
}

/// A value whose elements along an axis are repeated: all of them, or (`after` 1) each of them.
pub(in crate::ops) fn repeated(
    g: &mut Graph,
    x: NodeId,
    times: usize,
    axis: i64,
    after: usize,
) -> NodeId {
    let (new, to) = with_times(g, x, times, axis, after);
    let from = to.with(new, 1);
    let apart = g.reshape(x, &from);
    let repeated = g.broadcast(apart, &to);
    let along = new - after;
    let mut joined = g.shape(x).clone();
    joined.dims[along] = (joined.sizes()[along] * times).into();
    g.reshape(repeated, &joined)
}

/// The gradient of [`repeated`].
pub(in crate::ops) fn repeated_back(
    g: &mut Graph,
    at: &Reverse<'_>,
    times: usize,
    axis: i64,
    after: usize,
) -> NodeId {
    let (new, to) = with_times(g, at.x[0], times, axis, after);
    let apart = g.reshape(at.dy, &to);
    let sum = g.reduce(Reduction::Sum, Axis::Example(new), apart);
    let shape = g.shape(at.x[0]).clone();
    g.reshape(sum, &shape)
}
