//! The operation [`IsInf`].

use super::{Attributes, Domain, Elementwise, Finiteness, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// 1 where `x` is ∞ or -∞, else 0. Without gradient.
///
/// In the language: `isinf(x)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = isinf(x);
///     }
/// }
///
/// let x = array![[1.0, f32::INFINITY, f32::NAN]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![[0.0, 1.0, 0.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct IsInf;

impl Elementwise for IsInf {
    const NAME: &'static str = "isinf";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<IsInf, Mistake> {
        Ok(IsInf)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        if x[0].is_infinite() { T::one() } else { T::zero() }
    }

    fn gradient(&self, _: &mut Graph, _: &Reverse<'_>) -> Vec<Option<NodeId>> {
        vec![None]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let (size, infinity) = (e.abs(x[0]), e.float(f32::INFINITY));
        let is_infinite = e.equal(size, infinity);
        e.indicator(is_infinite)
    }

    fn finiteness(&self) -> Finiteness {
        Finiteness::BOUNDED.with_conditions(1)
    }

    fn variants() -> Vec<IsInf> {
        vec![IsInf]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Tied]
    }
}
