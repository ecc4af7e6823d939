//! The operation [`CosineSimilarity`].

use super::norm::Norm;
use super::{
    Attribute, AttributeKind, Attributes, Domain, Lowering, Number, Operand, Operation, Reduced,
    Reverse, Sample, Signature, axis,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Total, Value};
use crate::graph::{Graph, NodeId};
use crate::ops::reduce::Reduction;
use crate::shape::{Argument, Facts, Shape, Type};

/// The cosine of the angle of two vectors: `a · b / (max(‖a‖, eps) · max(‖b‖, eps))`. The vectors are
/// along an axis, by default the last.
///
/// Where a norm is below `eps`, its gradient is that of the norm nevertheless, as in PyTorch.
///
/// In the language: `cosine_similarity(a, b, axis = -1, eps = 1e-8)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input a: [2];
///         input b: [2];
///         output y = cosine_similarity(a, b);
///     }
/// }
///
/// let (a, b) = (array![[3.0, 4.0]], array![[8.0, 6.0]]);
/// let y = Example::model().build()?.predict(example::Input { a: a.view(), b: b.view() })?.y;
/// assert!((y - array![0.96]).iter().all(|error| error.abs() < 1e-6));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct CosineSimilarity {
    /// The axis of the vectors, counted from the end if negative; default the last.
    pub axis: i64,
    /// The smallest norm; default 1e-8.
    pub eps: Number,
}

/// A vector, its norm, the norm that it is divided by, and the quotient.
struct Direction {
    x: NodeId,
    norm: NodeId,
    divisor: NodeId,
    unit: NodeId,
}

impl CosineSimilarity {
    fn norm(&self) -> Norm {
        let over = Reduced { axes: Some(vec![self.axis]), keepdim: true };
        Norm { p: Number(2.0), over }
    }

    fn direction(&self, g: &mut Graph, x: NodeId) -> Direction {
        let norm = g.apply(self.norm(), &[x]);
        let eps = g.constant(self.eps.0);
        let divisor = g.maximum(norm, eps);
        Direction { x, norm, divisor, unit: g.div(x, divisor) }
    }
}

impl Operation for CosineSimilarity {
    const NAME: &'static str = "cosine_similarity";
    const CALL: Option<Signature> = Some(Signature::of(&["a", "b"]).with(&[
        axis::LANES,
        Attribute { name: "eps", kind: AttributeKind::Number, default: Some("1e-8") },
    ]));
    const BROADCASTS: bool = true;

    fn from_call(attributes: &Attributes) -> Result<CosineSimilarity, Mistake> {
        let eps = Number(attributes.number("eps").unwrap_or(1e-8) as f32);
        Ok(CosineSimilarity { axis: axis::lanes(attributes), eps })
    }

    fn shape(&self, x: &[Argument<'_>], facts: &mut Facts) -> Result<Type, Mistake> {
        super::elementwise::shape(Self::NAME, x, facts)?;
        if x[0].ty.shape.batched != x[1].ty.shape.batched {
            return Err(Mistake::call("the operands are broadcast to one shape"));
        }
        Reduced::one(Some(self.axis)).shape(Self::NAME, x[0])
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        let over = Reduced::one(Some(self.axis));
        let [a, b] = [0, 1].map(|i| over.lanes(x[i], at));
        let eps = T::of(self.eps.0);
        let length = |lane: &[T]| {
            let norm = lane.iter().map(|x| *x * *x).total().sqrt();
            T::largest_of([norm, eps].into_iter())
        };
        let cosine = |(a, b): (&Vec<T>, &Vec<T>)| {
            let (m, n) = (length(a), length(b));
            a.iter().zip(b).map(|(a, b)| (*a / m) * (*b / n)).total()
        };
        Value::real(&at.sizes(), a.iter().zip(&b).map(cosine).collect())
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let [a, b] = [0, 1].map(|i| self.direction(g, at.x[i]));
        let norm = self.norm();
        let kept = norm.over.kept(g.ty(at.x[0]));
        let dy = g.reshape(at.dy, &kept);
        let mut gradients = Vec::new();
        for (i, (one, other)) in [(&a, &b), (&b, &a)].into_iter().enumerate() {
            gradients.push(at.requested[i].then(|| {
                let direct = g.mul(dy, other.unit);
                let direct = g.div(direct, one.divisor);
                // Of the divisor: -Σ direct · unit.
                let product = g.mul(direct, one.unit);
                let sum = norm.over.decompose(Reduction::Sum, g, product);
                let dnorm = g.neg(sum);
                match norm.backward(g, one.x, one.norm, dnorm) {
                    Some(through) => g.add(direct, through),
                    None => direct,
                }
            }));
        }
        gradients
    }

    #[cfg(feature = "eval")]
    fn departs(&self, x: &[&Value<f64>]) -> bool {
        // Vectors shorter than `eps`: a bound by all elements of a value is not exact, but safe.
        let eps = f64::from(self.eps.0);
        x.iter().any(|x| x.reals().iter().any(|x| x.abs() < eps))
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| {
            let [a, b] = [0, 1].map(|i| self.direction(g, x[i]));
            let product = g.mul(a.unit, b.unit);
            Reduced::one(Some(self.axis)).decompose(Reduction::Sum, g, product)
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        let of = |axis, dims: &[usize]| {
            let ty = Type::real(Shape::batched(dims.iter().copied()));
            // Not near 0, where the gradients of a direction are large.
            let x = Operand::new(ty, Domain::Positive);
            let op = CosineSimilarity { axis, eps: Number(1e-8) };
            Sample::new(op, [x.clone(), x]).summing(3 * size)
        };
        vec![of(-1, &[size]), of(0, &[size, 3]), of(1, &[2, size, 3]), of(-1, &[3, size])]
    }
}
