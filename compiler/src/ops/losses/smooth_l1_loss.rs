//! The operation [`SmoothL1Loss`].

use super::{
    Attribute, AttributeKind, Attributes, Domain, Elementwise, Number, Reverse, Signature, residual,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// The smooth absolute error of `d = x - target`, for each element: quadratic, `d² / (2·beta)`, for
/// `|d| < beta`, else linear, `|d| - beta / 2`. With `beta = 0` it is the absolute error.
///
/// Both must have the same shape; losses do not broadcast.
///
/// In the language: `smooth_l1_loss(x, target, beta = 1.0)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         input target: [3];
///         output y = smooth_l1_loss(x, target);
///     }
/// }
///
/// let x = array![[0.5, 1.0, 4.0]];
/// let target = array![[0.0, 1.0, 2.0]];
/// let mut model = Example::model().build()?;
/// let y = model.predict(example::Input { x: x.view(), target: target.view() })?.y;
/// assert_eq!(y, array![[0.125, 0.0, 1.5]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SmoothL1Loss {
    /// The error below which it is quadratic, at least 0; default 1.
    pub beta: Number,
}

impl Elementwise for SmoothL1Loss {
    const NAME: &'static str = "smooth_l1_loss";
    const CALL: Option<Signature> = Some(Signature::of(&["x", "target"]).with(&[Attribute {
        name: "beta",
        kind: AttributeKind::Number,
        default: Some("1.0"),
    }]));
    const BROADCASTS: bool = false;

    fn from_call(attributes: &Attributes) -> Result<SmoothL1Loss, Mistake> {
        let beta = attributes.number("beta").unwrap_or(1.0);
        Ok(SmoothL1Loss { beta: residual::threshold("beta", beta, true)? })
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        let (d, beta, half) = (x[0] - x[1], T::of(self.beta.0), T::of(0.5));
        if d.abs() < beta { half * d * d / beta } else { d.abs() - half * beta }
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let difference = g.sub(at.x[0], at.x[1]);
        let slope = match self.beta.0 {
            0.0 => residual::sign(g, difference),
            beta => {
                let beta = g.constant(beta);
                let ratio = g.div(difference, beta);
                residual::clamp(g, ratio, 1.0)
            }
        };
        residual::gradients(g, at, slope)
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let (beta, half) = (e.float(self.beta.0), e.float(0.5));
        let difference = e.sub(x[0], x[1]);
        let size = e.abs(difference);
        let product = e.mul(difference, difference);
        let product = e.mul(half, product);
        let squared = e.div(product, beta);
        let offset = e.mul(half, beta);
        let linear = e.sub(size, offset);
        let is_small = e.greater(beta, size);
        e.select(is_small, squared, linear)
    }

    fn variants() -> Vec<SmoothL1Loss> {
        [1.0, 0.3, 0.0].map(|beta| SmoothL1Loss { beta: Number(beta) }).to_vec()
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Separated, Domain::Separated]
    }
}
