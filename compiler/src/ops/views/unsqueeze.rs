//! The operation [`Unsqueeze`].

use super::{
    Attribute, AttributeKind, Attributes, Domain, Lowering, Operand, Operation, Reverse, Sample,
    Signature,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::ops::reshape;
use crate::shape::{Argument, Facts, Shape, Type};

/// Adds an axis of size 1, which has this number in the result.
///
/// In the language: `unsqueeze(x, axis)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [2];
///         output y = x.unsqueeze(-1);
///     }
/// }
///
/// let x = array![[1.0, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![[[1.0], [2.0]]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Unsqueeze {
    /// The new axis of the result; negative ones count from its last.
    pub axis: i64,
}

/// A shape with an axis of size 1 more. `axis` is the new one's number.
pub(in crate::ops) fn unsqueezed(x: Argument<'_>, axis: i64) -> Result<(usize, Shape), Mistake> {
    let mut shape = x.ty.shape.clone();
    let rank = shape.rank() as i64 + 1;
    let resolved = if axis < 0 { axis + rank } else { axis };
    if !(0..rank).contains(&resolved) {
        let message = format!(
            "`{}` of shape {shape} has places 0 to {} for a new axis, and no {axis}",
            x.name,
            rank - 1
        );
        return Err(Mistake::attribute("axis", message));
    }
    shape.dims.insert(resolved as usize, 1.into());
    Ok((resolved as usize, shape))
}

impl Operation for Unsqueeze {
    const NAME: &'static str = "unsqueeze";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]).with(&[Attribute {
        name: "axis",
        kind: AttributeKind::Axis,
        default: None,
    }]));

    fn from_call(attributes: &Attributes) -> Result<Unsqueeze, Mistake> {
        Ok(Unsqueeze { axis: attributes.axis("axis").unwrap_or(0) })
    }

    fn shape(&self, x: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        let (_, shape) = unsqueezed(x[0], self.axis)?;
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
            let (_, shape) =
                unsqueezed(operand, self.axis).expect("the shape function has checked it");
            g.reshape(x[0], &shape)
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        let real = |shape| Operand::new(Type::real(shape), Domain::Normal(1.0));
        vec![
            Sample::new(Unsqueeze { axis: 0 }, [real(Shape::batched([size]))]),
            Sample::new(Unsqueeze { axis: -1 }, [real(Shape::batched([2, size]))]),
            Sample::new(Unsqueeze { axis: 1 }, [real(Shape::unbatched([size, 3]))]),
        ]
    }
}
