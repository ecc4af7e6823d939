//! The operation [`Log`].

use super::{Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// Natural logarithm `ln x`; -∞ at 0, NaN below.
///
/// In the language: `log(x)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = log(x);
///     }
/// }
///
/// let x = array![[0.5, 1.0, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[-0.693147, 0.0, 0.693147]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Log;

impl Elementwise for Log {
    const NAME: &'static str = "log";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<Log, Mistake> {
        Ok(Log)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        x[0].ln()
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        vec![Some(g.div(at.dy, at.x[0]))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        e.log(x[0])
    }

    fn variants() -> Vec<Log> {
        vec![Log]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Positive]
    }
}
