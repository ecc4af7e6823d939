//! The operation [`Silu`].

use super::{Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// Sigmoid linear unit, `x·sigmoid(x)`, also known as swish; NaN at -∞, as in PyTorch.
///
/// In the language: `silu(x)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = silu(x);
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[-0.268941, 0.31123, 1.76159]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Silu;

impl Elementwise for Silu {
    const NAME: &'static str = "silu";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<Silu, Mistake> {
        Ok(Silu)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        let e = (-x[0].abs()).exp();
        let share = if x[0] > T::zero() { x[0] } else { x[0] * e };
        share / (T::one() + e)
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        // s + x·s·(1 - s) with s = sigmoid(x) and x·s the result.
        let one = g.constant(1.0);
        let sigmoid = g.sigmoid(at.x[0]);
        let complement = g.sub(one, sigmoid);
        let product = g.mul(at.y, complement);
        let slope = g.add(sigmoid, product);
        vec![Some(g.mul(at.dy, slope))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        // For x < 0 as x·eˣ / (1 + eˣ): e⁻ˣ may overflow where the result is not 0.
        let (zero, one) = (e.float(0.0), e.float(1.0));
        let size = e.abs(x[0]);
        let minus = e.neg(size);
        let exp = e.exp(minus);
        let denominator = e.add(exp, one);
        let below = e.mul(x[0], exp);
        let is_positive = e.greater(x[0], zero);
        let numerator = e.select(is_positive, x[0], below);
        e.div(numerator, denominator)
    }

    fn variants() -> Vec<Silu> {
        vec![Silu]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Normal(2.0)]
    }
}
