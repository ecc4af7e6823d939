//! The operation [`Atanh`].

use super::{Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// Inverse hyperbolic tangent; ∞ at 1, NaN for `|x| > 1`.
///
/// In the language: `atanh(x)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = atanh(x);
///     }
/// }
///
/// let x = array![[-0.5, 0.0, 0.5]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[-0.549306, 0.0, 0.549306]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Atanh;

impl Elementwise for Atanh {
    const NAME: &'static str = "atanh";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<Atanh, Mistake> {
        Ok(Atanh)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        x[0].atanh()
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let (square, one) = (g.square(at.x[0]), g.constant(1.0));
        let rest = g.sub(one, square);
        vec![Some(g.div(at.dy, rest))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        e.atanh(x[0])
    }

    fn variants() -> Vec<Atanh> {
        vec![Atanh]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Probability]
    }
}
