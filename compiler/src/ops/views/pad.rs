//! The operation [`Pad`].

use super::{
    Attribute, AttributeKind, Attributes, Domain, Lowering, Number, Operand, Operation, Reverse,
    Sample, Signature,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::ops::slice::{Range, fixed};
use crate::shape::{Argument, Facts, Shape, Type, resolve_axis};

/// Elements of one number before and after those of an axis.
///
/// In the language: `pad(x, axis, before = 0, after = 0, value = 0.0)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [2];
///         output y = pad(x, axis = 0, before = 1, after = 2);
///     }
/// }
///
/// let x = array![[1.0, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![[0.0, 1.0, 2.0, 0.0, 0.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Pad {
    /// The axis of the example; negative ones count from the last.
    pub axis: i64,
    /// The number of elements before the first.
    pub before: usize,
    /// The number of elements after the last.
    pub after: usize,
    /// The added elements; default 0.
    pub value: Number,
}

impl Pad {
    fn axis_of(&self, ty: &Type) -> usize {
        resolve_axis(self.axis, Argument { name: "", ty })
            .expect("the shape function has checked it")
    }
}

impl Operation for Pad {
    const NAME: &'static str = "pad";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]).with(&[
        Attribute { name: "axis", kind: AttributeKind::Axis, default: None },
        Attribute { name: "before", kind: AttributeKind::Integer, default: Some("0") },
        Attribute { name: "after", kind: AttributeKind::Integer, default: Some("0") },
        Attribute { name: "value", kind: AttributeKind::Number, default: Some("0.0") },
    ]));

    fn from_call(attributes: &Attributes) -> Result<Pad, Mistake> {
        Ok(Pad {
            axis: attributes.axis("axis").unwrap_or(0),
            before: attributes.integer("before").unwrap_or(0),
            after: attributes.integer("after").unwrap_or(0),
            value: Number(attributes.number("value").unwrap_or(0.0) as f32),
        })
    }

    fn shape(&self, x: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        if !x[0].ty.is_real() {
            let message = format!("`pad` needs reals, but `{}` holds {}", x[0].name, x[0].ty);
            return Err(Mistake::operand(0, message));
        }
        let axis = resolve_axis(self.axis, x[0])?;
        let added = self.before.saturating_add(self.after);
        let shape = &x[0].ty.shape;
        let size = fixed("pad", axis, x[0])?.saturating_add(added);
        Ok(Type::real(shape.with(axis, size)))
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        let axis = at.array_axis(0, self.axis_of(at.operands[0]));
        let mut y = ndarray::ArrayD::from_elem(at.sizes(), T::of(self.value.0));
        let first = self.before as isize;
        let end = first + x[0].sizes()[axis] as isize;
        let range = ndarray::Slice::new(first, Some(end), 1);
        y.slice_axis_mut(ndarray::Axis(axis), range).assign(x[0].array());
        Value::Real(y)
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let axis = self.axis_of(g.ty(at.x[0]));
        let count = g.shape(at.x[0]).sizes()[axis];
        vec![Some(g.slice(at.dy, Range { axis, first: self.before, count, step: 1 }))]
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| {
            let axis = self.axis_of(g.ty(x[0]));
            g.pad(x[0], axis, [self.before, self.after], self.value.0)
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        let real = |shape| Operand::new(Type::real(shape), Domain::Normal(1.0));
        let pad = |axis, before, after, value| Pad { axis, before, after, value: Number(value) };
        vec![
            Sample::new(pad(0, 1, 2, 0.0), [real(Shape::batched([size]))]),
            Sample::new(pad(-1, 0, 3, -1.5), [real(Shape::batched([3, size]))]),
            Sample::new(pad(0, 2, 0, 1.0), [real(Shape::batched([2, size]))]),
            Sample::new(pad(1, 1, 1, 0.0), [real(Shape::unbatched([size, 3]))]),
            Sample::new(pad(0, 0, 0, 0.0), [real(Shape::batched([size]))]),
        ]
    }
}
