//! The operation [`Abs`].

use super::{Attributes, Domain, Elementwise, Finiteness, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// Absolute value `|x|`; the gradient at 0 is 0, as in PyTorch.
///
/// In the language: `abs(x)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = abs(x);
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![[1.0, 0.5, 2.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Abs;

impl Elementwise for Abs {
    const NAME: &'static str = "abs";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<Abs, Mistake> {
        Ok(Abs)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        x[0].abs()
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let zero = g.constant(0.0);
        let positive = g.greater(at.x[0], zero);
        let negative = g.greater(zero, at.x[0]);
        let sign = g.sub(positive, negative);
        vec![Some(g.mul(at.dy, sign))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        e.abs(x[0])
    }

    fn finiteness(&self) -> Finiteness {
        Finiteness::PRESERVED
    }

    fn variants() -> Vec<Abs> {
        vec![Abs]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Separated]
    }
}
