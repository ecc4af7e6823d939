//! The operation [`Hardshrink`].

use super::{
    Attribute, AttributeKind, Attributes, Domain, Elementwise, Number, Reverse, Signature,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// 0 from `-lambd` to `lambd`, else `x`; NaN stays NaN. The gradient is 0 from `-lambd` to `lambd`,
/// else 1.
///
/// In the language: `hardshrink(x, lambd = 0.5)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = hardshrink(x);
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![[-1.0, 0.0, 2.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Hardshrink {
    /// The limit; default 1/2.
    pub lambd: Number,
}

impl Elementwise for Hardshrink {
    const NAME: &'static str = "hardshrink";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]).with(&[Attribute {
        name: "lambd",
        kind: AttributeKind::Number,
        default: Some("0.5"),
    }]));

    fn from_call(attributes: &Attributes) -> Result<Hardshrink, Mistake> {
        Ok(Hardshrink { lambd: Number(attributes.number("lambd").unwrap_or(0.5) as f32) })
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        let size = x[0].abs();
        if size <= T::of(self.lambd.0) { T::zero() } else { x[0] }
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let (zero, limit, size) = (g.constant(0.0), g.constant(self.lambd.0), g.abs(at.x[0]));
        let is_inside = g.greater_equal(limit, size);
        vec![Some(g.choose(is_inside, zero, at.dy))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let (zero, limit, size) = (e.float(0.0), e.float(self.lambd.0), e.abs(x[0]));
        let is_inside = e.greater_equal(limit, size);
        e.select(is_inside, zero, x[0])
    }

    fn variants() -> Vec<Hardshrink> {
        [0.5, 0.0, 1.3].map(|lambd| Hardshrink { lambd: Number(lambd) }).to_vec()
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Separated]
    }
}
