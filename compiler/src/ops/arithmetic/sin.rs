//! The operation [`Sin`].

use super::{Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// The sine of an angle in radians. Machine code supports `|x|` up to 2²⁰; beyond, where neighbouring
/// floats differ by 1/8 or more, the result is NaN.
///
/// In the language: `sin(x)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = sin(x);
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[-0.841471, 0.479426, 0.909297]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Sin;

impl Elementwise for Sin {
    const NAME: &'static str = "sin";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<Sin, Mistake> {
        Ok(Sin)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        x[0].sin()
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let slope = g.apply(super::cos::Cos, &[at.x[0]]);
        vec![Some(g.mul(at.dy, slope))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        e.sin(x[0])
    }

    fn variants() -> Vec<Sin> {
        vec![Sin]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Normal(20.0)]
    }
}
