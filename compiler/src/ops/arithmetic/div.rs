//! The operation [`Div`].

use super::{Attributes, Domain, Elementwise, Linearity, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// Quotient `a / b`, element by element; operands are broadcast.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input a: [3];
///         input b: [3];
///         output y = a / b;
///     }
/// }
///
/// let a = array![[1.0, -2.0, 3.0]];
/// let b = array![[0.5, 2.0, 4.0]];
/// let y = Example::model().build()?.predict(example::Input { a: a.view(), b: b.view() })?.y;
/// assert_eq!(y, array![[2.0, -1.0, 0.75]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Div;

impl Elementwise for Div {
    const NAME: &'static str = "div";
    const CALL: Option<Signature> = Some(Signature::of(&["a", "b"]).operator());

    fn from_call(_: &Attributes) -> Result<Div, Mistake> {
        Ok(Div)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        x[0] / x[1]
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let da = g.div(at.dy, at.x[1]);
        let db = g.mul(da, at.y);
        vec![Some(da), Some(g.neg(db))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        e.div(x[0], x[1])
    }

    fn linearity(&self) -> Linearity {
        Linearity::Quotient
    }

    fn variants() -> Vec<Div> {
        vec![Div]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Normal(1.0), Domain::Positive]
    }
}
