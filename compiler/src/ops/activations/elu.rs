//! The operation [`Elu`].

use super::{
    Attribute, AttributeKind, Attributes, Domain, Elementwise, Number, Reverse, Signature,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// Exponential linear unit: `x` where `x > 0`, else `alpha·(eˣ - 1)`
/// (D.-A. Clevert, T. Unterthiner, S. Hochreiter, 2015).
///
/// The gradient at 0 is `alpha`, as in PyTorch.
///
/// In the language: `elu(x, alpha = 1.0)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = elu(x);
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[-0.632121, 0.5, 2.0]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Elu {
    /// The negative of the limit at -∞; default 1.
    pub alpha: Number,
}

impl Elementwise for Elu {
    const NAME: &'static str = "elu";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]).with(&[Attribute {
        name: "alpha",
        kind: AttributeKind::Number,
        default: Some("1.0"),
    }]));

    fn from_call(attributes: &Attributes) -> Result<Elu, Mistake> {
        Ok(Elu { alpha: Number(attributes.number("alpha").unwrap_or(1.0) as f32) })
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        let x = x[0];
        if x > T::zero() { x } else { T::of(self.alpha.0) * x.exp_m1() }
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let (zero, alpha) = (g.constant(0.0), g.constant(self.alpha.0));
        // `y + alpha` would cancel where `y` is close to `-alpha`.
        let e = g.exp(at.x[0]);
        let slope = g.mul(e, alpha);
        let positive = g.greater(at.x[0], zero);
        let product = g.mul(at.dy, slope);
        vec![Some(g.select(positive, at.dy, product))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let (zero, alpha) = (e.float(0.0), e.float(self.alpha.0));
        let below = e.expm1(x[0]);
        let below = e.mul(alpha, below);
        let positive = e.greater(x[0], zero);
        e.select(positive, x[0], below)
    }

    fn variants() -> Vec<Elu> {
        [1.0, 0.3, -0.5].map(|alpha| Elu { alpha: Number(alpha) }).to_vec()
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Separated]
    }
}
