//! The operation [`Log1p`].

use super::{Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// `ln(1 + x)`, accurate near 0; -∞ at -1, NaN below.
///
/// In the language: `log1p(x)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = log1p(x);
///     }
/// }
///
/// let x = array![[-0.5, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[-0.693147, 0.405465, 1.098612]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Log1p;

impl Elementwise for Log1p {
    const NAME: &'static str = "log1p";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<Log1p, Mistake> {
        Ok(Log1p)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        x[0].ln_1p()
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let one = g.constant(1.0);
        let sum = g.add(at.x[0], one);
        vec![Some(g.div(at.dy, sum))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        e.ln_1p(x[0])
    }

    fn variants() -> Vec<Log1p> {
        vec![Log1p]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Positive]
    }
}
