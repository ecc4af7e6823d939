//! The operation [`Relu6`].

use super::{
    Attributes, Domain, Elementwise, Finiteness, Number, Reverse, Signature, hardtanh::Hardtanh,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// `min(max(x, 0), 6)`; NaN stays NaN. The gradient is 0 at 0 and 6.
///
/// In the language: `relu6(x)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = relu6(x);
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 7.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![[0.0, 0.5, 6.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Relu6;

impl Elementwise for Relu6 {
    const NAME: &'static str = "relu6";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<Relu6, Mistake> {
        Ok(Relu6)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        Elementwise::eval(&SIX, x)
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        Elementwise::gradient(&SIX, g, at)
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        SIX.expression(e, x)
    }

    fn finiteness(&self) -> Finiteness {
        Finiteness::BOUNDED
    }

    fn variants() -> Vec<Relu6> {
        vec![Relu6]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Separated]
    }
}

/// From 0 to 6.
const SIX: Hardtanh = Hardtanh { min: Number(0.0), max: Number(6.0) };
