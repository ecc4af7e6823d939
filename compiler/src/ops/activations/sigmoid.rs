//! The operation [`Sigmoid`].

use super::{Attributes, Domain, Elementwise, Finiteness, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// The logistic function, `1 / (1 + e⁻ˣ)`.
///
/// In the language: `sigmoid(x)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = sigmoid(x);
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[0.268941, 0.622459, 0.880797]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Sigmoid;

impl Elementwise for Sigmoid {
    const NAME: &'static str = "sigmoid";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<Sigmoid, Mistake> {
        Ok(Sigmoid)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        // For x < 0 as eˣ / (1 + eˣ): e⁻ˣ may overflow where the result is not 0.
        let e = (-x[0].abs()).exp();
        let share = if x[0] > T::zero() { T::one() } else { e };
        share / (T::one() + e)
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let one = g.constant(1.0);
        let complement = g.sub(one, at.y);
        let slope = g.mul(at.y, complement);
        vec![Some(g.mul(at.dy, slope))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        e.sigmoid(x[0])
    }

    fn finiteness(&self) -> Finiteness {
        Finiteness::BOUNDED
    }

    fn variants() -> Vec<Sigmoid> {
        vec![Sigmoid]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Normal(2.0)]
    }
}
