//! The operation [`Hardtanh`].

use super::clamp::{self, limits};
use super::{
    Attribute, AttributeKind, Attributes, Domain, Elementwise, Number, Reverse, Signature,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// `x` clamped to `min` and `max`: `min(max(x, min), max)`; NaN stays NaN.
///
/// The gradient is 1 for `min < x < max` and for NaN, else 0, as in PyTorch. [`clamp`] differs only
/// in the gradient for NaN.
///
/// In the language: `hardtanh(x, min = -1.0, max = 1.0)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = hardtanh(x);
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![[-1.0, 0.5, 1.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Hardtanh {
    /// The lower bound; default -1.
    pub min: Number,
    /// The upper bound; default 1.
    pub max: Number,
}

impl Elementwise for Hardtanh {
    const NAME: &'static str = "hardtanh";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]).with(&[
        Attribute { name: "min", kind: AttributeKind::Number, default: Some("-1.0") },
        Attribute { name: "max", kind: AttributeKind::Number, default: Some("1.0") },
    ]));

    fn from_call(attributes: &Attributes) -> Result<Hardtanh, Mistake> {
        let (min, max) = limits(attributes, Self::NAME, [("min", -1.0), ("max", 1.0)])?;
        Ok(Hardtanh { min, max })
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        clamp::between(x[0], self.min, self.max)
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let (min, max) = (g.constant(self.min.0), g.constant(self.max.0));
        let (lowest, highest) = (g.equal(at.y, min), g.equal(at.y, max));
        let flat = g.add(lowest, highest);
        let zero = g.constant(0.0);
        vec![Some(g.select(flat, zero, at.dy))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        clamp::expression_between(e, x[0], self.min, self.max)
    }

    fn variants() -> Vec<Hardtanh> {
        [(-1.0, 1.0), (0.0, 6.0)]
            .map(|(min, max)| Hardtanh { min: Number(min), max: Number(max) })
            .to_vec()
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Separated]
    }
}
