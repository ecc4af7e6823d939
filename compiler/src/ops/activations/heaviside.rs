//! The operation [`Heaviside`].

use super::{Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// Heaviside step of the perceptron: 1 for `x ≥ 0`, else 0; NaN stays NaN. Without gradient.
///
/// In the language: `step(x)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = step(x);
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![[0.0, 1.0, 1.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Heaviside;

impl Elementwise for Heaviside {
    const NAME: &'static str = "step";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<Heaviside, Mistake> {
        Ok(Heaviside)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        match x[0] {
            x if x.is_nan() => x,
            x if x < T::zero() => T::zero(),
            _ => T::one(),
        }
    }

    fn gradient(&self, _: &mut Graph, _: &Reverse<'_>) -> Vec<Option<NodeId>> {
        vec![None]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let zero = e.float(0.0);
        let is_active = e.greater_equal(x[0], zero);
        let y = e.indicator(is_active);
        e.keep_nan(x[0], y)
    }

    fn variants() -> Vec<Heaviside> {
        vec![Heaviside]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Separated]
    }
}
