//! The operation [`Square`].

use super::{Attributes, Domain, Elementwise, Finiteness, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// Square `x²`.
///
/// In the language: `square(x)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = square(x);
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![[1.0, 0.25, 4.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Square;

impl Elementwise for Square {
    const NAME: &'static str = "square";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<Square, Mistake> {
        Ok(Square)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        x[0] * x[0]
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let slope = g.scale(at.x[0], 2.0);
        vec![Some(g.mul(at.dy, slope))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        e.mul(x[0], x[0])
    }

    fn finiteness(&self) -> Finiteness {
        Finiteness::PRESERVED
    }

    fn variants() -> Vec<Square> {
        vec![Square]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Normal(2.0)]
    }
}
