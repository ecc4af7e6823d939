//! The operation [`Chunk`].

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

/// One of several parts of an axis, of equal sizes; if they do not divide the axis's, the last is
/// smaller, and there may be fewer parts, as in PyTorch.
///
/// In the language: `let (a, b) = chunk(x, chunks, axis = 0);` has all parts.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [4];
///         let (gate, value) = x.chunk(2);
///         output y = gate * value;
///     }
/// }
///
/// let x = array![[1.0, 2.0, 3.0, 4.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![[3.0, 8.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Chunk {
    /// The most parts, at least 1.
    pub chunks: usize,
    /// The axis of the example; negative ones count from the last.
    pub axis: i64,
    /// The number of this part.
    pub part: usize,
}

impl Chunk {
    /// The size of all parts but the last, and the number of parts.
    fn sizes(&self, x: Argument<'_>) -> Result<(usize, usize), Mistake> {
        let size = fixed(Self::NAME, resolve_axis(self.axis, x)?, x)?;
        if self.chunks == 0 {
            return Err(Mistake::attribute("chunks", "`chunks` must be at least 1"));
        }
        let each = size.div_ceil(self.chunks);
        Ok((each, size.div_ceil(each)))
    }

    fn range(&self, x: Argument<'_>) -> Result<Range, Mistake> {
        let (each, parts) = self.sizes(x)?;
        if self.part >= parts {
            return Err(Mistake::call(format!("there is no part {} of {parts}", self.part)));
        }
        let axis = resolve_axis(self.axis, x)?;
        let first = self.part * each;
        let count = each.min(fixed(Self::NAME, axis, x)? - first);
        Ok(Range { axis, first, count, step: 1 })
    }
}

impl Operation for Chunk {
    const NAME: &'static str = "chunk";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]).with(&[
        Attribute { name: "chunks", kind: AttributeKind::Integer, default: None },
        Attribute { name: "axis", kind: AttributeKind::Axis, default: Some("0") },
    ]));

    fn from_call(attributes: &Attributes) -> Result<Chunk, Mistake> {
        let axis = attributes.axis("axis").unwrap_or(0);
        Ok(Chunk { chunks: attributes.integer("chunks").unwrap_or(1), axis, part: 0 })
    }

    fn shape(&self, x: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        let range = self.range(x[0])?;
        Ok(Type {
            dtype: x[0].ty.dtype.clone(),
            shape: x[0].ty.shape.with(range.axis, range.count),
        })
    }

    fn values(&self, x: &[Argument<'_>]) -> Result<Vec<Op>, Mistake> {
        let (_, parts) = self.sizes(x[0])?;
        Ok((0..parts).map(|part| Chunk { part, ..self.clone() }.into()).collect())
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        let range = self.range(Argument { name: "", ty: at.operands[0] });
        let range = range.expect("the shape function has checked it");
        let positions: Vec<usize> = range.positions().collect();
        crate::ops::slice::select(x[0], at.array_axis(0, range.axis), &positions)
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let range = self.range(Argument { name: "", ty: g.ty(at.x[0]) });
        let shape = g.shape(at.x[0]).clone();
        vec![Some(g.unslice(at.dy, range.expect("the shape function has checked it"), &shape))]
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| {
            let range = self.range(Argument { name: "", ty: g.ty(x[0]) });
            g.slice(x[0], range.expect("the shape function has checked it"))
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        let real = |shape| Operand::new(Type::real(shape), Domain::Normal(1.0));
        let of = |chunks, axis, part| Chunk { chunks, axis, part };
        vec![
            Sample::new(of(2, 0, 1), [real(Shape::batched([2 * size]))]),
            Sample::new(of(3, -1, 0), [real(Shape::batched([2, 3 * size]))]),
            Sample::new(of(2, 1, 1), [real(Shape::unbatched([2, 2 * size + 1, 3]))]),
            Sample::new(of(1, 0, 0), [real(Shape::batched([size]))]),
        ]
    }
}
