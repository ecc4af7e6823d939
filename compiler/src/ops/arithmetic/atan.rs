//! The operation [`Atan`].

use super::{Attributes, Domain, Elementwise, Finiteness, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// Arctangent, in radians.
///
/// In the language: `atan(x)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = atan(x);
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[-0.785398, 0.463648, 1.107149]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Atan;

impl Elementwise for Atan {
    const NAME: &'static str = "atan";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<Atan, Mistake> {
        Ok(Atan)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        x[0].atan()
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let (square, one) = (g.square(at.x[0]), g.constant(1.0));
        let sum = g.add(square, one);
        vec![Some(g.div(at.dy, sum))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        e.atan(x[0])
    }

    fn finiteness(&self) -> Finiteness {
        Finiteness::BOUNDED
    }

    fn variants() -> Vec<Atan> {
        vec![Atan]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Normal(2.0)]
    }
}
