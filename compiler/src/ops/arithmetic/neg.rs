//! The operation [`Neg`].

use super::{Attributes, Domain, Elementwise, Finiteness, Linearity, Reverse, Sign, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// Negation `-x`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = -x;
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![[1.0, -0.5, -2.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Neg;

impl Elementwise for Neg {
    const NAME: &'static str = "neg";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]).operator());

    fn from_call(_: &Attributes) -> Result<Neg, Mistake> {
        Ok(Neg)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        -x[0]
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        vec![Some(g.neg(at.dy))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        e.neg(x[0])
    }

    fn linearity(&self) -> Linearity {
        Linearity::Sum(&[Sign::Minus])
    }

    fn finiteness(&self) -> Finiteness {
        Finiteness::EXACT
    }

    fn variants() -> Vec<Neg> {
        vec![Neg]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Normal(2.0)]
    }
}
