//! The operation [`LessEqual`].

use super::{Attributes, Domain, Elementwise, Finiteness, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// Comparison: 1 where `a ≤ b`, else 0, also where one of them is NaN. Without gradient.
///
/// In the language: `less_equal(a, b)` or `le(a, b)`, or `a <= b`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input a: [3];
///         input b: [3];
///         output y = less_equal(a, b);
///     }
/// }
///
/// let a = array![[1.0, 2.0, 3.0]];
/// let b = array![[2.0, 2.0, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { a: a.view(), b: b.view() })?.y;
/// assert_eq!(y, array![[1.0, 1.0, 0.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct LessEqual;

impl Elementwise for LessEqual {
    const NAME: &'static str = "less_equal";
    const CALL: Option<Signature> = Some(Signature::of(&["a", "b"]).or("le"));

    fn from_call(_: &Attributes) -> Result<LessEqual, Mistake> {
        Ok(LessEqual)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        if x[0] <= x[1] { T::one() } else { T::zero() }
    }

    fn gradient(&self, _: &mut Graph, _: &Reverse<'_>) -> Vec<Option<NodeId>> {
        vec![None; 2]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let holds = e.greater_equal(x[1], x[0]);
        e.indicator(holds)
    }

    fn finiteness(&self) -> Finiteness {
        Finiteness::BOUNDED.with_conditions(2)
    }

    fn variants() -> Vec<LessEqual> {
        vec![LessEqual]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Separated, Domain::Separated]
    }
}
