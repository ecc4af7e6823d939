//! The operation [`Cos`].

use super::{Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// The cosine of an angle in radians. Machine code supports `|x|` up to 2²⁰; beyond, where neighbouring
/// floats differ by 1/8 or more, the result is NaN.
///
/// In the language: `cos(x)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = cos(x);
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[0.540302, 0.877583, -0.416147]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Cos;

impl Elementwise for Cos {
    const NAME: &'static str = "cos";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<Cos, Mistake> {
        Ok(Cos)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        x[0].cos()
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let sin = g.apply(super::sin::Sin, &[at.x[0]]);
        let slope = g.neg(sin);
        vec![Some(g.mul(at.dy, slope))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        e.cos(x[0])
    }

    fn variants() -> Vec<Cos> {
        vec![Cos]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Normal(20.0)]
    }
}
