//! The operation [`Sqrt`].

use super::{Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// Square root `√x`; NaN below 0.
///
/// In the language: `sqrt(x)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = sqrt(x);
///     }
/// }
///
/// let x = array![[0.25, 1.0, 4.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![[0.5, 1.0, 2.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Sqrt;

impl Elementwise for Sqrt {
    const NAME: &'static str = "sqrt";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<Sqrt, Mistake> {
        Ok(Sqrt)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        x[0].sqrt()
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let half = g.scale(at.dy, 0.5);
        vec![Some(g.div(half, at.y))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        e.sqrt(x[0])
    }

    fn variants() -> Vec<Sqrt> {
        vec![Sqrt]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Positive]
    }
}
