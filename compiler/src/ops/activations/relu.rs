//! The operation [`Relu`].

use super::{Attributes, Domain, Elementwise, Finiteness, Propagation, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::faults::{self, Fault};
use crate::graph::{Graph, NodeId};

/// Rectified linear unit, `max(0, x)`; NaN stays NaN.
///
/// In the language: `relu(x)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = relu(x);
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![[0.0, 0.5, 2.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Relu;

impl Elementwise for Relu {
    const NAME: &'static str = "relu";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<Relu, Mistake> {
        Ok(Relu)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        if x[0] < T::zero() { T::zero() } else { x[0] }
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        // From the result, so that the operand need not be saved. NaN propagates the gradient, as
        // in PyTorch.
        let zero = g.constant(0.0);
        let is_faulty = faults::is(Fault::ReluKink);
        let inactive = if is_faulty { g.greater(zero, at.x[0]) } else { g.equal(at.y, zero) };
        vec![Some(g.select(inactive, zero, at.dy))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        // The constant is the first operand, so that NaN propagates.
        let zero = e.float(0.0);
        e.max(zero, x[0])
    }

    fn finiteness(&self) -> Finiteness {
        Finiteness { propagation: Propagation::Sometimes, ..Finiteness::PRESERVED }
    }

    fn variants() -> Vec<Relu> {
        vec![Relu]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Separated]
    }
}
