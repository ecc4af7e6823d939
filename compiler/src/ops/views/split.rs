//! The operation [`Split`].

use super::{
    Attribute, AttributeKind, Attributes, Domain, Lowering, Op, Operand, Operation, Reverse,
    Sample, Signature,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::ops::slice::{Range, fixed};
use crate::shape::{Argument, Facts, Shape, Type, resolve_axis};

/// One of several parts of an axis, of these sizes, which add up to the axis's.
///
/// In the language: `let (a, b, c) = split(x, sizes, axis = 0);` has all parts, `sizes` in brackets.
/// [`chunk`](super::chunk) has equal ones.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [4];
///         let (a, b) = x.split([1, 3]);
///         output y = a + b;
///     }
/// }
///
/// let x = array![[1.0, 2.0, 3.0, 4.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![[3.0, 4.0, 5.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Split {
    /// The sizes of all parts, each at least 1.
    pub sizes: Vec<usize>,
    /// The axis of the example; negative ones count from the last.
    pub axis: i64,
    /// The number of this part.
    pub part: usize,
}

impl Split {
    /// The range of a checked operand.
    pub(in crate::ops) fn checked_range(&self, ty: &Type) -> Range {
        self.range(Argument { name: "", ty }).expect("the shape function has checked it")
    }

    fn range(&self, x: Argument<'_>) -> Result<Range, Mistake> {
        let axis = resolve_axis(self.axis, x)?;
        let size = fixed(Self::NAME, axis, x)?;
        let sum = self.sizes.iter().fold(0usize, |sum, size| sum.saturating_add(*size));
        if sum != size || self.sizes.contains(&0) {
            let message = format!(
                "cannot split axis {axis} of `{}`, which has {size}, into {:?}: {}",
                x.name,
                self.sizes,
                match sum == size {
                    true => "a size must be at least 1".into(),
                    false => format!("the sizes add up to {sum}"),
                }
            );
            return Err(Mistake::attribute("sizes", message));
        }
        let Some(count) = self.sizes.get(self.part).copied() else {
            return Err(Mistake::call(format!(
                "there is no part {} of {:?}",
                self.part, self.sizes
            )));
        };
        let first = self.sizes[..self.part].iter().sum();
        Ok(Range { axis, first, count, step: 1 })
    }
}

impl Operation for Split {
    const NAME: &'static str = "split";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]).with(&[
        Attribute { name: "sizes", kind: AttributeKind::Sizes, default: None },
        Attribute { name: "axis", kind: AttributeKind::Axis, default: Some("0") },
    ]));

    fn from_call(attributes: &Attributes) -> Result<Split, Mistake> {
        let axis = attributes.axis("axis").unwrap_or(0);
        let sizes = attributes.sizes("sizes").unwrap_or_default();
        let fixed: Option<Vec<usize>> = sizes.iter().map(|size| size.fixed()).collect();
        let sizes = fixed.ok_or_else(|| {
            let message = "`split` counts elements: write its sizes as numbers";
            Mistake::attribute("sizes", message)
        })?;
        Ok(Split { sizes, axis, part: 0 })
    }

    fn shape(&self, x: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        let range = self.range(x[0])?;
        Ok(Type {
            dtype: x[0].ty.dtype.clone(),
            shape: x[0].ty.shape.with(range.axis, range.count),
        })
    }

    fn values(&self, x: &[Argument<'_>]) -> Result<Vec<Op>, Mistake> {
        self.range(x[0])?;
        Ok((0..self.sizes.len()).map(|part| Split { part, ..self.clone() }.into()).collect())
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        let range = self.checked_range(at.operands[0]);
        let positions: Vec<usize> = range.positions().collect();
        crate::ops::slice::select(x[0], at.array_axis(0, range.axis), &positions)
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let range = self.checked_range(g.ty(at.x[0]));
        let shape = g.shape(at.x[0]).clone();
        vec![Some(g.unslice(at.dy, range, &shape))]
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| {
            let range = self.checked_range(g.ty(x[0]));
            g.slice(x[0], range)
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        let real = |shape| Operand::new(Type::real(shape), Domain::Normal(1.0));
        let of = |sizes: &[usize], axis, part| Split { sizes: sizes.to_vec(), axis, part };
        vec![
            Sample::new(of(&[2, size], 0, 1), [real(Shape::batched([size + 2]))]),
            Sample::new(of(&[1, size, 1], -1, 1), [real(Shape::batched([2, size + 2]))]),
            Sample::new(of(&[size, 1], 1, 0), [real(Shape::unbatched([2, size + 1, 3]))]),
            Sample::new(of(&[size], 0, 0), [real(Shape::batched([size]))]),
        ]
    }
}
