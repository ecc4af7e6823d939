//! The operation [`Clamp`].

use super::{
    Attribute, AttributeKind, Attributes, Domain, Elementwise, Finiteness, Number, Reverse,
    Signature,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// `x` clamped to `min` and `max`: `min(max(x, min), max)`; NaN stays NaN.
///
/// The gradient is 1 for `min < x < max`, else 0, as in PyTorch since 2.15; for NaN it is 0, unlike
/// that of [`hardtanh`](super::hardtanh).
///
/// In the language: `clamp(x, min, max)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = clamp(x, -0.5, 1.0);
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![[-0.5, 0.5, 1.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Clamp {
    /// The lower bound.
    pub min: Number,
    /// The upper bound.
    pub max: Number,
}

impl Elementwise for Clamp {
    const NAME: &'static str = "clamp";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]).with(&[
        Attribute { name: "min", kind: AttributeKind::Number, default: None },
        Attribute { name: "max", kind: AttributeKind::Number, default: None },
    ]));

    fn from_call(attributes: &Attributes) -> Result<Clamp, Mistake> {
        let (min, max) = limits(attributes, Self::NAME, [("min", 0.0), ("max", 0.0)])?;
        Ok(Clamp { min, max })
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        between(x[0], self.min, self.max)
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let (min, max) = (g.constant(self.min.0), g.constant(self.max.0));
        let (above, below) = (g.greater(at.x[0], min), g.greater(max, at.x[0]));
        let inside = g.mul(above, below);
        let zero = g.constant(0.0);
        vec![Some(g.select(inside, at.dy, zero))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        expression_between(e, x[0], self.min, self.max)
    }

    fn finiteness(&self) -> Finiteness {
        Finiteness::PRESERVED
    }

    fn variants() -> Vec<Clamp> {
        [(-0.5, 0.5), (0.25, f32::MAX)]
            .map(|(min, max)| Clamp { min: Number(min), max: Number(max) })
            .to_vec()
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Separated]
    }
}

/// Clamps `x`; NaN stays NaN.
#[cfg(feature = "eval")]
pub(in crate::ops) fn between<T: Real>(x: T, min: Number, max: Number) -> T {
    let x = if x < T::of(min.0) { T::of(min.0) } else { x };
    if x > T::of(max.0) { T::of(max.0) } else { x }
}

/// [`between`] for machine code.
pub(in crate::ops) fn expression_between(
    e: &mut Expressions,
    x: Expr,
    min: Number,
    max: Number,
) -> Expr {
    // Constants are the first operands, so that NaN propagates.
    let (min, max) = (e.float(min.0), e.float(max.0));
    let y = e.max(min, x);
    e.min(max, y)
}

/// The bounds in the attributes of a call, from the names and defaults of the two attributes.
pub(crate) fn limits(
    attributes: &Attributes,
    function: &str,
    [min, max]: [(&str, f64); 2],
) -> Result<(Number, Number), Mistake> {
    let value = |(name, default)| attributes.number(name).unwrap_or(default) as f32;
    let (least, largest) = (value(min), value(max));
    if least > largest {
        let (min, max) = (min.0, max.0);
        let message =
            format!("`{function}` needs `{min}` to be at most `{max}`, but {least} > {largest}");
        return Err(Mistake::attribute(min, message));
    }
    Ok((Number(least), Number(largest)))
}
