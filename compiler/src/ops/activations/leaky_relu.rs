//! The operation [`LeakyRelu`].

use super::{
    Attribute, AttributeKind, Attributes, Domain, Elementwise, Finiteness, Number, Propagation,
    Reverse, Signature,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// Leaky rectified linear unit: `x` for `x > 0`, else `negative_slope·x`. The gradient at 0 is
/// `negative_slope`.
///
/// In the language: `leaky_relu(x, negative_slope = 0.01)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = leaky_relu(x, 0.1);
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[-0.1, 0.5, 2.0]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct LeakyRelu {
    /// The slope for `x ≤ 0`; default 0.01.
    pub negative_slope: Number,
}

impl Elementwise for LeakyRelu {
    const NAME: &'static str = "leaky_relu";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]).with(&[Attribute {
        name: "negative_slope",
        kind: AttributeKind::Number,
        default: Some("0.01"),
    }]));

    fn from_call(attributes: &Attributes) -> Result<LeakyRelu, Mistake> {
        let slope = attributes.number("negative_slope").unwrap_or(0.01);
        Ok(LeakyRelu { negative_slope: Number(slope as f32) })
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        let x = x[0];
        if x > T::zero() { x } else { T::of(self.negative_slope.0) * x }
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        // From the result, if its sign determines the branch, so that the operand need not be saved.
        let sign = if self.negative_slope.0 >= 0.0 { at.y } else { at.x[0] };
        let zero = g.constant(0.0);
        let positive = g.greater(sign, zero);
        let below = g.scale(at.dy, self.negative_slope.0);
        vec![Some(g.select(positive, at.dy, below))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let (zero, slope) = (e.float(0.0), e.float(self.negative_slope.0));
        let below = e.mul(x[0], slope);
        let positive = e.greater(x[0], zero);
        e.select(positive, x[0], below)
    }

    fn finiteness(&self) -> Finiteness {
        Finiteness { propagation: Propagation::Always, ..Finiteness::UNKNOWN }
    }

    fn variants() -> Vec<LeakyRelu> {
        [0.01, 0.0, -0.5].map(|slope| LeakyRelu { negative_slope: Number(slope) }).to_vec()
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Separated]
    }
}
