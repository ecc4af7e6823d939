//! The operation [`Transpose`].

use super::{
    Attribute, AttributeKind, Attributes, Domain, Lowering, Operand, Operation, Reverse, Sample,
    Signature, View,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Facts, Shape, Type, resolve_axis};

/// Permutes the axes of the example: by `axes`, or reversed by default.
///
/// In the language: `transpose(x, axes = reversed)`, also `permute`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [2, 2];
///         output y = x.transpose([1, 0]);
///     }
/// }
///
/// let x = array![[[1.0, 2.0], [3.0, 4.0]]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![[[1.0, 3.0], [2.0, 4.0]]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Transpose {
    /// For each axis of the result, the operand's axis; `None` reverses them.
    pub axes: Option<Vec<i64>>,
}

impl Transpose {
    /// The permutation: for each axis of the result, the operand's axis.
    pub fn permutation(&self, x: Argument<'_>) -> Result<Vec<usize>, Mistake> {
        let rank = x.ty.shape.rank();
        let Some(axes) = &self.axes else { return Ok((0..rank).rev().collect()) };
        let resolved: Vec<usize> = axes
            .iter()
            .map(|a| resolve_axis(*a, x))
            .collect::<Result<_, _>>()
            .map_err(|m| Mistake::attribute("axes", m.message))?;
        let mut sorted = resolved.clone();
        sorted.sort_unstable();
        if sorted.into_iter().eq(0..rank) {
            return Ok(resolved);
        }
        Err(Mistake::attribute(
            "axes",
            format!("`{}` of shape {} needs each of its {rank} axes once", x.name, x.ty.shape),
        ))
    }

    /// [`Transpose::permutation`] of a checked operand.
    pub fn permutation_of(&self, ty: &Type) -> Vec<usize> {
        self.permutation(Argument { name: "", ty }).expect("the shape function has checked it")
    }
}

impl Operation for Transpose {
    const NAME: &'static str = "transpose";
    const CALL: Option<Signature> = Some(
        Signature::of(&["x"])
            .with(&[Attribute {
                name: "axes",
                kind: AttributeKind::Axes,
                default: Some("reversed"),
            }])
            .or("permute"),
    );

    fn from_call(attributes: &Attributes) -> Result<Transpose, Mistake> {
        Ok(Transpose { axes: attributes.axes("axes") })
    }

    fn shape(&self, x: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        let from = &x[0].ty.shape;
        let dims = self.permutation(x[0])?.into_iter().map(|a| from.dims[a].clone()).collect();
        let shape = Shape { batched: from.batched, dims };
        Ok(Type { dtype: x[0].ty.dtype.clone(), shape })
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        let mut axes: Vec<usize> =
            self.permutation_of(at.operands[0]).into_iter().map(|a| at.array_axis(0, a)).collect();
        if at.ty.shape.batched {
            axes.insert(0, 0);
        }
        match x[0] {
            Value::Real(a) => {
                let view = a.view().permuted_axes(axes);
                Value::real(&at.sizes(), view.iter().copied().collect())
            }
            Value::Index(a) => {
                let view = a.view().permuted_axes(axes);
                Value::index(&at.sizes(), view.iter().copied().collect())
            }
        }
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let forward = self.permutation_of(g.ty(at.x[0]));
        let mut back = vec![0; forward.len()];
        for (to, from) in forward.into_iter().enumerate() {
            back[from] = to;
        }
        vec![Some(g.permute(at.dy, &back))]
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::View(View::Transpose(self))
    }

    fn samples(size: usize) -> Vec<Sample> {
        let real = |shape| Operand::new(Type::real(shape), Domain::Normal(1.0));
        vec![
            Sample::new(Transpose { axes: None }, [real(Shape::batched([size, 3]))]),
            Sample::new(Transpose { axes: None }, [real(Shape::unbatched([5, size]))]),
            Sample::new(
                Transpose { axes: Some(vec![1, -1, 0]) },
                [real(Shape::batched([2, 3, size]))],
            ),
        ]
    }
}
