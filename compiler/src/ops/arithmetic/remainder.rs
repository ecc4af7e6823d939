//! The operation [`Remainder`].

use super::{Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// `a - b·⌊a / b⌋`, of the sign of `b`, as in Python; NaN for `b = 0`. NaN also where `|a / b|` is
/// beyond 2²³. The gradient is 1 for `a`, and `-⌊a / b⌋` for `b`.
///
/// In the language: `remainder(a, b)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input a: [3];
///         input b: [3];
///         output y = remainder(a, b);
///     }
/// }
///
/// let a = array![[5.0, -5.0, 5.5]];
/// let b = array![[3.0, 3.0, -2.0]];
/// let y = Example::model().build()?.predict(example::Input { a: a.view(), b: b.view() })?.y;
/// assert_eq!(y, array![[2.0, 1.0, -0.5]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Remainder;

impl Elementwise for Remainder {
    const NAME: &'static str = "remainder";
    const CALL: Option<Signature> = Some(Signature::of(&["a", "b"]));

    fn from_call(_: &Attributes) -> Result<Remainder, Mistake> {
        Ok(Remainder)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        let r = x[0] % x[1];
        let is_other_side = r != T::zero() && (r < T::zero()) != (x[1] < T::zero());
        if is_other_side { r + x[1] } else { r }
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let count = g.apply(super::floor_divide::FloorDivide, &[at.x[0], at.x[1]]);
        let db = g.mul(at.dy, count);
        vec![Some(at.dy), Some(g.neg(db))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        e.remainder(x[0], x[1])
    }

    fn variants() -> Vec<Remainder> {
        vec![Remainder]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Separated, Domain::Positive]
    }
}
