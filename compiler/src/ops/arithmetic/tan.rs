//! The operation [`Tan`].

use super::{Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// The tangent of an angle in radians: NaN for `|x|` beyond 2²⁰, as that of [`sin`](super::sin).
///
/// In the language: `tan(x)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = tan(x);
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[-1.557408, 0.546302, -2.18504]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Tan;

impl Elementwise for Tan {
    const NAME: &'static str = "tan";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<Tan, Mistake> {
        Ok(Tan)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        x[0].tan()
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let (square, one) = (g.square(at.y), g.constant(1.0));
        let slope = g.add(square, one);
        vec![Some(g.mul(at.dy, slope))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let (sin, cos) = (e.sin(x[0]), e.cos(x[0]));
        e.div(sin, cos)
    }

    fn variants() -> Vec<Tan> {
        vec![Tan]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Probability]
    }
}
