//! The operation [`Roll`].

use super::{
    Attribute, AttributeKind, Attributes, Domain, Lowering, Operand, Operation, Reverse, Sample,
    Signature, elementwise,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
#[cfg(feature = "eval")]
use crate::ops::slice::select;
use crate::ops::slice::{Range, fixed};
use crate::shape::{Argument, Facts, Shape, Type, resolve_axis};

/// The elements of one axis moved by some positions; those beyond the end come first.
///
/// In the language: `roll(x, shift, axis = 0)`. A negative shift moves towards the start.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [4];
///         output y = roll(x, 1);
///     }
/// }
///
/// let x = array![[1.0, 2.0, 3.0, 4.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![[4.0, 1.0, 2.0, 3.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Roll {
    /// The number of positions by which each element moves.
    pub shift: i64,
    /// The axis of the example; negative ones count from the last.
    pub axis: i64,
}

impl Operation for Roll {
    const NAME: &'static str = "roll";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]).with(&[
        Attribute { name: "shift", kind: AttributeKind::Axis, default: None },
        Attribute { name: "axis", kind: AttributeKind::Axis, default: Some("0") },
    ]));

    fn from_call(attributes: &Attributes) -> Result<Roll, Mistake> {
        let axis = attributes.axis("axis").unwrap_or(0);
        Ok(Roll { shift: attributes.axis("shift").unwrap_or(0), axis })
    }

    fn shape(&self, x: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        elementwise::require_real(Self::NAME, 0, x[0])?;
        fixed(Self::NAME, resolve_axis(self.axis, x[0])?, x[0])?;
        Ok(x[0].ty.clone())
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        let axis = at.array_axis(0, super::axis::resolve(self.axis, at.operands[0]));
        let size = x[0].sizes()[axis];
        let moved = |i: usize| (i as i64).wrapping_sub(self.shift).rem_euclid(size as i64);
        let positions: Vec<usize> = (0..size).map(|i| moved(i) as usize).collect();
        select(x[0], axis, &positions)
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        vec![Some(rolled(g, at.dy, self.axis, self.shift.wrapping_neg()))]
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| rolled(g, x[0], self.axis, self.shift)))
    }

    fn samples(size: usize) -> Vec<Sample> {
        let real = |shape| Operand::new(Type::real(shape), Domain::Normal(1.0));
        let by = |shift, axis| Roll { shift, axis };
        vec![
            Sample::new(by(1, 0), [real(Shape::batched([size]))]),
            Sample::new(by(-2, -1), [real(Shape::batched([2, size]))]),
            Sample::new(by(2 * size as i64 + 1, 1), [real(Shape::unbatched([2, size, 3]))]),
            Sample::new(by(0, 0), [real(Shape::batched([size]))]),
        ]
    }
}

fn rolled(g: &mut Graph, x: NodeId, axis: i64, shift: i64) -> NodeId {
    let axis = super::axis::resolve(axis, g.ty(x));
    let size = g.shape(x).sizes()[axis];
    let first = shift.rem_euclid(size as i64) as usize;
    if first == 0 {
        return x;
    }
    let all = Range { axis, first: 0, count: size - first, step: 1 };
    let end = g.slice(x, Range { first: size - first, count: first, ..all });
    let start = g.slice(x, all);
    g.concat(&[end, start], axis)
}
