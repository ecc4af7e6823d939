//! The operation [`Selu`].

use super::{Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// Scaled exponential linear unit: `scale·x` for `x > 0`, else `scale·alpha·(eˣ - 1)`, with
/// constants that preserve mean 0 and variance 1 (G. Klambauer, T. Unterthiner, A. Mayr,
/// S. Hochreiter, 2017).
///
/// The gradient at 0 is `scale·alpha`, as in PyTorch.
///
/// In the language: `selu(x)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = selu(x);
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[-1.11133, 0.52535, 2.1014]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Selu;

const ALPHA: f64 = 1.6732632423543772;
const SCALE: f64 = 1.0507009873554805;

impl Elementwise for Selu {
    const NAME: &'static str = "selu";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<Selu, Mistake> {
        Ok(Selu)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        let x = x[0];
        let y = if x > T::zero() { x } else { T::of_f64(ALPHA) * x.exp_m1() };
        T::of_f64(SCALE) * y
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        // Not from the result, which cancels close to its limit.
        let (zero, scale) = (g.constant(0.0), g.constant(SCALE as f32));
        let lowest = g.constant((SCALE * ALPHA) as f32);
        let positive = g.greater(at.x[0], zero);
        let e = g.exp(at.x[0]);
        let below = g.mul(e, lowest);
        let slope = g.select(positive, scale, below);
        vec![Some(g.mul(at.dy, slope))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let zero = e.float(0.0);
        let (scale, lowest) = (e.float(SCALE as f32), e.float((SCALE * ALPHA) as f32));
        let above = e.mul(scale, x[0]);
        let below = e.expm1(x[0]);
        let below = e.mul(lowest, below);
        let positive = e.greater(x[0], zero);
        e.select(positive, above, below)
    }

    fn variants() -> Vec<Selu> {
        vec![Selu]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Separated]
    }
}
