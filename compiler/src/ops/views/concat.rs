//! The operation [`Concat`].

use super::{
    Attribute, AttributeKind, Attributes, Domain, Lowering, Operand, Operation, Reverse, Sample,
    Signature,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::ops::slice::{Range, fixed};
use crate::shape::{Argument, Facts, Shape, Type, resolve_axis};

/// Values one after the other along an axis of the example; their other sizes are equal.
///
/// A value that does not depend on the example is repeated for every example if another one does.
///
/// In the language: `concat([a, b, …], axis = 0)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input a: [2];
///         input b: [1];
///         output y = concat([a, b]);
///     }
/// }
///
/// let (a, b) = (array![[1.0, 2.0]], array![[3.0]]);
/// let y = Example::model().build()?.predict(example::Input { a: a.view(), b: b.view() })?.y;
/// assert_eq!(y, array![[1.0, 2.0, 3.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Concat {
    /// The axis of the example; negative ones count from the last.
    pub axis: i64,
}

impl Concat {
    /// The axis in operands of a checked type.
    pub fn axis_of(&self, ty: &Type) -> usize {
        let x = Argument { name: "", ty };
        resolve_axis(self.axis, x).expect("the shape function has checked it")
    }
}

impl Operation for Concat {
    const NAME: &'static str = "concat";
    const CALL: Option<Signature> = Some(Signature::list().with(&[Attribute {
        name: "axis",
        kind: AttributeKind::Axis,
        default: Some("0"),
    }]));
    const OPERANDS: Option<usize> = None;

    fn from_call(attributes: &Attributes) -> Result<Concat, Mistake> {
        Ok(Concat { axis: attributes.axis("axis").unwrap_or(0) })
    }

    fn shape(&self, x: &[Argument<'_>], facts: &mut Facts) -> Result<Type, Mistake> {
        let first = x[0];
        let axis = resolve_axis(self.axis, first)?;
        let mut shape = first.ty.shape.clone();
        let mut size = 0usize;
        for (i, other) in x.iter().enumerate() {
            if !other.ty.is_real() {
                let message =
                    format!("`concat` needs reals, but `{}` holds {}", other.name, other.ty);
                return Err(Mistake::operand(i, message));
            }
            let of = &other.ty.shape;
            let mistake = || {
                let message = format!(
                    "concat along axis {axis} needs equal sizes elsewhere: {} and {of}",
                    first.ty.shape
                );
                Mistake::operand(i, message)
            };
            if of.rank() != shape.rank() {
                return Err(mistake());
            }
            for j in (0..of.rank()).filter(|j| *j != axis) {
                facts.same(&shape.dims[j], &of.dims[j], mistake)?;
            }
            shape.batched |= of.batched;
            size = size.saturating_add(fixed("concat", axis, *other)?);
        }
        Ok(Type::real(shape.with(axis, size)))
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        let sizes = at.sizes();
        let axis = self.axis_of(at.ty) + usize::from(at.ty.shape.batched);
        let pieces: Vec<ndarray::ArrayD<T>> = x
            .iter()
            .map(|x| {
                let array = x.array();
                // Repeated for every example.
                if array.ndim() == sizes.len() {
                    return array.clone();
                }
                let mut repeated = vec![at.batch];
                repeated.extend(array.shape());
                array.broadcast(repeated).expect("an axis is added in front").to_owned()
            })
            .collect();
        let views: Vec<_> = pieces.iter().map(|x| x.view()).collect();
        let joined = ndarray::concatenate(ndarray::Axis(axis), &views);
        let joined = joined.expect("the shape function has checked the sizes");
        Value::real(&sizes, joined.iter().copied().collect())
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let axis = self.axis_of(g.ty(at.y));
        let mut first = 0;
        let mut gradients = Vec::new();
        for (x, requested) in at.x.iter().zip(at.requested) {
            let shape = g.shape(*x).clone();
            let count = shape.sizes()[axis];
            gradients.push(requested.then(|| {
                let dx = g.slice(at.dy, Range { axis, first, count, step: 1 });
                g.sum_to(dx, &shape)
            }));
            first += count;
        }
        gradients
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Join(self)
    }

    fn samples(size: usize) -> Vec<Sample> {
        let real = |shape| Operand::new(Type::real(shape), Domain::Normal(1.0));
        let batched = |dims: &[usize]| real(Shape::batched(dims.iter().copied()));
        let fixed = |dims: &[usize]| real(Shape::unbatched(dims.iter().copied()));
        let along = |axis| Concat { axis };
        vec![
            Sample::new(along(0), [batched(&[size]), batched(&[3]), batched(&[1])]),
            Sample::new(along(-1), [batched(&[2, size]), batched(&[2, 5])]),
            Sample::new(along(0), [batched(&[2, size]), batched(&[1, size])]),
            Sample::new(along(1), [batched(&[2, size, 3]), batched(&[2, 4, 3])]),
            Sample::new(along(0), [batched(&[size]), fixed(&[2])]).summing(40),
            Sample::new(along(0), [fixed(&[size, 2]), fixed(&[3, 2])]),
            Sample::new(along(0), [batched(&[size])]),
        ]
    }
}
