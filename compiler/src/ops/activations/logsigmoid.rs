//! The operation [`LogSigmoid`].

use super::{Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// Logarithm of the logistic function, `ln(sigmoid(x))`, computed without overflow as `-softplus(-x)`.
///
/// In the language: `logsigmoid(x)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = logsigmoid(x);
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[-1.31326, -0.474077, -0.126928]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct LogSigmoid;

impl Elementwise for LogSigmoid {
    const NAME: &'static str = "logsigmoid";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<LogSigmoid, Mistake> {
        Ok(LogSigmoid)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        -super::softplus::stable(-x[0])
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let minus = g.neg(at.x[0]);
        let slope = g.sigmoid(minus);
        vec![Some(g.mul(at.dy, slope))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let minus = e.neg(x[0]);
        let y = e.softplus(minus);
        e.neg(y)
    }

    fn variants() -> Vec<LogSigmoid> {
        vec![LogSigmoid]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Normal(3.0)]
    }
}
