//! The operation [`Round`].

use super::{Attributes, Domain, Elementwise, Finiteness, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// The nearest integer; of two, the even one, as in PyTorch: `round(2.5)` is 2. Infinite values and
/// NaN stay what they are. Exact; without gradient.
///
/// In the language: `round(x)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = round(x);
///     }
/// }
///
/// let x = array![[-1.5, 0.5, 2.5]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![[-2.0, 0.0, 2.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Round;

impl Elementwise for Round {
    const NAME: &'static str = "round";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<Round, Mistake> {
        Ok(Round)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        x[0].round_even()
    }

    fn gradient(&self, _: &mut Graph, _: &Reverse<'_>) -> Vec<Option<NodeId>> {
        vec![None]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        e.round(x[0])
    }

    fn finiteness(&self) -> Finiteness {
        Finiteness::EXACT
    }

    fn variants() -> Vec<Round> {
        vec![Round]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Separated]
    }
}
