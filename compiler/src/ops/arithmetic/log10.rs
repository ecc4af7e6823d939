//! The operation [`Log10`].

use super::{Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// Logarithm to base 10; -∞ at 0, NaN below.
///
/// In the language: `log10(x)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = log10(x);
///     }
/// }
///
/// let x = array![[0.5, 1.0, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[-0.30103, 0.0, 0.30103]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Log10;

impl Elementwise for Log10 {
    const NAME: &'static str = "log10";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<Log10, Mistake> {
        Ok(Log10)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        x[0].log10()
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let slope = g.constant(std::f32::consts::LOG10_E);
        let slope = g.div(slope, at.x[0]);
        vec![Some(g.mul(at.dy, slope))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        e.log10(x[0])
    }

    fn variants() -> Vec<Log10> {
        vec![Log10]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Positive]
    }
}
