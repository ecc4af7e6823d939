//! The operation [`Sign`].

use super::{Attributes, Domain, Elementwise, Finiteness, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// 1 for `x > 0`, -1 for `x < 0`, else 0, also for NaN, as in PyTorch. Without gradient.
///
/// In the language: `sign(x)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = sign(x);
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![[-1.0, 1.0, 1.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Sign;

impl Elementwise for Sign {
    const NAME: &'static str = "sign";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<Sign, Mistake> {
        Ok(Sign)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        match x[0] {
            x if x > T::zero() => T::one(),
            x if x < T::zero() => -T::one(),
            _ => T::zero(),
        }
    }

    fn gradient(&self, _: &mut Graph, _: &Reverse<'_>) -> Vec<Option<NodeId>> {
        vec![None]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let zero = e.float(0.0);
        let (above, below) = (e.greater(x[0], zero), e.greater(zero, x[0]));
        let (above, below) = (e.indicator(above), e.indicator(below));
        e.sub(above, below)
    }

    fn finiteness(&self) -> Finiteness {
        Finiteness::BOUNDED
    }

    fn variants() -> Vec<Sign> {
        vec![Sign]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Separated]
    }
}
