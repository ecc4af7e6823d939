//! The operation [`Mish`].

use super::{Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// Mish, `x·tanh(ln(1 + eˣ))` (D. Misra, 2019); NaN at -∞, as in PyTorch.
///
/// In the language: `mish(x)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = mish(x);
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[-0.303401, 0.375245, 1.94396]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Mish;

impl Elementwise for Mish {
    const NAME: &'static str = "mish";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<Mish, Mistake> {
        Ok(Mish)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        x[0] * super::softplus::stable(x[0]).tanh()
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        // With n = eˣ·(eˣ + 2) it is x·n / (n + 2), whose derivative is
        // n / (n + 2) + x·4·eˣ·(eˣ + 1) / (n + 2)²: 1 for x > 20.
        let (limit, one, two) = (g.constant(20.0), g.constant(1.0), g.constant(2.0));
        let x = g.minimum(at.x[0], limit);
        let e = g.exp(x);
        let sum = g.add(e, two);
        let n = g.mul(e, sum);
        let denominator = g.add(n, two);
        let share = g.div(n, denominator);
        let sum = g.add(e, one);
        let product = g.div(sum, denominator);
        let other = g.div(e, denominator);
        let product = g.mul(product, other);
        let product = g.mul(x, product);
        let product = g.scale(product, 4.0);
        let slope = g.add(share, product);
        vec![Some(g.mul(at.dy, slope))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        e.mish(x[0])
    }

    fn variants() -> Vec<Mish> {
        vec![Mish]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Normal(3.0)]
    }
}
