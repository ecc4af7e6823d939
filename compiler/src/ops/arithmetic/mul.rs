//! The operation [`Mul`].

use super::{Attributes, Domain, Elementwise, Finiteness, Linearity, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// Product `a · b`, element by element; operands are broadcast.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input a: [3];
///         input b: [3];
///         output y = a * b;
///     }
/// }
///
/// let a = array![[1.0, -2.0, 3.0]];
/// let b = array![[0.5, 2.0, 4.0]];
/// let y = Example::model().build()?.predict(example::Input { a: a.view(), b: b.view() })?.y;
/// assert_eq!(y, array![[0.5, -4.0, 12.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Mul;

impl Elementwise for Mul {
    const NAME: &'static str = "mul";
    const CALL: Option<Signature> = Some(Signature::of(&["a", "b"]).operator());

    fn from_call(_: &Attributes) -> Result<Mul, Mistake> {
        Ok(Mul)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        x[0] * x[1]
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        vec![Some(g.mul(at.dy, at.x[1])), Some(g.mul(at.dy, at.x[0]))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        e.mul(x[0], x[1])
    }

    fn linearity(&self) -> Linearity {
        Linearity::Product
    }

    fn finiteness(&self) -> Finiteness {
        Finiteness::EXACT
    }

    fn variants() -> Vec<Mul> {
        vec![Mul]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Normal(1.0), Domain::Normal(1.0)]
    }
}
