//! The operation [`Celu`].

use super::{
    Attribute, AttributeKind, Attributes, Domain, Elementwise, Number, Reverse, Signature,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// Continuously differentiable exponential linear unit: `x` for `x > 0`, else
/// `alpha·(e^(x/alpha) - 1)` (J. Barron, 2017). The gradient at 0 is 1.
///
/// In the language: `celu(x, alpha = 1.0)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = celu(x);
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[-0.632121, 0.5, 2.0]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Celu {
    /// The negative of the limit at -∞; default 1.
    pub alpha: Number,
}

impl Elementwise for Celu {
    const NAME: &'static str = "celu";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]).with(&[Attribute {
        name: "alpha",
        kind: AttributeKind::Number,
        default: Some("1.0"),
    }]));

    fn from_call(attributes: &Attributes) -> Result<Celu, Mistake> {
        let alpha = attributes.number("alpha").unwrap_or(1.0) as f32;
        if alpha == 0.0 || !alpha.is_finite() {
            let message = format!("`alpha` is a number other than 0, not {alpha}");
            return Err(Mistake::attribute("alpha", message));
        }
        Ok(Celu { alpha: Number(alpha) })
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        let (x, alpha) = (x[0], T::of(self.alpha.0));
        if x > T::zero() { x } else { alpha * (x / alpha).exp_m1() }
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let (zero, alpha) = (g.constant(0.0), g.constant(self.alpha.0));
        let scaled = g.div(at.x[0], alpha);
        let slope = g.exp(scaled);
        let product = g.mul(at.dy, slope);
        let positive = g.greater(at.x[0], zero);
        vec![Some(g.select(positive, at.dy, product))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let (zero, alpha) = (e.float(0.0), e.float(self.alpha.0));
        let scaled = e.div(x[0], alpha);
        let below = e.expm1(scaled);
        let below = e.mul(alpha, below);
        let positive = e.greater(x[0], zero);
        e.select(positive, x[0], below)
    }

    fn variants() -> Vec<Celu> {
        [1.0, 0.3, 2.0].map(|alpha| Celu { alpha: Number(alpha) }).to_vec()
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Separated]
    }
}
