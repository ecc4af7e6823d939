//! The operation [`Chunk`].

use super::{
    Attribute, AttributeKind, Attributes, Domain, Lowering, Op, Operand, Operation, Reverse,
    Sample, Signature,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::ops::slice::fixed;
use crate::ops::split::Split;
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
    /// The same part as one of all sizes.
    fn split(&self, x: Argument<'_>) -> Result<Split, Mistake> {
        let size = fixed(Self::NAME, resolve_axis(self.axis, x)?, x)?;
        if self.chunks == 0 {
            return Err(Mistake::attribute("chunks", "`chunks` must be at least 1"));
        }
        let each = size.div_ceil(self.chunks);
        let sizes = (0..size).step_by(each).map(|first| each.min(size - first)).collect();
        Ok(Split { sizes, axis: self.axis, part: self.part })
    }

    /// The same of a checked operand.
    fn checked(&self, ty: &Type) -> Split {
        let split = self.split(Argument { name: "", ty });
        split.expect("the shape function has checked it")
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

    fn shape(&self, x: &[Argument<'_>], facts: &mut Facts) -> Result<Type, Mistake> {
        self.split(x[0])?.shape(x, facts)
    }

    fn values(&self, x: &[Argument<'_>]) -> Result<Vec<Op>, Mistake> {
        let parts = self.split(x[0])?.sizes.len();
        Ok((0..parts).map(|part| Chunk { part, ..self.clone() }.into()).collect())
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        self.checked(at.operands[0]).eval(x, at)
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        self.checked(g.ty(at.x[0])).gradient(g, at)
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| {
            let range = self.checked(g.ty(x[0])).checked_range(g.ty(x[0]));
            g.slice(x[0], range)
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
