//! The operation [`HingeLoss`].

use super::{Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// The hinge loss of a score and a target that is 1 or -1, for each element:
/// `max(0, 1 - target · score)`.
///
/// Both must have the same shape; losses do not broadcast.
///
/// In the language: `hinge_loss(score, target)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input score: [3];
///         input target: [3];
///         output y = hinge_loss(score, target);
///     }
/// }
///
/// let score = array![[2.0, 0.5, 0.5]];
/// let target = array![[1.0, 1.0, -1.0]];
/// let mut model = Example::model().build()?;
/// let y = model.predict(example::Input { score: score.view(), target: target.view() })?.y;
/// assert_eq!(y, array![[0.0, 0.5, 1.5]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct HingeLoss;

impl Elementwise for HingeLoss {
    const NAME: &'static str = "hinge_loss";
    const CALL: Option<Signature> = Some(Signature::of(&["score", "target"]));
    const BROADCASTS: bool = false;

    fn from_call(_: &Attributes) -> Result<HingeLoss, Mistake> {
        Ok(HingeLoss)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        let missing = T::one() - x[1] * x[0];
        if missing < T::zero() { T::zero() } else { missing }
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let zero = g.constant(0.0);
        let active = g.greater(at.y, zero);
        let minus = g.neg(at.dy);
        let slope = g.select(active, minus, zero);
        [1, 0].map(|other| Some(g.mul(slope, at.x[other]))).to_vec()
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let (zero, one) = (e.float(0.0), e.float(1.0));
        let product = e.mul(x[1], x[0]);
        let missing = e.sub(one, product);
        // The constant is the first operand, so that NaN propagates.
        e.max(zero, missing)
    }

    fn variants() -> Vec<HingeLoss> {
        vec![HingeLoss]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Normal(1.0), Domain::Sign]
    }
}
