//! The operation [`LogicalNot`].

use super::{Attributes, Domain, Elementwise, Finiteness, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// 1 where a value is 0, else 0. A number is true unless it is 0, as in PyTorch: NaN is true.
/// Without gradient.
///
/// In the language: `logical_not(x)`, or `!x`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [4];
///         output y = logical_not(x);
///     }
/// }
///
/// let x = array![[1.0, 0.0, 1.0, 0.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![[0.0, 1.0, 0.0, 1.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct LogicalNot;

impl Elementwise for LogicalNot {
    const NAME: &'static str = "logical_not";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<LogicalNot, Mistake> {
        Ok(LogicalNot)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        if x[0] != T::zero() { T::zero() } else { T::one() }
    }

    fn gradient(&self, _: &mut Graph, _: &Reverse<'_>) -> Vec<Option<NodeId>> {
        vec![None]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        e.not(x[0])
    }

    fn finiteness(&self) -> Finiteness {
        Finiteness::BOUNDED.with_conditions(1)
    }

    fn variants() -> Vec<LogicalNot> {
        vec![LogicalNot]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Tied]
    }
}
