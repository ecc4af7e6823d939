//! The operation [`Threshold`].

use super::{
    Attribute, AttributeKind, Attributes, Domain, Elementwise, Number, Reverse, Signature,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// `x` above a threshold, else the number `value`; NaN stays NaN. The gradient is 1 above the
/// threshold, else 0.
///
/// In the language: `threshold(x, threshold, value)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = threshold(x, 0.5, -3);
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![[-3.0, -3.0, 2.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Threshold {
    /// The largest number that is replaced.
    pub threshold: Number,
    /// The number in its place.
    pub value: Number,
}

impl Elementwise for Threshold {
    const NAME: &'static str = "threshold";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]).with(&[
        Attribute { name: "threshold", kind: AttributeKind::Number, default: None },
        Attribute { name: "value", kind: AttributeKind::Number, default: None },
    ]));

    fn from_call(attributes: &Attributes) -> Result<Threshold, Mistake> {
        let number = |name| Number(attributes.number(name).unwrap_or(0.0) as f32);
        Ok(Threshold { threshold: number("threshold"), value: number("value") })
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        if x[0] <= T::of(self.threshold.0) { T::of(self.value.0) } else { x[0] }
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let (zero, limit) = (g.constant(0.0), g.constant(self.threshold.0));
        let is_below = g.greater_equal(limit, at.x[0]);
        vec![Some(g.choose(is_below, zero, at.dy))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let (limit, value) = (e.float(self.threshold.0), e.float(self.value.0));
        let is_below = e.greater_equal(limit, x[0]);
        e.select(is_below, value, x[0])
    }

    fn variants() -> Vec<Threshold> {
        [(0.25, 7.0), (-1.0, 0.0)]
            .map(|(threshold, value)| Threshold {
                threshold: Number(threshold),
                value: Number(value),
            })
            .to_vec()
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Separated]
    }
}
