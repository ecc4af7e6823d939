//! The operation [`Pad`].

use super::{
    Attribute, AttributeKind, Attributes, Domain, Lowering, Number, Operand, Operation, Reverse,
    Sample, Signature,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::ops::reduce::{Axis, Reduction};
#[cfg(feature = "eval")]
use crate::ops::slice::select;
use crate::ops::slice::{Range, fixed};
use crate::shape::{Argument, Facts, Shape, Type, resolve_axis};

/// Elements before and after those of an axis: of one number, or copies of the axis's own.
///
/// In the language: `pad(x, axis, before = 0, after = 0, value = 0.0, mode = constant)`. The mode is
/// `constant`, `reflect` (mirrored at the first and the last element, which are not repeated),
/// `replicate` (the first and the last element) or `circular` (the axis goes on with its other end).
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
    /// The added elements of the mode `constant`; default 0.
    pub value: Number,
    /// Which elements are added.
    pub mode: Mode,
}

/// Which elements a [`Pad`] adds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Mode {
    /// One number.
    Constant,
    /// Mirrored at the first and the last element, which are not repeated.
    Reflect,
    /// The first and the last element.
    Replicate,
    /// Those of the other end.
    Circular,
}

impl Mode {
    /// The keywords of the language.
    const WORDS: &'static [&'static str] = &["constant", "reflect", "replicate", "circular"];
    const ALL: [Mode; 4] = [Mode::Constant, Mode::Reflect, Mode::Replicate, Mode::Circular];

    /// Its keyword in the language.
    pub fn word(self) -> &'static str {
        Mode::WORDS[self as usize]
    }

    fn of_word(word: String) -> Option<Mode> {
        Mode::ALL.into_iter().find(|mode| mode.word() == word)
    }
}

super::notation::words!(
    Mode: Constant = "constant", Reflect = "reflect", Replicate = "replicate",
    Circular = "circular"
);

impl Pad {
    fn axis_of(&self, ty: &Type) -> usize {
        resolve_axis(self.axis, Argument { name: "", ty })
            .expect("the shape function has checked it")
    }

    /// The ranges of an axis of `size` elements before and after it; `None` for one number, and where
    /// nothing is added.
    fn ranges(&self, axis: usize, size: usize) -> [Option<Range>; 2] {
        let range = |first, count, step| Range { axis, first, count, step };
        let (before, after) = (self.before, self.after);
        let [first, last] = match self.mode {
            Mode::Constant => return [None, None],
            Mode::Reflect => [
                (before > 0).then(|| range(before, before, -1)),
                (after > 0).then(|| range(size - 2, after, -1)),
            ],
            Mode::Replicate => {
                [(before > 0).then(|| range(0, 1, 1)), (after > 0).then(|| range(size - 1, 1, 1))]
            }
            Mode::Circular => [
                (before > 0).then(|| range(size - before, before, 1)),
                (after > 0).then(|| range(0, after, 1)),
            ],
        };
        let one = |range: Range| match range.count {
            1 => Range { step: 1, ..range },
            _ => range,
        };
        [first.map(one), last.map(one)]
    }
}

