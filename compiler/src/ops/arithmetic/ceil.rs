//! The operation [`Ceil`].

use super::{Attributes, Domain, Elementwise, Finiteness, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// The smallest integer that is at least `x`. Infinite values and NaN stay what they are. Exact;
/// without gradient.
///
/// In the language: `ceil(x)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = ceil(x);
///     }
/// }
///
/// let x = array![[-1.5, 0.5, 2.5]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![[-1.0, 1.0, 3.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Ceil;

impl Elementwise for Ceil {
    const NAME: &'static str = "ceil";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<Ceil, Mistake> {
        Ok(Ceil)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        x[0].ceil()
    }

    fn gradient(&self, _: &mut Graph, _: &Reverse<'_>) -> Vec<Option<NodeId>> {
        vec![None]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        e.ceil(x[0])
    }

    fn finiteness(&self) -> Finiteness {
        Finiteness::EXACT
    }

    fn variants() -> Vec<Ceil> {
        vec![Ceil]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Separated]
    }
}
