//! The operation [`Softshrink`].

use super::{
    Attribute, AttributeKind, Attributes, Domain, Elementwise, Number, Reverse, Signature,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// `x` moved towards 0 by `lambd`, and 0 from `-lambd` to `lambd`; NaN stays NaN. The gradient is 0
/// from `-lambd` to `lambd`, else 1.
///
/// In the language: `softshrink(x, lambd = 0.5)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = softshrink(x);
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![[-0.5, 0.0, 1.5]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Softshrink {
    /// The limit; default 1/2.
    pub lambd: Number,
}

impl Elementwise for Softshrink {
    const NAME: &'static str = "softshrink";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]).with(&[Attribute {
        name: "lambd",
        kind: AttributeKind::Number,
        default: Some("0.5"),
    }]));

    fn from_call(attributes: &Attributes) -> Result<Softshrink, Mistake> {
        let lambd = attributes.number("lambd").unwrap_or(0.5) as f32;
        if lambd < 0.0 {
            return Err(Mistake::attribute("lambd", format!("`lambd` is at least 0, not {lambd}")));
        }
        Ok(Softshrink { lambd: Number(lambd) })
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        let limit = T::of(self.lambd.0);
        match x[0] {
            x if x > limit => x - limit,
            x if x < -limit => x + limit,
            // NaN stays NaN.
            x => x * T::zero(),
        }
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let (zero, limit, size) = (g.constant(0.0), g.constant(self.lambd.0), g.abs(at.x[0]));
        let is_inside = g.greater_equal(limit, size);
        vec![Some(g.choose(is_inside, zero, at.dy))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        // Constants are the first operands, so that NaN propagates.
        let (low, high) = (e.float(-self.lambd.0), e.float(self.lambd.0));
        let inside = e.max(low, x[0]);
        let inside = e.min(high, inside);
        e.sub(x[0], inside)
    }

    fn variants() -> Vec<Softshrink> {
        [0.5, 0.0, 1.3].map(|lambd| Softshrink { lambd: Number(lambd) }).to_vec()
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Separated]
    }
}
