//! The operation [`Logit`].

use super::{
    Attribute, AttributeKind, Attributes, Domain, Elementwise, Number, Reverse, Signature,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// `ln(x / (1 - x))`, the inverse of [`sigmoid`](super::sigmoid), of probabilities; NaN outside of
/// 0 to 1. With `eps`, `x` is limited to `eps` to `1 - eps` first, and the gradient is 0 outside of
/// them.
///
/// In the language: `logit(x, eps = none)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = logit(x);
///     }
/// }
///
/// let x = array![[0.25, 0.5, 0.75]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[-1.098612, 0.0, 1.098612]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Logit {
    /// The distance from 0 and 1; default none.
    pub eps: Option<Number>,
}

impl Elementwise for Logit {
    const NAME: &'static str = "logit";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]).with(&[Attribute {
        name: "eps",
        kind: AttributeKind::Number,
        default: Some("none"),
    }]));

    fn from_call(attributes: &Attributes) -> Result<Logit, Mistake> {
        let eps = attributes.number("eps").map(|eps| eps as f32);
        if let Some(eps) = eps.filter(|eps| !(0.0..0.5).contains(eps)) {
            let message = format!("`eps` is a number from 0 to below 0.5, not {eps}");
            return Err(Mistake::attribute("eps", message));
        }
        Ok(Logit { eps: eps.map(Number) })
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        let (least, most) = self.limits();
        let x = match x[0] {
            x if x < T::of(least) => T::of(least),
            x if x > T::of(most) => T::of(most),
            x => x,
        };
        (x / (T::one() - x)).ln()
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let (one, zero) = (g.constant(1.0), g.constant(0.0));
        let rest = g.sub(one, at.x[0]);
        let product = g.mul(at.x[0], rest);
        let dx = g.div(at.dy, product);
        let (least, most) = self.limits();
        let [least, most] = [least, most].map(|limit| g.constant(limit));
        let (below, above) = (g.greater(least, at.x[0]), g.greater(at.x[0], most));
        let dx = g.choose(below, zero, dx);
        vec![Some(g.choose(above, zero, dx))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let (least, most) = self.limits();
        let (least, most, one) = (e.float(least), e.float(most), e.float(1.0));
        // Constants are the first operands, so that NaN propagates.
        let x = e.max(least, x[0]);
        let x = e.min(most, x);
        let rest = e.sub(one, x);
        let odds = e.div(x, rest);
        e.log(odds)
    }

    fn variants() -> Vec<Logit> {
        [None, Some(0.125)].map(|eps| Logit { eps: eps.map(Number) }).to_vec()
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Probability]
    }
}

impl Logit {
    /// The least and the largest argument.
    fn limits(&self) -> (f32, f32) {
        match self.eps {
            Some(Number(eps)) => (eps, 1.0 - eps),
            None => (f32::NEG_INFINITY, f32::INFINITY),
        }
    }
}
