//! The operation [`Asin`].

use super::{Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// Arcsine, in radians; NaN for `|x| > 1`.
///
/// In the language: `asin(x)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = asin(x);
///     }
/// }
///
/// let x = array![[-1.0, 0.0, 0.5]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[-1.570796, 0.0, 0.523599]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Asin;

impl Elementwise for Asin {
    const NAME: &'static str = "asin";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<Asin, Mistake> {
        Ok(Asin)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        x[0].asin()
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let (square, one) = (g.square(at.x[0]), g.constant(1.0));
        let rest = g.sub(one, square);
        let root = g.sqrt(rest);
        let slope = g.div(at.dy, root);
        vec![Some(slope)]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        e.asin(x[0])
    }

    fn variants() -> Vec<Asin> {
        vec![Asin]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Probability]
    }
}
