//! The operation [`Hypot`].

use super::{Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// `√(a² + b²)`, without overflow of the squares; ∞ where one of the two is infinite. The gradient
/// at `(0, 0)` is NaN, as in PyTorch.
///
/// In the language: `hypot(a, b)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input a: [3];
///         input b: [3];
///         output y = hypot(a, b);
///     }
/// }
///
/// let a = array![[3.0, -5.0, 0.0]];
/// let b = array![[4.0, 12.0, -2.0]];
/// let y = Example::model().build()?.predict(example::Input { a: a.view(), b: b.view() })?.y;
/// assert!((y - array![[5.0, 13.0, 2.0]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Hypot;

impl Elementwise for Hypot {
    const NAME: &'static str = "hypot";
    const CALL: Option<Signature> = Some(Signature::of(&["a", "b"]));

    fn from_call(_: &Attributes) -> Result<Hypot, Mistake> {
        Ok(Hypot)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        x[0].hypot(x[1])
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let share = g.div(at.dy, at.y);
        vec![Some(g.mul(share, at.x[0])), Some(g.mul(share, at.x[1]))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        e.hypot(x[0], x[1])
    }

    fn variants() -> Vec<Hypot> {
        vec![Hypot]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Separated, Domain::Separated]
    }
}
