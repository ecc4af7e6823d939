//! The operation [`Stack`].

use super::{
    Attribute, AttributeKind, Attributes, Domain, Lowering, Operand, Operation, Reverse, Sample,
    Signature,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
#[cfg(feature = "eval")]
use crate::ops::concat::Concat;
use crate::ops::slice::Range;
use crate::ops::unsqueeze::unsqueezed;
use crate::shape::{Argument, Facts, Shape, Type};

/// Values of one shape along a new axis, which has this number in the result.
///
/// In the language: `stack([a, b, …], axis = 0)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input a: [2];
///         input b: [2];
///         output y = stack([a, b]);
///     }
/// }
///
/// let (a, b) = (array![[1.0, 2.0]], array![[3.0, 4.0]]);
/// let y = Example::model().build()?.predict(example::Input { a: a.view(), b: b.view() })?.y;
/// assert_eq!(y, array![[[1.0, 2.0], [3.0, 4.0]]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Stack {
    /// The new axis of the result; negative ones count from its last.
    pub axis: i64,
}

impl Stack {
    fn new_axis(&self, ty: &Type) -> (usize, Shape) {
        let x = Argument { name: "", ty };
        unsqueezed(x, self.axis).expect("the shape function has checked it")
    }
}

impl Operation for Stack {
    const NAME: &'static str = "stack";
    const CALL: Option<Signature> = Some(Signature::list().with(&[Attribute {
        name: "axis",
        kind: AttributeKind::Axis,
        default: Some("0"),
    }]));
    const OPERANDS: Option<usize> = None;

    fn from_call(attributes: &Attributes) -> Result<Stack, Mistake> {
        Ok(Stack { axis: attributes.axis("axis").unwrap_or(0) })
    }

    fn shape(&self, x: &[Argument<'_>], facts: &mut Facts) -> Result<Type, Mistake> {
        let first = x[0];
        let (axis, mut shape) = unsqueezed(first, self.axis)?;
        for (i, other) in x.iter().enumerate() {
            let of = &other.ty.shape;
            if !other.ty.is_real() {
                let message =
                    format!("`stack` needs reals, but `{}` holds {}", other.name, other.ty);
                return Err(Mistake::operand(i, message));
            }
            let mistake = || {
                let message = format!("stack needs equal shapes: {} and {of}", first.ty.shape);
                Mistake::operand(i, message)
            };
            if of.rank() != first.ty.shape.rank() {
                return Err(mistake());
            }
            for (a, b) in first.ty.shape.dims.iter().zip(&of.dims) {
                facts.same(a, b, mistake)?;
            }
            shape.batched |= of.batched;
        }
        Ok(Type::real(shape.with(axis, x.len())))
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        let axis = unsqueezed(Argument { name: "", ty: at.operands[0] }, self.axis);
        let axis = axis.expect("the shape function has checked it").0;
        let types: Vec<Type> =
            at.operands.iter().map(|ty| Type::real(self.new_axis(ty).1)).collect();
        let values: Vec<Value<T>> = (x.iter().zip(&types))
            .map(|(x, ty)| Value::real(&ty.shape.full_sizes(at.batch), x.reals().to_vec()))
            .collect();
        let operands: Vec<&Type> = types.iter().collect();
        let values: Vec<&Value<T>> = values.iter().collect();
        let at = Evaluation { ty: at.ty, operands: &operands, batch: at.batch };
        Concat { axis: axis as i64 }.eval(&values, &at)
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let mut gradients = Vec::new();
        for (i, (x, requested)) in at.x.iter().zip(at.requested).enumerate() {
            let (axis, shape) = self.new_axis(g.ty(*x));
            gradients.push(requested.then(|| {
                let dx = g.slice(at.dy, Range { axis, first: i, count: 1, step: 1 });
                let dx = g.sum_to(dx, &shape);
                let shape = g.shape(*x).clone();
                g.reshape(dx, &shape)
            }));
        }
        gradients
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| {
            let axis = self.new_axis(g.ty(x[0])).0;
            let with_axis = x.iter().map(|x| {
                let (_, shape) = self.new_axis(g.ty(*x));
                g.reshape(*x, &shape)
            });
            let with_axis: Vec<NodeId> = with_axis.collect();
            g.concat(&with_axis, axis)
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        let batched = |dims: &[usize]| {
            let shape = Shape::batched(dims.iter().copied());
            Operand::new(Type::real(shape), Domain::Normal(1.0))
        };
        let fixed = Operand::new(Type::real(Shape::unbatched([size])), Domain::Normal(1.0));
        let along = |axis| Stack { axis };
        vec![
            Sample::new(along(0), [batched(&[size]), batched(&[size]), batched(&[size])]),
            Sample::new(along(-1), [batched(&[3, size]), batched(&[3, size])]),
            Sample::new(along(1), [batched(&[2, size]), batched(&[2, size])]),
            Sample::new(along(0), [batched(&[size]), fixed]).summing(40),
        ]
    }
}
