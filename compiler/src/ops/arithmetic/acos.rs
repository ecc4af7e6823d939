//! The operation [`Acos`].

use super::{Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// Arccosine, in radians; NaN for `|x| > 1`.
///
/// In the language: `acos(x)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = acos(x);
///     }
/// }
///
/// let x = array![[-1.0, 0.0, 0.5]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[3.141593, 1.570796, 1.047198]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Acos;

impl Elementwise for Acos {
    const NAME: &'static str = "acos";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<Acos, Mistake> {
        Ok(Acos)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        x[0].acos()
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let (square, one) = (g.square(at.x[0]), g.constant(1.0));
        let rest = g.sub(one, square);
        let root = g.sqrt(rest);
        let slope = g.div(at.dy, root);
        vec![Some(g.neg(slope))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        e.acos(x[0])
    }

    fn variants() -> Vec<Acos> {
        vec![Acos]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Probability]
    }
}
