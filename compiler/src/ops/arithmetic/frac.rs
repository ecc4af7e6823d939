//! The operation [`Frac`].

use super::{Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// `x` without its [integer part](super::trunc), of the sign of `x`; NaN for infinite values.
/// Exact; the gradient is 1.
///
/// In the language: `frac(x)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = frac(x);
///     }
/// }
///
/// let x = array![[-1.5, 0.5, 2.25]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![[-0.5, 0.5, 0.25]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Frac;

impl Elementwise for Frac {
    const NAME: &'static str = "frac";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<Frac, Mistake> {
        Ok(Frac)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        x[0] - x[0].trunc()
    }

    fn gradient(&self, _: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        vec![Some(at.dy)]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let whole = e.trunc(x[0]);
        e.sub(x[0], whole)
    }

    fn variants() -> Vec<Frac> {
        vec![Frac]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Separated]
    }
}
