//! The operation [`FloorDivide`].

use super::{Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// `⌊a / b⌋` of the exact quotient; where it is beyond 2²³, the quotient. Without gradient.
///
/// In the language: `floor_divide(a, b)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input a: [3];
///         input b: [3];
///         output y = floor_divide(a, b);
///     }
/// }
///
/// let a = array![[5.0, -5.0, 5.5]];
/// let b = array![[3.0, 3.0, -2.0]];
/// let y = Example::model().build()?.predict(example::Input { a: a.view(), b: b.view() })?.y;
/// assert_eq!(y, array![[1.0, -2.0, -3.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct FloorDivide;

impl Elementwise for FloorDivide {
    const NAME: &'static str = "floor_divide";
    const CALL: Option<Signature> = Some(Signature::of(&["a", "b"]));

    fn from_call(_: &Attributes) -> Result<FloorDivide, Mistake> {
        Ok(FloorDivide)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        (x[0] / x[1]).floor()
    }

    fn gradient(&self, _: &mut Graph, _: &Reverse<'_>) -> Vec<Option<NodeId>> {
        vec![None; 2]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        e.floor_divide(x[0], x[1])
    }

    fn variants() -> Vec<FloorDivide> {
        vec![FloorDivide]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Separated, Domain::Positive]
    }
}
