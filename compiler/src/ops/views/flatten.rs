//! The operation [`Flatten`].

use super::{
    Attribute, AttributeKind, Attributes, Domain, Lowering, Operand, Operation, Reverse, Sample,
    Signature,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::ops::reshape;
use crate::ops::slice::fixed;
use crate::shape::{Argument, Facts, Shape, Type, resolve_axis};

/// Adjacent axes as one, row by row.
///
/// In the language: `flatten(x, from = 0, to = -1)`, with the first and the last of the axes.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [2, 2];
///         output y = flatten(x);
///     }
/// }
///
/// let x = array![[[1.0, 2.0], [3.0, 4.0]]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![[1.0, 2.0, 3.0, 4.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Flatten {
    /// The first axis of the example; negative ones count from the last.
    pub from: i64,
    /// The last axis.
    pub to: i64,
}

impl Flatten {
    fn flattened(&self, x: Argument<'_>) -> Result<Shape, Mistake> {
        let mut shape = x.ty.shape.clone();
        if shape.rank() == 0 && [0, -1].contains(&self.from) && [0, -1].contains(&self.to) {
            shape.dims.push(1.into());
            return Ok(shape);
        }
        let resolve = |name, axis| {
            resolve_axis(axis, x).map_err(|mistake| Mistake::attribute(name, mistake.message))
        };
        let (from, to) = (resolve("from", self.from)?, resolve("to", self.to)?);
        if from > to {
            let message = format!("`flatten` from axis {from} to axis {to}, which comes before it");
            return Err(Mistake::attribute("to", message));
        }
        if from < to {
            let mut size = 1usize;
            for axis in from..=to {
                size = size.saturating_mul(fixed("flatten", axis, x)?);
            }
            shape.dims.splice(from..=to, [size.into()]);
        }
        Ok(shape)
    }
}

impl Operation for Flatten {
    const NAME: &'static str = "flatten";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]).with(&[
        Attribute { name: "from", kind: AttributeKind::Axis, default: Some("0") },
        Attribute { name: "to", kind: AttributeKind::Axis, default: Some("-1") },
    ]));

    fn from_call(attributes: &Attributes) -> Result<Flatten, Mistake> {
        let [from, to] = [("from", 0), ("to", -1)]
            .map(|(name, default)| attributes.axis(name).unwrap_or(default));
        Ok(Flatten { from, to })
    }

    fn shape(&self, x: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        Ok(Type { dtype: x[0].ty.dtype.clone(), shape: self.flattened(x[0])? })
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
            let shape = self.flattened(Argument { name: "", ty: g.ty(x[0]) });
            g.reshape(x[0], &shape.expect("the shape function has checked it"))
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        let real = |shape| Operand::new(Type::real(shape), Domain::Normal(1.0));
        let of = |from, to| Flatten { from, to };
        vec![
            Sample::new(of(0, -1), [real(Shape::batched([2, size]))]),
            Sample::new(of(1, 2), [real(Shape::batched([2, size, 3]))]),
            Sample::new(of(-3, -2), [real(Shape::unbatched([2, 2, size]))]),
            Sample::new(of(0, 0), [real(Shape::batched([size]))]),
            Sample::new(of(0, -1), [real(Shape::batched([0usize; 0]))]),
        ]
    }
}
