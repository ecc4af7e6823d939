//! The operation [`HingeEmbeddingLoss`].

use super::{
    Attribute, AttributeKind, Attributes, Domain, Elementwise, Number, Reverse, Signature,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// The loss of a distance `x`, for each element: `x` for target 1 (similar), `max(0, margin - x)` for
/// target -1 (dissimilar). Only the target's sign matters.
///
/// Both must have the same shape; losses do not broadcast.
///
/// In the language: `hinge_embedding_loss(x, target, margin = 1.0)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         input target: [3];
///         output y = hinge_embedding_loss(x, target);
///     }
/// }
///
/// let x = array![[0.25, 0.25, 2.0]];
/// let target = array![[1.0, -1.0, -1.0]];
/// let mut model = Example::model().build()?;
/// let y = model.predict(example::Input { x: x.view(), target: target.view() })?.y;
/// assert_eq!(y, array![[0.25, 0.75, 0.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct HingeEmbeddingLoss {
    /// The distance above which dissimilar pairs have no loss; default 1.
    pub margin: Number,
}

impl Elementwise for HingeEmbeddingLoss {
    const NAME: &'static str = "hinge_embedding_loss";
    const CALL: Option<Signature> = Some(Signature::of(&["x", "target"]).with(&[Attribute {
        name: "margin",
        kind: AttributeKind::Number,
        default: Some("1.0"),
    }]));
    const BROADCASTS: bool = false;

    fn from_call(attributes: &Attributes) -> Result<HingeEmbeddingLoss, Mistake> {
        Ok(HingeEmbeddingLoss { margin: Number(attributes.number("margin").unwrap_or(1.0) as f32) })
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        if x[1] > T::zero() {
            return x[0];
        }
        let missing = T::of(self.margin.0) - x[0];
        if missing < T::zero() { T::zero() } else { missing }
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let [x, target] = [at.x[0], at.x[1]];
        let (zero, margin) = (g.constant(0.0), g.constant(self.margin.0));
        let is_similar = g.greater(target, zero);
        // The gradient at the margin is 0.
        let is_near = g.greater(margin, x);
        let minus = g.neg(at.dy);
        let dissimilar = g.select(is_near, minus, zero);
        vec![Some(g.select(is_similar, at.dy, dissimilar)), None]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let (zero, margin) = (e.float(0.0), e.float(self.margin.0));
        let missing = e.sub(margin, x[0]);
        // The constant is the first operand, so that NaN propagates.
        let dissimilar = e.max(zero, missing);
        let is_similar = e.greater(x[1], zero);
        e.select(is_similar, x[0], dissimilar)
    }

    fn variants() -> Vec<HingeEmbeddingLoss> {
        [1.0, 0.3].map(|margin| HingeEmbeddingLoss { margin: Number(margin) }).to_vec()
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Normal(1.0), Domain::Sign]
    }
}
