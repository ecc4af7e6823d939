//! The operation [`GaussianNllLoss`].

use super::{
    Attribute, AttributeKind, Attributes, Domain, Elementwise, Number, Reverse, Signature, residual,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// `ln(2π) / 2`
const CONSTANT: f64 = 0.918_938_533_204_672_8;

/// The negative log likelihood of a target under a normal distribution with predicted mean and
/// variance, for each element: `(ln v + (target - mean)² / v) / 2` with `v = max(variance, eps)`,
/// plus the constant `ln(2π) / 2` with `full`.
///
/// As in PyTorch, the gradient of the variance is that of `v`, also where the variance is less than
/// `eps`, so that training can leave that range. It is not the derivative there, which is 0:
/// verification against differences leaves it undecided.
///
/// In the language: `gaussian_nll_loss(mean, target, variance, full = false, eps = 1e-6)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input mean: [2];
///         input variance: [2];
///         input target: [2];
///         output y = gaussian_nll_loss(mean, target, variance);
///     }
/// }
///
/// let mean = array![[0.0, 1.0]];
/// let variance = array![[1.0, 4.0]];
/// let target = array![[1.0, 3.0]];
/// let mut model = Example::model().build()?;
/// let y = model.predict(example::Input { mean: mean.view(), variance: variance.view(), target: target.view() })?.y;
/// assert!((y - array![[0.5, 1.19315]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct GaussianNllLoss {
    /// Whether the constant `ln(2π) / 2` is added; default false.
    pub full: bool,
    /// The lower bound of the variance, greater than 0; default 1e-6.
    pub eps: Number,
}

impl Elementwise for GaussianNllLoss {
    const NAME: &'static str = "gaussian_nll_loss";
    const CALL: Option<Signature> = Some(Signature::of(&["mean", "target", "variance"]).with(&[
        Attribute { name: "full", kind: AttributeKind::Flag, default: Some("false") },
        Attribute { name: "eps", kind: AttributeKind::Number, default: Some("1e-6") },
    ]));
    const BROADCASTS: bool = false;

    fn from_call(attributes: &Attributes) -> Result<GaussianNllLoss, Mistake> {
        let eps = attributes.number("eps").unwrap_or(1e-6);
        let eps = residual::threshold("eps", eps, false)?;
        Ok(GaussianNllLoss { full: attributes.flag("full").unwrap_or(false), eps })
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        let (d, least) = (x[0] - x[1], T::of(self.eps.0));
        let v = if x[2] < least { least } else { x[2] };
        let constant = if self.full { T::of_f64(CONSTANT) } else { T::zero() };
        T::of(0.5) * (v.ln() + d * d / v) + constant
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let least = g.constant(self.eps.0);
        let v = g.maximum(at.x[2], least);
        let difference = g.sub(at.x[0], at.x[1]);
        let ratio = g.div(difference, v);
        let mut gradients = residual::gradients(g, at, ratio);
        gradients.push(at.requested[2].then(|| {
            // (1 / v - (d / v)²) / 2
            let half = g.constant(0.5);
            let inverse = g.div(half, v);
            let square = g.square(ratio);
            let quadratic = g.mul(half, square);
            let slope = g.sub(inverse, quadratic);
            g.mul(at.dy, slope)
        }));
        gradients
    }

    #[cfg(feature = "eval")]
    fn departs(&self, x: &[f64]) -> bool {
        x[2] < f64::from(self.eps.0)
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let (least, half) = (e.float(self.eps.0), e.float(0.5));
        let difference = e.sub(x[0], x[1]);
        // The constant is the first operand, so that NaN propagates.
        let v = e.max(least, x[2]);
        let square = e.mul(difference, difference);
        let ratio = e.div(square, v);
        let log = e.log(v);
        let sum = e.add(log, ratio);
        let loss = e.mul(half, sum);
        match self.full {
            true => {
                let constant = e.float(CONSTANT as f32);
                e.add(loss, constant)
            }
            false => loss,
        }
    }

    fn variants() -> Vec<GaussianNllLoss> {
        [false, true].map(|full| GaussianNllLoss { full, eps: Number(1e-6) }).to_vec()
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Normal(1.0), Domain::Normal(1.0), Domain::Positive]
    }
}
