//! The operation [`Cumsum`].

use super::{
    Attribute, AttributeKind, Attributes, Domain, Lowering, Op, Operand, Operation, Reverse,
    Sample, Signature, axis,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Total, Value};
use crate::graph::{Graph, NodeId};
use crate::ops::slice::Range;
use crate::shape::{Argument, Facts, Shape, Type};

/// Sums of the elements up to each one along an axis.
///
/// In the language: `cumsum(x, axis)`.
///
/// Computed in log₂ n rounds, each of which adds the elements 1, 2, 4, … places before: a product with a
/// triangle of ones would spread an infinity or a NaN to the sums before it.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = cumsum(x, axis = 0);
///     }
/// }
///
/// let x = array![[1.0, 2.0, 4.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![[1.0, 3.0, 7.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Cumsum {
    /// The axis, counted from the end if negative.
    pub axis: i64,
    /// Whether the sums are of the elements from each one on; internal.
    pub reverse: bool,
}

/// The axis of a cumulative operation; required.
pub(in crate::ops) const ALONG: &[Attribute] =
    &[Attribute { name: "axis", kind: AttributeKind::Axis, default: None }];

/// In log₂ n rounds, combines every element with the one 1, 2, 4, … places before (after, if `reverse`),
/// or with `neutral` where there is none.
pub(in crate::ops) fn scan(
    g: &mut Graph,
    x: NodeId,
    axis: i64,
    reverse: bool,
    neutral: f32,
    combine: impl Fn(&mut Graph, NodeId, NodeId) -> NodeId,
) -> NodeId {
    let axis = axis::resolve(axis, g.ty(x));
    let size = g.shape(x).sizes()[axis];
    let (mut y, mut distance) = (x, 1);
    while distance < size {
        let first = if reverse { distance } else { 0 };
        let near = g.slice(y, Range { axis, first, count: size - distance, step: 1 });
        let around = if reverse { [0, distance] } else { [distance, 0] };
        let near = g.pad(near, axis, around, neutral);
        y = combine(g, y, near);
        distance *= 2;
    }
    y
}

/// Samples along each axis of some shapes.
pub(in crate::ops) fn samples<O: Into<Op>>(
    size: usize,
    domain: Domain,
    op: impl Fn(i64) -> O,
) -> Vec<Sample> {
    let cases: [(i64, &[usize]); 4] =
        [(0, &[size]), (0, &[size, 3]), (1, &[2, size, 3]), (-1, &[3, size])];
    let mut samples: Vec<Sample> = cases
        .into_iter()
        .map(|(axis, dims)| {
            let ty = Type::real(Shape::batched(dims.iter().copied()));
            Sample::new(op(axis), [Operand::new(ty, domain)]).summing(size)
        })
        .collect();
    // The same for all examples.
    let x = Operand::new(Type::real(Shape::unbatched([3, size])), Domain::Normal(1.0));
    samples.push(Sample::new(op(0), [x]).summing(3));
    samples
}

impl Operation for Cumsum {
    const NAME: &'static str = "cumsum";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]).with(ALONG));

    fn from_call(attributes: &Attributes) -> Result<Cumsum, Mistake> {
        Ok(Cumsum { axis: attributes.axis("axis").unwrap_or(-1), reverse: false })
    }

    fn shape(&self, x: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        axis::unchanged(Self::NAME, self.axis, x[0])
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        axis::map_lanes(self.axis, x[0], at, |lane| {
            let upto = |i: usize| if self.reverse { &lane[i..] } else { &lane[..=i] };
            (0..lane.len()).map(|i| upto(i).iter().copied().total()).collect()
        })
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let back = Cumsum { reverse: !self.reverse, ..self.clone() };
        vec![Some(g.apply(back, &[at.dy]))]
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| {
            scan(g, x[0], self.axis, self.reverse, 0.0, |g, a, b| g.add(a, b))
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        let mut all = samples(size, Domain::Normal(1.0), |axis| Cumsum { axis, reverse: false });
        all.extend(samples(size, Domain::Normal(1.0), |axis| Cumsum { axis, reverse: true }));
        all
    }
}
