//! The operation [`Reciprocal`].

use super::{Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// Reciprocal `1 / x`; infinite at 0.
///
/// In the language: `reciprocal(x)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = reciprocal(x);
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![[-1.0, 2.0, 0.5]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Reciprocal;

impl Elementwise for Reciprocal {
    const NAME: &'static str = "reciprocal";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<Reciprocal, Mistake> {
        Ok(Reciprocal)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        x[0].recip()
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let square = g.square(at.y);
        let product = g.mul(at.dy, square);
        vec![Some(g.neg(product))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let one = e.float(1.0);
        e.div(one, x[0])
    }

    fn variants() -> Vec<Reciprocal> {
        vec![Reciprocal]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Positive]
    }
}