impl Operation for Pad {
    const NAME: &'static str = "pad";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]).with(&[
        Attribute { name: "axis", kind: AttributeKind::Axis, default: None },
        Attribute { name: "before", kind: AttributeKind::Integer, default: Some("0") },
        Attribute { name: "after", kind: AttributeKind::Integer, default: Some("0") },
        Attribute { name: "value", kind: AttributeKind::Number, default: Some("0.0") },
        Attribute {
            name: "mode",
            kind: AttributeKind::Keyword(Mode::WORDS),
            default: Some("constant"),
        },
    ]));

    fn from_call(attributes: &Attributes) -> Result<Pad, Mistake> {
        Ok(Pad {
            axis: attributes.axis("axis").unwrap_or(0),
            before: attributes.integer("before").unwrap_or(0),
            after: attributes.integer("after").unwrap_or(0),
            value: Number(attributes.number("value").unwrap_or(0.0) as f32),
            mode: attributes.keyword("mode").and_then(Mode::of_word).unwrap_or(Mode::Constant),
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
        let size = fixed("pad", axis, x[0])?;
        let most = match self.mode {
            Mode::Constant | Mode::Replicate => usize::MAX,
            Mode::Reflect => size - 1,
            Mode::Circular => size,
        };
        for (name, n) in [("before", self.before), ("after", self.after)] {
            if n > most {
                let message = format!(
                    "`pad` by `{}` has at most {most} elements of axis {axis} of `{}`, which has {size}, \
                     but `{name}` is {n}",
                    self.mode.word(),
                    x[0].name
                );
                return Err(Mistake::attribute(name, message));
            }
        }
        Ok(Type::real(shape.with(axis, size.saturating_add(added))))
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        let axis = at.array_axis(0, self.axis_of(at.operands[0]));
        if self.mode != Mode::Constant {
            let size = x[0].sizes()[axis] as i64;
            let position = |i: i64| match self.mode {
                Mode::Reflect if i < 0 => -i,
                Mode::Reflect if i >= size => 2 * size - 2 - i,
                Mode::Circular => i.rem_euclid(size),
                _ => i.clamp(0, size - 1),
            };
            let all = -(self.before as i64)..size + self.after as i64;
            let positions: Vec<usize> = all.map(|i| position(i) as usize).collect();
            return select(x[0], axis, &positions);
        }
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
        let shape = g.shape(at.x[0]).clone();
        let mut dx = g.slice(at.dy, Range { axis, first: self.before, count, step: 1 });
        let ends = [(0, self.before), (self.before + count, self.after)];
        for (range, (first, added)) in self.ranges(axis, count).into_iter().zip(ends) {
            let Some(range) = range else { continue };
            let dy = g.slice(at.dy, Range { axis, first, count: added, step: 1 });
            let dy = match self.mode {
                Mode::Replicate => g.reduce(Reduction::Sum, Axis::Example(axis), dy),
                _ => dy,
            };
            let added = g.unslice(dy, range, &shape);
            dx = g.add(dx, added);
        }
        vec![Some(dx)]
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| {
            let axis = self.axis_of(g.ty(x[0]));
            if self.mode == Mode::Constant {
                return g.pad(x[0], axis, [self.before, self.after], self.value.0);
            }
            let shape = g.shape(x[0]).clone();
            let [before, after] = self.ranges(axis, shape.sizes()[axis]);
            let mut end = |range: Option<Range>, count: usize| {
                range.map(|range| {
                    let elements = g.slice(x[0], range);
                    g.broadcast(elements, &shape.with(axis, count))
                })
            };
            let (before, after) = (end(before, self.before), end(after, self.after));
            let all: Vec<NodeId> = before.into_iter().chain([x[0]]).chain(after).collect();
            g.concat(&all, axis)
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        let real = |shape| Operand::new(Type::real(shape), Domain::Normal(1.0));
        let pad = |axis, before, after, value| {
            let (value, mode) = (Number(value), Mode::Constant);
            Pad { axis, before, after, value, mode }
        };
        let by = |mode, axis, before, after| Pad { mode, ..pad(axis, before, after, 0.0) };
        vec![
            Sample::new(pad(0, 1, 2, 0.0), [real(Shape::batched([size]))]),
            Sample::new(pad(-1, 0, 3, -1.5), [real(Shape::batched([3, size]))]),
            Sample::new(pad(0, 2, 0, 1.0), [real(Shape::batched([2, size]))]),
            Sample::new(pad(1, 1, 1, 0.0), [real(Shape::unbatched([size, 3]))]),
            Sample::new(pad(0, 0, 0, 0.0), [real(Shape::batched([size]))]),
            Sample::new(by(Mode::Reflect, 0, 2, 1), [real(Shape::batched([size + 2]))]),
            Sample::new(by(Mode::Reflect, -1, 1, 3), [real(Shape::batched([2, size + 3]))]),
            Sample::new(by(Mode::Replicate, 0, 2, 3), [real(Shape::batched([size, 2]))]),
            Sample::new(by(Mode::Replicate, 1, 0, 1), [real(Shape::unbatched([3, size]))]),
            Sample::new(by(Mode::Circular, 0, 1, 1), [real(Shape::batched([size]))]),
            Sample::new(by(Mode::Circular, -1, 2, 2), [real(Shape::unbatched([2, size + 1]))]),
        ]
    }
}
