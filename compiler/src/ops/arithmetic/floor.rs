//! The operation [`Floor`].

use super::{Attributes, Domain, Elementwise, Finiteness, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// The largest integer that is at most `x`. Infinite values and NaN stay what they are. Exact;
/// without gradient.
///
/// In the language: `floor(x)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = floor(x);
///     }
/// }
///
/// let x = array![[-1.5, 0.5, 2.5]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![[-2.0, 0.0, 2.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Floor;

impl Elementwise for Floor {
    const NAME: &'static str = "floor";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<Floor, Mistake> {
        Ok(Floor)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        x[0].floor()
    }

    fn gradient(&self, _: &mut Graph, _: &Reverse<'_>) -> Vec<Option<NodeId>> {
        vec![None]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        e.floor(x[0])
    }

    fn finiteness(&self) -> Finiteness {
        Finiteness::EXACT
    }

    fn variants() -> Vec<Floor> {
        vec![Floor]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Separated]
    }
}
