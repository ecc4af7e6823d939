//! The operation [`Log2`].

use super::{Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// Logarithm to base 2; exact for its powers; -∞ at 0, NaN below.
///
/// In the language: `log2(x)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = log2(x);
///     }
/// }
///
/// let x = array![[0.5, 1.0, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[-1.0, 0.0, 1.0]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Log2;

impl Elementwise for Log2 {
    const NAME: &'static str = "log2";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<Log2, Mistake> {
        Ok(Log2)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        x[0].log2()
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let slope = g.constant(std::f32::consts::LOG2_E);
        let slope = g.div(slope, at.x[0]);
        vec![Some(g.mul(at.dy, slope))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        e.log2(x[0])
    }

    fn variants() -> Vec<Log2> {
        vec![Log2]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Positive]
    }
}
