//! The operation [`RepeatInterleave`].

use super::{
    Attribute, AttributeKind, Attributes, Domain, Lowering, Operand, Operation, Reverse, Sample,
    Signature,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::ops::repeat::{repeated, repeated_back, shape};
#[cfg(feature = "eval")]
use crate::ops::slice::select;
use crate::shape::{Argument, Facts, Shape, Type};

/// Each element of one axis several times.
///
/// In the language: `repeat_interleave(x, times, axis = 0)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [2];
///         output y = repeat_interleave(x, 2);
///     }
/// }
///
/// let x = array![[1.0, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![[1.0, 1.0, 2.0, 2.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct RepeatInterleave {
    /// How often; at least 1.
    pub times: usize,
    /// The axis of the example; negative ones count from the last.
    pub axis: i64,
}

impl Operation for RepeatInterleave {
    const NAME: &'static str = "repeat_interleave";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]).with(&[
        Attribute { name: "times", kind: AttributeKind::Integer, default: None },
        Attribute { name: "axis", kind: AttributeKind::Axis, default: Some("0") },
    ]));

    fn from_call(attributes: &Attributes) -> Result<RepeatInterleave, Mistake> {
        let axis = attributes.axis("axis").unwrap_or(0);
        Ok(RepeatInterleave { times: attributes.integer("times").unwrap_or(1), axis })
    }

    fn shape(&self, x: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        shape(Self::NAME, self.times, self.axis, x[0])
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        let axis = at.array_axis(0, super::axis::resolve(self.axis, at.operands[0]));
        let size = x[0].sizes()[axis];
        let positions: Vec<usize> = (0..size * self.times).map(|i| i / self.times).collect();
        select(x[0], axis, &positions)
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        vec![Some(repeated_back(g, at, self.times, self.axis, 1))]
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| repeated(g, x[0], self.times, self.axis, 1)))
    }

    fn samples(size: usize) -> Vec<Sample> {
        let real = |shape| Operand::new(Type::real(shape), Domain::Normal(1.0));
        let of = |times, axis| RepeatInterleave { times, axis };
        vec![
            Sample::new(of(3, 0), [real(Shape::batched([size]))]),
            Sample::new(of(2, -1), [real(Shape::batched([3, size]))]),
            Sample::new(of(2, 1), [real(Shape::unbatched([2, size, 3]))]),
            Sample::new(of(1, 0), [real(Shape::batched([size]))]),
        ]
    }
}
