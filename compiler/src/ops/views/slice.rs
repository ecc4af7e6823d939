//! The operation [`Slice`].

use super::{
    Attribute, AttributeKind, Attributes, Domain, Lowering, Operand, Operation, Reverse, Sample,
    Signature, View,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Dim, Facts, Shape, Type, resolve_axis};

/// The elements of one axis from `start` on, before `stop`, every `step`-th of them.
///
/// Negative positions count from the end, as in Python; unlike there, a range beyond the axis is a
/// mistake. A negative step goes backwards from the range's last element, as in `ndarray`: with -1, the
/// range is reversed. The axis remains, also with one element.
///
/// In the language: `slice(x, axis, start = 0, stop = end, step = 1)`, or `x[0..3]`, `x[.., 1..]`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [4];
///         output y = slice(x, axis = 0, start = 1, stop = 3);
///     }
/// }
///
/// let x = array![[1.0, 2.0, 3.0, 4.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![[2.0, 3.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Slice {
    /// The axis of the example; negative ones count from the last.
    pub axis: i64,
    /// The first position; `None` for the axis's first.
    pub start: Option<i64>,
    /// The position before which it ends; `None` for the axis's end.
    pub stop: Option<i64>,
    /// The distance of one element to the next; negative ones go backwards, 0 is a mistake.
    pub step: i64,
}

/// A [`Slice`] of an axis of known size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Range {
    /// The axis of the example.
    pub axis: usize,
    /// The first position.
    pub first: usize,
    /// The number of elements, at least 1.
    pub count: usize,
    /// The distance of one element to the next, not 0.
    pub step: isize,
}

impl Range {
    /// The positions of its elements, in order.
    pub fn positions(self) -> impl Iterator<Item = usize> {
        (0..self.count as isize).map(move |i| (self.first as isize + i * self.step) as usize)
    }

    /// The position of its last element.
    pub fn last(self) -> usize {
        (self.first as isize + (self.count as isize - 1) * self.step) as usize
    }

    /// The same elements from the last to the first.
    pub fn reversed(self) -> Range {
        Range { first: self.last(), step: -self.step, ..self }
    }
}

fn check_step(step: i64) -> Result<(), Mistake> {
    match step {
        0 => Err(Mistake::attribute("step", "`step` must not be 0")),
        _ => Ok(()),
    }
}

impl Slice {
    /// A range of an axis.
    pub fn of(Range { axis, first, count, step }: Range) -> Slice {
        let range = Range { axis, first, count, step };
        let (start, stop) = (first.min(range.last()), first.max(range.last()) + 1);
        let (start, stop) = (Some(start as i64), Some(stop as i64));
        Slice { axis: axis as i64, start, stop, step: step as i64 }
    }

    /// The range in a checked operand.
    pub fn range(&self, ty: &Type) -> Range {
        let x = Argument { name: "", ty };
        let axis = resolve_axis(self.axis, x).expect("the shape function has checked it");
        let size = ty.shape.sizes()[axis];
        self.resolve(axis, size, x).expect("the shape function has checked it")
    }

    fn resolve(&self, axis: usize, size: usize, x: Argument<'_>) -> Result<Range, Mistake> {
        let from = |position: i64| if position < 0 { position + size as i64 } else { position };
        let start = self.start.map_or(0, from);
        let stop = self.stop.map_or(size as i64, from);
        let text = |position: Option<i64>| position.map_or(String::new(), |p| p.to_string());
        let range = || format!("{}..{}", text(self.start), text(self.stop));
        if start < 0 || stop > size as i64 {
            let taken = match (x.ty.shape.rank(), axis) {
                (1, _) => format!("elements {}", range()),
                (_, 0) => format!("rows {}", range()),
                (_, axis) => format!("{} along axis {axis}", range()),
            };
            let message = format!("cannot take {taken} of `{}`, which has {size}", x.name);
            return Err(Mistake::call(message));
        }
        if start >= stop {
            let message =
                format!("the range {} of `{}`, which has {size}, is empty", range(), x.name);
            return Err(Mistake::call(message));
        }
        let count = ((stop - start) as u64).div_ceil(self.step.unsigned_abs()) as usize;
        let first = if self.step < 0 { stop - 1 } else { start } as usize;
        // One element has no step, which may be of any size.
        let step = if count == 1 { 1 } else { self.step as isize };
        Ok(Range { axis, first, count, step })
    }

