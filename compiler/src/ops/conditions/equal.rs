//! The operation [`Equal`].

use super::{Attributes, Domain, Elementwise, Finiteness, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// Comparison: 1 where `a = b`, else 0, also where one of them is NaN. Without gradient.
///
/// In the language: `equal(a, b)` or `eq(a, b)`, or `a == b`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input a: [3];
///         input b: [3];
///         output y = equal(a, b);
///     }
/// }
///
/// let a = array![[1.0, 2.0, 3.0]];
/// let b = array![[2.0, 2.0, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { a: a.view(), b: b.view() })?.y;
/// assert_eq!(y, array![[0.0, 1.0, 0.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Equal;

impl Elementwise for Equal {
    const NAME: &'static str = "equal";
    const CALL: Option<Signature> = Some(Signature::of(&["a", "b"]).or("eq"));

    fn from_call(_: &Attributes) -> Result<Equal, Mistake> {
        Ok(Equal)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        if x[0] == x[1] { T::one() } else { T::zero() }
    }

    fn gradient(&self, _: &mut Graph, _: &Reverse<'_>) -> Vec<Option<NodeId>> {
        vec![None; 2]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let holds = e.equal(x[0], x[1]);
        e.indicator(holds)
    }

    fn finiteness(&self) -> Finiteness {
        Finiteness::BOUNDED.with_conditions(2)
    }

    fn variants() -> Vec<Equal> {
        vec![Equal]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Separated, Domain::Separated]
    }
}
