//! The operation [`Erfc`].

use super::{Attributes, Domain, Elementwise, Finiteness, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// Complementary error function `1 - erf(x)`, accurate where it is small.
///
/// In the language: `erfc(x)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = erfc(x);
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[1.842701, 0.4795, 0.004678]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Erfc;

impl Elementwise for Erfc {
    const NAME: &'static str = "erfc";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<Erfc, Mistake> {
        Ok(Erfc)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        x[0].erfc()
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let square = g.square(at.x[0]);
        let minus = g.neg(square);
        let e = g.exp(minus);
        let slope = g.scale(e, -std::f32::consts::FRAC_2_SQRT_PI);
        vec![Some(g.mul(at.dy, slope))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        e.erfc(x[0])
    }

    fn finiteness(&self) -> Finiteness {
        Finiteness::BOUNDED
    }

    fn variants() -> Vec<Erfc> {
        vec![Erfc]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Normal(1.5)]
    }
}
