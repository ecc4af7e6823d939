//! The operation [`Rsqrt`].

use super::{Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// Reciprocal square root `1 / √x`; infinite at 0, NaN below.
///
/// In the language: `rsqrt(x)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = rsqrt(x);
///     }
/// }
///
/// let x = array![[0.25, 1.0, 4.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[2.0, 1.0, 0.5]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Rsqrt;

impl Elementwise for Rsqrt {
    const NAME: &'static str = "rsqrt";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<Rsqrt, Mistake> {
        Ok(Rsqrt)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        x[0].sqrt().recip()
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let square = g.square(at.y);
        let cube = g.mul(square, at.y);
        let slope = g.scale(cube, -0.5);
        vec![Some(g.mul(at.dy, slope))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let (one, root) = (e.float(1.0), e.sqrt(x[0]));
        e.div(one, root)
    }

    fn variants() -> Vec<Rsqrt> {
        vec![Rsqrt]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Positive]
    }
}
