//! The operation [`Tanh`].

use super::{Attributes, Domain, Elementwise, Finiteness, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::faults::{self, Fault};
use crate::graph::{Graph, NodeId};

/// The hyperbolic tangent.
///
/// In the language: `tanh(x)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = tanh(x);
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[-0.761594, 0.462117, 0.964028]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Tanh;

impl Elementwise for Tanh {
    const NAME: &'static str = "tanh";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<Tanh, Mistake> {
        Ok(Tanh)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        x[0].tanh()
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let one = g.constant(1.0);
        let square = g.square(at.y);
        let slope = g.sub(one, square);
        let dx = g.mul(at.dy, slope);
        vec![Some(if faults::is(Fault::TanhSign) { g.neg(dx) } else { dx })]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        e.tanh(x[0])
    }

    fn finiteness(&self) -> Finiteness {
        Finiteness::BOUNDED
    }

    fn variants() -> Vec<Tanh> {
        vec![Tanh]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Normal(2.0)]
    }
}
