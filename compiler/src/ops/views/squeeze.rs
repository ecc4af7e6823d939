//! The operation [`Squeeze`].

use super::{
    Attribute, AttributeKind, Attributes, Domain, Lowering, Operand, Operation, Reverse, Sample,
    Signature,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::ops::reshape;
use crate::shape::{Argument, Dim, Facts, Shape, Type, resolve_axis};

/// Removes axes of size 1.
///
/// In the language: `squeeze(x, axes)`, with an axis or a list, `x.squeeze([0, -1])`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [2, 1];
///         output y = x.squeeze([1]);
///     }
/// }
///
/// let x = array![[[1.0], [2.0]]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![[1.0, 2.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Squeeze {
    /// The axes of the example; negative ones count from the last.
    pub axes: Vec<i64>,
}

impl Squeeze {
    fn squeezed(&self, x: Argument<'_>, facts: &mut Facts) -> Result<Shape, Mistake> {
        let shape = &x.ty.shape;
        let mut is_removed = vec![false; shape.rank()];
        for axis in &self.axes {
            let resolved = resolve_axis(*axis, x)
                .map_err(|mistake| Mistake::attribute("axes", mistake.message))?;
            if is_removed[resolved] {
                let message = format!("axis {axis} of `{}` is squeezed twice", x.name);
                return Err(Mistake::attribute("axes", message));
            }
            facts.same(&shape.dims[resolved], &Dim::Fixed(1), || {
                let size = &shape.dims[resolved];
                let message =
                    format!("axis {axis} of `{}` of shape {shape} has size {size}, not 1", x.name);
                Mistake::attribute("axes", message)
            })?;
            is_removed[resolved] = true;
        }
        let dims = shape.dims.iter().zip(is_removed).filter(|(_, removed)| !removed);
        Ok(Shape { batched: shape.batched, dims: dims.map(|(dim, _)| dim.clone()).collect() })
    }
}

impl Operation for Squeeze {
    const NAME: &'static str = "squeeze";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]).with(&[Attribute {
        name: "axes",
        kind: AttributeKind::Axes,
        default: None,
    }]));

    fn from_call(attributes: &Attributes) -> Result<Squeeze, Mistake> {
        Ok(Squeeze { axes: attributes.axes("axes").unwrap_or_default() })
    }

    fn shape(&self, x: &[Argument<'_>], facts: &mut Facts) -> Result<Type, Mistake> {
        let shape = self.squeezed(x[0], facts)?;
        Ok(Type { dtype: x[0].ty.dtype.clone(), shape })
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        reshape::same_elements(x[0], at)
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        reshape::reshaped_back(g, at)
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| {
            let operand = Argument { name: "", ty: g.ty(x[0]) };
            let shape = self.squeezed(operand, &mut Facts::default());
            let shape = shape.expect("the shape function has checked it");
            g.reshape(x[0], &shape)
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        let real = |shape| Operand::new(Type::real(shape), Domain::Normal(1.0));
        let of = |axes: &[i64]| Squeeze { axes: axes.to_vec() };
        vec![
            Sample::new(of(&[0]), [real(Shape::batched([1, size]))]),
            Sample::new(of(&[-1, 0]), [real(Shape::batched([1, size, 1]))]),
            Sample::new(of(&[1]), [real(Shape::unbatched([size, 1]))]),
        ]
    }
}
