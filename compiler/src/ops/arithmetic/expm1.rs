//! The operation [`Expm1`].

use super::{Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// `eˣ - 1`, accurate near 0.
///
/// In the language: `expm1(x)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = expm1(x);
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[-0.632121, 0.648721, 6.38906]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Expm1;

impl Elementwise for Expm1 {
    const NAME: &'static str = "expm1";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<Expm1, Mistake> {
        Ok(Expm1)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        x[0].exp_m1()
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        // From the result; no exponential.
        let one = g.constant(1.0);
        let slope = g.add(at.y, one);
        vec![Some(g.mul(at.dy, slope))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        e.expm1(x[0])
    }

    fn variants() -> Vec<Expm1> {
        vec![Expm1]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Normal(1.0)]
    }
}
