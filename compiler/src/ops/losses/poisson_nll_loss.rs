//! The operation [`PoissonNllLoss`].

use std::f32::consts::TAU;

use super::{
    Attribute, AttributeKind, Attributes, Domain, Elementwise, Number, Reverse, Signature,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// The negative log likelihood of a count under a Poisson distribution, for each element, as in
/// PyTorch: `eˣ - target · x` if `x` is the logarithm of the mean (`log_input`), else
/// `x - target · ln(x + eps)`.
///
/// `full` adds Stirling's approximation of the term `ln(target!)` for targets above 1:
/// `t·ln t - t + ln(2π·t) / 2`.
///
/// In the language: `poisson_nll_loss(x, target, log_input = true, full = false, eps = 1e-8)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         input target: [3];
///         output y = poisson_nll_loss(x, target);
///     }
/// }
///
/// let x = array![[0.0, 0.5, 1.0]];
/// let target = array![[0.0, 1.0, 3.0]];
/// let mut model = Example::model().build()?;
/// let y = model.predict(example::Input { x: x.view(), target: target.view() })?.y;
/// assert!((y - array![[1.0, 1.14872, -0.281718]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct PoissonNllLoss {
    /// Whether `x` is the logarithm of the mean; default true.
    pub log_input: bool,
    /// Whether Stirling's approximation is added; default false.
    pub full: bool,
    /// Added to `x` before its logarithm, without `log_input`; default 1e-8.
    pub eps: Number,
}

impl Elementwise for PoissonNllLoss {
    const NAME: &'static str = "poisson_nll_loss";
    const CALL: Option<Signature> = Some(Signature::of(&["x", "target"]).with(&[
        Attribute { name: "log_input", kind: AttributeKind::Flag, default: Some("true") },
        Attribute { name: "full", kind: AttributeKind::Flag, default: Some("false") },
        Attribute { name: "eps", kind: AttributeKind::Number, default: Some("1e-8") },
    ]));
    const BROADCASTS: bool = false;

    fn from_call(attributes: &Attributes) -> Result<PoissonNllLoss, Mistake> {
        Ok(PoissonNllLoss {
            log_input: attributes.flag("log_input").unwrap_or(true),
            full: attributes.flag("full").unwrap_or(false),
            eps: Number(attributes.number("eps").unwrap_or(1e-8) as f32),
        })
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        let [x, t] = [x[0], x[1]];
        let loss = match self.log_input {
            true => x.exp() - t * x,
            false => x - t * (x + T::of(self.eps.0)).ln(),
        };
        if self.full && t > T::one() {
            let tau = T::of_f64(std::f64::consts::TAU);
            return loss + t * t.ln() - t + T::of(0.5) * (tau * t).ln();
        }
        loss
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let [x, t] = [at.x[0], at.x[1]];
        let one = g.constant(1.0);
        let (slope, log) = match self.log_input {
            true => {
                let mean = g.exp(x);
                (g.sub(mean, t), x)
            }
            false => {
                let eps = g.constant(self.eps.0);
                let mean = g.add(x, eps);
                let ratio = g.div(t, mean);
                (g.sub(one, ratio), g.log(mean))
            }
        };
        let dx = g.mul(at.dy, slope);
        let dt = at.requested[1].then(|| {
            let mut slope = g.neg(log);
            if self.full {
                let (zero, half) = (g.constant(0.0), g.constant(0.5));
                let log = g.log(t);
                let stirling = g.div(half, t);
                let stirling = g.add(log, stirling);
                let is_added = g.greater(t, one);
                let stirling = g.select(is_added, stirling, zero);
                slope = g.add(slope, stirling);
            }
            g.mul(at.dy, slope)
        });
        vec![Some(dx), dt]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let [x, t] = [x[0], x[1]];
        let loss = match self.log_input {
            true => {
                let mean = e.exp(x);
                let product = e.mul(t, x);
                e.sub(mean, product)
            }
            false => {
                let eps = e.float(self.eps.0);
                let mean = e.add(x, eps);
                let log = e.log(mean);
                let product = e.mul(t, log);
                e.sub(x, product)
            }
        };
        if !self.full {
            return loss;
        }
        let (zero, one, half, tau) = (e.float(0.0), e.float(1.0), e.float(0.5), e.float(TAU));
        let log = e.log(t);
        let product = e.mul(t, log);
        let stirling = e.sub(product, t);
        let circle = e.mul(tau, t);
        let log = e.log(circle);
        let half_log = e.mul(half, log);
        let stirling = e.add(stirling, half_log);
        let is_added = e.greater(t, one);
        let added = e.select(is_added, stirling, zero);
        e.add(loss, added)
    }

    fn variants() -> Vec<PoissonNllLoss> {
        [(true, false), (false, false), (true, true), (false, true)]
            .map(|(log_input, full)| PoissonNllLoss { log_input, full, eps: Number(1e-8) })
            .to_vec()
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Positive, Domain::Positive]
    }
}
