//! The operation [`IsNan`].

use super::{Attributes, Domain, Elementwise, Finiteness, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// 1 where `x` is NaN, else 0. Without gradient.
///
/// In the language: `isnan(x)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = isnan(x);
///     }
/// }
///
/// let x = array![[1.0, f32::INFINITY, f32::NAN]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![[0.0, 0.0, 1.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct IsNan;

impl Elementwise for IsNan {
    const NAME: &'static str = "isnan";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<IsNan, Mistake> {
        Ok(IsNan)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        if x[0].is_nan() { T::one() } else { T::zero() }
    }

    fn gradient(&self, _: &mut Graph, _: &Reverse<'_>) -> Vec<Option<NodeId>> {
        vec![None]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let is_number = e.equal(x[0], x[0]);
        let is_number = e.indicator(is_number);
        e.not(is_number)
    }

    fn finiteness(&self) -> Finiteness {
        Finiteness::BOUNDED.with_conditions(1)
    }

    fn variants() -> Vec<IsNan> {
        vec![IsNan]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Tied]
    }
}