    /// The size of the sliced axis.
    fn size(&self, axis: usize, x: Argument<'_>) -> Result<Dim, Mistake> {
        let size = fixed("slice", axis, x)?;
        Ok(self.resolve(axis, size, x)?.count.into())
    }
}

/// The elements at some positions of an array's axis, for the interpreter.
#[cfg(feature = "eval")]
pub(in crate::ops) fn select<T: Real>(x: &Value<T>, axis: usize, positions: &[usize]) -> Value<T> {
    fn of<A: Copy>(x: &ndarray::ArrayD<A>, axis: usize, positions: &[usize]) -> ndarray::ArrayD<A> {
        let selected = x.select(ndarray::Axis(axis), positions);
        selected.as_standard_layout().into_owned()
    }
    match x {
        Value::Real(x) => Value::Real(of(x, axis, positions)),
        Value::Index(x) => Value::Index(of(x, axis, positions)),
    }
}

/// The size of an axis along which elements are counted.
pub(in crate::ops) fn fixed(name: &str, axis: usize, x: Argument<'_>) -> Result<usize, Mistake> {
    let size = &x.ty.shape.dims[axis];
    size.fixed().ok_or_else(|| {
        Mistake::call(format!(
            "`{name}` counts the elements of axis {axis} of `{}`, whose size {size} only Rust knows: \
             write it as a number",
            x.name
        ))
    })
}

impl Operation for Slice {
    const NAME: &'static str = "slice";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]).with(&[
        Attribute { name: "axis", kind: AttributeKind::Axis, default: None },
        Attribute { name: "start", kind: AttributeKind::Axis, default: Some("0") },
        Attribute { name: "stop", kind: AttributeKind::Axis, default: Some("end") },
        Attribute { name: "step", kind: AttributeKind::Axis, default: Some("1") },
    ]));

    fn from_call(attributes: &Attributes) -> Result<Slice, Mistake> {
        let step = attributes.axis("step").unwrap_or(1);
        check_step(step)?;
        Ok(Slice {
            axis: attributes.axis("axis").unwrap_or(0),
            start: attributes.axis("start"),
            stop: attributes.axis("stop"),
            step,
        })
    }

    fn shape(&self, x: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        let axis = resolve_axis(self.axis, x[0])?;
        check_step(self.step)?;
        let size = self.size(axis, x[0])?;
        Ok(Type { dtype: x[0].ty.dtype.clone(), shape: x[0].ty.shape.with(axis, size) })
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        let range = self.range(at.operands[0]);
        let positions: Vec<usize> = range.positions().collect();
        select(x[0], at.array_axis(0, range.axis), &positions)
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let (range, shape) = (self.range(g.ty(at.x[0])), g.shape(at.x[0]).clone());
        vec![Some(g.unslice(at.dy, range, &shape))]
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::View(View::Slice(self))
    }

    fn samples(size: usize) -> Vec<Sample> {
        let real = |shape| Operand::new(Type::real(shape), Domain::Normal(1.0));
        let range = |axis, start, stop, step| Slice { axis, start, stop, step };
        vec![
            Sample::new(range(0, Some(1), None, 1), [real(Shape::batched([size + 1]))]),
            Sample::new(range(-1, None, Some(-1), 1), [real(Shape::batched([3, size + 1]))]),
            Sample::new(range(0, Some(1), Some(3), 1), [real(Shape::batched([4, size]))]),
            Sample::new(range(1, Some(-2), None, 1), [real(Shape::unbatched([2, size + 2]))]),
            Sample::new(range(0, Some(1), None, 2), [real(Shape::batched([2 * size + 3, 2]))]),
            Sample::new(range(1, None, None, 3), [real(Shape::batched([2, 3 * size]))]),
            Sample::new(range(0, Some(0), Some(1), 5), [real(Shape::unbatched([size, 3]))]),
            Sample::new(range(0, None, None, -1), [real(Shape::batched([size]))]),
            Sample::new(range(-1, Some(1), None, -1), [real(Shape::batched([3, size + 1]))]),
            Sample::new(range(0, None, Some(-1), -2), [real(Shape::batched([2 * size + 2, 3]))]),
            Sample::new(range(1, None, None, -3), [real(Shape::unbatched([2, 3 * size, 2]))]),
        ]
    }
}
