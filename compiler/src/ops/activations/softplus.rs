//! The operation [`Softplus`].

use super::{
    Attribute, AttributeKind, Attributes, Domain, Elementwise, Number, Reverse, Signature,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
#[cfg(feature = "eval")]
use crate::faults::{self, Fault};
use crate::graph::{Graph, NodeId};

/// Softplus, `ln(1 + e^(beta·x)) / beta`, or `x` where `beta·x > threshold`. Computed without overflow
/// by `ln(1 + eˣ) = max(x, 0) + ln(1 + e^-|x|)`.
///
/// In the language: `softplus(x, beta = 1.0, threshold = 20.0)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = softplus(x);
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[0.313262, 0.974077, 2.12693]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Softplus {
    /// The sharpness of the kink; not 0, default 1.
    pub beta: Number,
    /// The value of `beta·x` above which it is `x`; default 20.
    pub threshold: Number,
}

impl Elementwise for Softplus {
    const NAME: &'static str = "softplus";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]).with(&[
        Attribute { name: "beta", kind: AttributeKind::Number, default: Some("1.0") },
        Attribute { name: "threshold", kind: AttributeKind::Number, default: Some("20.0") },
    ]));

    fn from_call(attributes: &Attributes) -> Result<Softplus, Mistake> {
        let beta = attributes.number("beta").unwrap_or(1.0) as f32;
        let threshold = attributes.number("threshold").unwrap_or(20.0) as f32;
        if beta == 0.0 {
            return Err(Mistake::attribute("beta", "`softplus` divides by `beta`, which is 0"));
        }
        Ok(Softplus { beta: Number(beta), threshold: Number(threshold) })
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        let scaled = x[0] * T::of(self.beta.0);
        match scaled > T::of(self.threshold.0) && !faults::is(Fault::SoftplusThreshold) {
            true => x[0],
            false => stable(scaled) / T::of(self.beta.0),
        }
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let scaled = g.scale(at.x[0], self.beta.0);
        let threshold = g.constant(self.threshold.0);
        let linear = g.greater(scaled, threshold);
        let slope = g.sigmoid(scaled);
        let product = g.mul(at.dy, slope);
        vec![Some(g.select(linear, at.dy, product))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let (beta, threshold) = (e.float(self.beta.0), e.float(self.threshold.0));
        let scaled = if self.beta.0 == 1.0 { x[0] } else { e.mul(x[0], beta) };
        let y = e.softplus(scaled);
        let y = if self.beta.0 == 1.0 { y } else { e.div(y, beta) };
        let linear = e.greater(scaled, threshold);
        e.select(linear, x[0], y)
    }

    fn variants() -> Vec<Softplus> {
        [(1.0, 20.0), (2.0, 20.0), (-0.5, 30.0)]
            .map(|(beta, threshold)| Softplus { beta: Number(beta), threshold: Number(threshold) })
            .to_vec()
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Normal(3.0)]
    }
}

/// `ln(1 + eˣ)` without overflow.
#[cfg(feature = "eval")]
pub(in crate::ops) fn stable<T: Real>(x: T) -> T {
    let positive = if x < T::zero() { T::zero() } else { x };
    positive + (-x.abs()).exp().ln_1p()
}
