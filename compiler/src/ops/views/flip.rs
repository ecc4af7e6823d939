//! The operation [`Flip`].

use super::{
    Attribute, AttributeKind, Attributes, Domain, Lowering, Operand, Operation, Reverse, Sample,
    Signature,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
#[cfg(feature = "eval")]
use crate::ops::slice::select;
use crate::ops::slice::{Range, fixed};
use crate::shape::{Argument, Facts, Shape, Type, resolve_axis};

/// The elements of one axis from the last to the first.
///
/// In the language: `flip(x, axis)`, or `x[.. step -1]`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = flip(x, axis = 0);
///     }
/// }
///
/// let x = array![[1.0, 2.0, 3.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![[3.0, 2.0, 1.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Flip {
    /// The axis of the example; negative ones count from the last.
    pub axis: i64,
}

impl Operation for Flip {
    const NAME: &'static str = "flip";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]).with(&[Attribute {
        name: "axis",
        kind: AttributeKind::Axis,
        default: None,
    }]));

    fn from_call(attributes: &Attributes) -> Result<Flip, Mistake> {
        Ok(Flip { axis: attributes.axis("axis").unwrap_or(0) })
    }

    fn shape(&self, x: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        fixed(Self::NAME, resolve_axis(self.axis, x[0])?, x[0])?;
        Ok(x[0].ty.clone())
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        let axis = at.array_axis(0, super::axis::resolve(self.axis, at.operands[0]));
        let positions: Vec<usize> = (0..x[0].sizes()[axis]).rev().collect();
        select(x[0], axis, &positions)
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        vec![Some(flipped(g, at.dy, self.axis))]
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| flipped(g, x[0], self.axis)))
    }

    fn samples(size: usize) -> Vec<Sample> {
        let real = |shape| Operand::new(Type::real(shape), Domain::Normal(1.0));
        vec![
            Sample::new(Flip { axis: 0 }, [real(Shape::batched([size]))]),
            Sample::new(Flip { axis: -1 }, [real(Shape::batched([2, size]))]),
            Sample::new(Flip { axis: 1 }, [real(Shape::unbatched([2, size, 3]))]),
        ]
    }
}

fn flipped(g: &mut Graph, x: NodeId, axis: i64) -> NodeId {
    let axis = super::axis::resolve(axis, g.ty(x));
    let count = g.shape(x).sizes()[axis];
    g.slice(x, Range { axis, first: 0, count, step: 1 }.reversed())
}
