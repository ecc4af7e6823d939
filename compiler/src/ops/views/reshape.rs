//! The operation [`Reshape`].

use super::{
    Attribute, AttributeKind, Attributes, Domain, Lowering, Operand, Operation, Reverse, Sample,
    Signature, View,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Dim, Facts, Shape, Type};

/// The same elements in another shape, row-major: `x.reshape([7, 16])`.
///
/// In the language: `reshape(x, shape)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [4];
///         output y = x.reshape([2, 2]);
///     }
/// }
///
/// let x = array![[1.0, 2.0, 3.0, 4.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![[[1.0, 2.0], [3.0, 4.0]]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Reshape {
    /// The dimensions of an example of the result; their product is the operand's.
    pub dims: Vec<Dim>,
}

/// The elements of a value in the result's shape.
#[cfg(feature = "eval")]
pub(in crate::ops) fn same_elements<T: Real>(x: &Value<T>, at: &Evaluation<'_>) -> Value<T> {
    match x {
        Value::Real(_) => Value::real(&at.sizes(), x.reals().to_vec()),
        Value::Index(_) => Value::index(&at.sizes(), x.indices().to_vec()),
    }
}

/// The gradient of an operation whose result has the operand's elements in row-major order.
pub(in crate::ops) fn reshaped_back(g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
    let shape = g.shape(at.x[0]).clone();
    vec![Some(g.reshape(at.dy, &shape))]
}

impl Operation for Reshape {
    const NAME: &'static str = "reshape";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]).with(&[Attribute {
        name: "shape",
        kind: AttributeKind::Sizes,
        default: None,
    }]));

    fn from_call(attributes: &Attributes) -> Result<Reshape, Mistake> {
        Ok(Reshape { dims: attributes.sizes("shape").unwrap_or_default() })
    }

    fn shape(&self, x: &[Argument<'_>], facts: &mut Facts) -> Result<Type, Mistake> {
        let from = &x[0].ty.shape;
        let to = Shape { batched: from.batched, dims: self.dims.clone() };
        facts.same_count(&from.dims, &to.dims, || {
            Mistake::attribute(
                "shape",
                format!("`{}` of shape {from} cannot have shape {to}: it has {}", x[0].name, {
                    let count = |s: &Shape| {
                        s.dims.iter().try_fold(1usize, |n, d| n.checked_mul(d.fixed()?))
                    };
                    match (count(from), count(&to)) {
                        (Some(a), Some(b)) => format!("{a} elements, not {b}"),
                        _ => "another number of elements".into(),
                    }
                }),
            )
        })?;
        Ok(Type { dtype: x[0].ty.dtype.clone(), shape: to })
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        same_elements(x[0], at)
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        reshaped_back(g, at)
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::View(View::Reshape(self))
    }

    fn samples(size: usize) -> Vec<Sample> {
        let real = |shape| Operand::new(Type::real(shape), Domain::Normal(1.0));
        let to = |dims: &[usize]| Reshape { dims: dims.iter().copied().map(Dim::Fixed).collect() };
        vec![
            Sample::new(to(&[size, 2, 3]), [real(Shape::batched([6 * size]))]),
            Sample::new(to(&[4, 3 * size]), [real(Shape::batched([6, 2 * size]))]),
            Sample::new(to(&[1, size, 1]), [real(Shape::unbatched([size]))]),
            Sample::new(to(&[2 * size, 3]), [real(Shape::unbatched([3, 2 * size]))]),
        ]
    }
}
