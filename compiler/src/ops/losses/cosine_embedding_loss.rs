//! The operation [`CosineEmbeddingLoss`].

use super::{
    Attribute, AttributeKind, Attributes, Domain, Lowering, Number, Operation, Reverse, Sample,
    Signature, classes, rows,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Total, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Facts, Type};

/// Avoids a NaN cosine of a zero vector.
const EPSILON: f32 = 1e-12;

/// The loss of the cosine similarity of two vectors, for each pair: `1 - cos` for target 1 (similar),
/// `max(0, cos - margin)` for target -1 (dissimilar). Only the target's sign matters. Vectors are along
/// the last axis.
///
/// As in PyTorch, `cos = a·b / √((a·a + ε) · (b·b + ε))` with `ε = 1e-12`.
///
/// In the language: `cosine_embedding_loss(a, b, target, margin = 0.0)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input a: [2];
///         input b: [2];
///         input alike: [];
///         output y = cosine_embedding_loss(a, b, alike);
///     }
/// }
///
/// let a = array![[1.0, 0.0], [1.0, 0.0]];
/// let b = array![[0.0, 2.0], [3.0, 0.0]];
/// let similar = array![1.0, 1.0];
/// let mut model = Example::model().build()?;
/// let y = model.predict(example::Input { a: a.view(), b: b.view(), alike: alike.view() })?.y;
/// assert!((y - array![1.0, 0.0]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct CosineEmbeddingLoss {
    /// The cosine below which dissimilar vectors have no loss; default 0.
    pub margin: Number,
}

/// The cosine of each pair, the squared length of each vector, and the product of the lengths.
struct Cosine {
    cosine: NodeId,
    squares: [NodeId; 2],
    root: NodeId,
}

impl Cosine {
    fn new(g: &mut Graph, a: NodeId, b: NodeId) -> Cosine {
        let epsilon = g.constant(EPSILON);
        let product = g.mul(a, b);
        let product = rows::sum(g, product);
        let squares = [a, b].map(|x| {
            let square = g.square(x);
            let sum = rows::sum(g, square);
            g.add(sum, epsilon)
        });
        let both = g.mul(squares[0], squares[1]);
        let root = g.sqrt(both);
        Cosine { cosine: g.div(product, root), squares, root }
    }
}

impl Operation for CosineEmbeddingLoss {
    const NAME: &'static str = "cosine_embedding_loss";
    const CALL: Option<Signature> = Some(Signature::of(&["a", "b", "target"]).with(&[Attribute {
        name: "margin",
        kind: AttributeKind::Number,
        default: Some("0.0"),
    }]));

    fn from_call(attributes: &Attributes) -> Result<CosineEmbeddingLoss, Mistake> {
        let margin = attributes.number("margin").unwrap_or(0.0);
        Ok(CosineEmbeddingLoss { margin: Number(margin as f32) })
    }

    fn shape(&self, x: &[Argument<'_>], facts: &mut Facts) -> Result<Type, Mistake> {
        let ty = rows::shape(Self::NAME, x[0], x[1], facts)?;
        super::elementwise::require_real(Self::NAME, 2, x[2])?;
        let (pairs, target) = (&ty.shape, &x[2].ty.shape);
        let mistake = || {
            let message = format!(
                "`{}` and `{}` take targets of shape {pairs}, but `{}` is {target}",
                x[0].name, x[1].name, x[2].name
            );
            Mistake::operand(2, message)
        };
        if pairs.rank() != target.rank() || pairs.batched != target.batched {
            return Err(mistake());
        }
        for (a, b) in pairs.dims.iter().zip(&target.dims) {
            facts.same(a, b, mistake)?;
        }
        Ok(ty)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        let [a, b, targets] = [x[0].reals(), x[1].reals(), x[2].reals()];
        let width = a.len() / targets.len();
        let dot = |a: &[T], b: &[T]| a.iter().zip(b).map(|(a, b)| *a * *b).total();
        let loss = |((a, b), target): ((&[T], &[T]), &T)| {
            let lengths = (dot(a, a) + T::of(EPSILON)) * (dot(b, b) + T::of(EPSILON));
            let cosine = dot(a, b) / lengths.sqrt();
            if *target > T::zero() {
                return T::one() - cosine;
            }
            let excess = cosine - T::of(self.margin.0);
            if excess < T::zero() { T::zero() } else { excess }
        };
        let pairs = a.chunks(width).zip(b.chunks(width));
        Value::real(&at.sizes(), pairs.zip(targets).map(loss).collect())
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let [a, b, target] = [at.x[0], at.x[1], at.x[2]];
        let Cosine { cosine, squares, root } = Cosine::new(g, a, b);
        let (zero, margin) = (g.constant(0.0), g.constant(self.margin.0));
        let is_similar = g.greater(target, zero);
        // The gradient at the margin is 0, also for zero vectors at margin 0.
        let is_near = g.greater(cosine, margin);
        let minus = g.neg(at.dy);
        let dissimilar = g.select(is_near, at.dy, zero);
        let dcosine = g.select(is_similar, minus, dissimilar);
        // d cos / da = b / root - a · cos / (a·a)
        let across = g.div(dcosine, root);
        let across = classes::column(g, across);
        let along = g.mul(dcosine, cosine);
        let mut gradients = Vec::new();
        for (vector, other, square) in [(a, b, squares[0]), (b, a, squares[1])] {
            let share = g.div(along, square);
            let share = classes::column(g, share);
            let parallel = g.mul(vector, share);
            let direction = g.mul(other, across);
            gradients.push(Some(g.sub(direction, parallel)));
        }
        gradients.push(None);
        gradients
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| {
            let Cosine { cosine, .. } = Cosine::new(g, x[0], x[1]);
            let (zero, one) = (g.constant(0.0), g.constant(1.0));
            let margin = g.constant(self.margin.0);
            let similar = g.sub(one, cosine);
            let excess = g.sub(cosine, margin);
            let dissimilar = g.maximum(excess, zero);
            let is_similar = g.greater(x[2], zero);
            g.select(is_similar, similar, dissimilar)
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        // Vectors of one number are parallel: their gradient is only rounding error divided by the
        // length, which must not be tiny.
        let domain = if size == 1 { Domain::Positive } else { Domain::Normal(1.0) };
        let domains = [domain, domain];
        [0.0, 0.3]
            .into_iter()
            .flat_map(|margin| {
                let op = CosineEmbeddingLoss { margin: Number(margin) };
                rows::samples(size, domains, Some(Domain::Sign), op)
            })
            .collect()
    }
}
