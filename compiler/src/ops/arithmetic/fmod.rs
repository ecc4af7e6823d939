//! The operation [`Fmod`].

use super::{Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// `a - b·trunc(a / b)`, of the sign of `a`, as in C; NaN for `b = 0`. NaN also where `|a / b|` is
/// beyond 2²³. The gradient is 1 for `a`, and `-trunc(a / b)` for `b`.
///
/// In the language: `fmod(a, b)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input a: [3];
///         input b: [3];
///         output y = fmod(a, b);
///     }
/// }
///
/// let a = array![[5.0, -5.0, 5.5]];
/// let b = array![[3.0, 3.0, -2.0]];
/// let y = Example::model().build()?.predict(example::Input { a: a.view(), b: b.view() })?.y;
/// assert_eq!(y, array![[2.0, -2.0, 1.5]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Fmod;

impl Elementwise for Fmod {
    const NAME: &'static str = "fmod";
    const CALL: Option<Signature> = Some(Signature::of(&["a", "b"]));

    fn from_call(_: &Attributes) -> Result<Fmod, Mistake> {
        Ok(Fmod)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        x[0] % x[1]
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let quotient = g.div(at.x[0], at.x[1]);
        let count = g.apply(super::trunc::Trunc, &[quotient]);
        let db = g.mul(at.dy, count);
        vec![Some(at.dy), Some(g.neg(db))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        e.fmod(x[0], x[1])
    }

    fn variants() -> Vec<Fmod> {
        vec![Fmod]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Separated, Domain::Positive]
    }
}
