//! The operation [`Exp`].

use super::{Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// Exponential function `eˣ`.
///
/// In the language: `exp(x)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = exp(x);
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[0.367879, 1.64872, 7.38906]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Exp;

impl Elementwise for Exp {
    const NAME: &'static str = "exp";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<Exp, Mistake> {
        Ok(Exp)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        x[0].exp()
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        vec![Some(g.mul(at.dy, at.y))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        e.exp(x[0])
    }

    fn variants() -> Vec<Exp> {
        vec![Exp]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Normal(2.0)]
    }
}
