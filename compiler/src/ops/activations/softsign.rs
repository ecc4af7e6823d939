//! The operation [`Softsign`].

use super::{Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// Softsign, `x / (1 + |x|)`; NaN at ±∞, as in PyTorch.
///
/// In the language: `softsign(x)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = softsign(x);
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[-0.5, 0.333333, 0.666667]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Softsign;

impl Elementwise for Softsign {
    const NAME: &'static str = "softsign";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<Softsign, Mistake> {
        Ok(Softsign)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        x[0] / (T::one() + x[0].abs())
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let one = g.constant(1.0);
        let size = g.abs(at.x[0]);
        let denominator = g.add(size, one);
        let square = g.square(denominator);
        vec![Some(g.div(at.dy, square))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let one = e.float(1.0);
        let size = e.abs(x[0]);
        let denominator = e.add(size, one);
        e.div(x[0], denominator)
    }

    fn variants() -> Vec<Softsign> {
        vec![Softsign]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Separated]
    }
}
