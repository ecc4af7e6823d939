//! The operation [`Acosh`].

use super::{Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// Inverse hyperbolic cosine; NaN for `x < 1`.
///
/// In the language: `acosh(x)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = acosh(x);
///     }
/// }
///
/// let x = array![[1.0, 1.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[0.0, 0.962424, 1.316958]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Acosh;

impl Elementwise for Acosh {
    const NAME: &'static str = "acosh";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<Acosh, Mistake> {
        Ok(Acosh)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        x[0].acosh()
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let (square, one) = (g.square(at.x[0]), g.constant(1.0));
        let rest = g.sub(square, one);
        let root = g.sqrt(rest);
        let slope = g.div(at.dy, root);
        vec![Some(slope)]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        e.acosh(x[0])
    }

    fn variants() -> Vec<Acosh> {
        vec![Acosh]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::AboveOne]
    }
}
