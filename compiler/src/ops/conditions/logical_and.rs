//! The operation [`LogicalAnd`].

use super::{Attributes, Domain, Elementwise, Finiteness, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// 1 where both values are true, else 0. A number is true unless it is 0, as in PyTorch: NaN is
/// true. Without gradient.
///
/// In the language: `logical_and(a, b)`, or `a & b`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input a: [4];
///         input b: [4];
///         output y = logical_and(a, b);
///     }
/// }
///
/// let a = array![[1.0, 0.0, 1.0, 0.0]];
/// let b = array![[1.0, 1.0, 0.0, 0.0]];
/// let y = Example::model().build()?.predict(example::Input { a: a.view(), b: b.view() })?.y;
/// assert_eq!(y, array![[1.0, 0.0, 0.0, 0.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct LogicalAnd;

impl Elementwise for LogicalAnd {
    const NAME: &'static str = "logical_and";
    const CALL: Option<Signature> = Some(Signature::of(&["a", "b"]));

    fn from_call(_: &Attributes) -> Result<LogicalAnd, Mistake> {
        Ok(LogicalAnd)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        if x.iter().all(|x| *x != T::zero()) { T::one() } else { T::zero() }
    }

    fn gradient(&self, _: &mut Graph, _: &Reverse<'_>) -> Vec<Option<NodeId>> {
        vec![None; 2]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let (truth, zero) = (e.truth(x[1]), e.float(0.0));
        e.choose(x[0], truth, zero)
    }

    fn finiteness(&self) -> Finiteness {
        Finiteness::BOUNDED.with_conditions(2)
    }

    fn variants() -> Vec<LogicalAnd> {
        vec![LogicalAnd]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Tied, Domain::Tied]
    }
}
