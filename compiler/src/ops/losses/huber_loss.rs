//! The operation [`HuberLoss`].

use super::{
    Attribute, AttributeKind, Attributes, Domain, Elementwise, Number, Reverse, Signature, residual,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// The Huber loss of the error `d = x - target`, for each element: quadratic, `d² / 2`, for
/// `|d| < delta`, else linear, `delta · (|d| - delta / 2)`.
///
/// Both must have the same shape; losses do not broadcast.
///
/// In the language: `huber_loss(x, target, delta = 1.0)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         input target: [3];
///         output y = huber_loss(x, target, delta = 1.5);
///     }
/// }
///
/// let x = array![[0.5, 1.0, 4.0]];
/// let target = array![[0.0, 1.0, 2.0]];
/// let mut model = Example::model().build()?;
/// let y = model.predict(example::Input { x: x.view(), target: target.view() })?.y;
/// assert_eq!(y, array![[0.125, 0.0, 1.875]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct HuberLoss {
    /// The error below which it is quadratic, greater than 0; default 1.
    pub delta: Number,
}

impl Elementwise for HuberLoss {
    const NAME: &'static str = "huber_loss";
    const CALL: Option<Signature> = Some(Signature::of(&["x", "target"]).with(&[Attribute {
        name: "delta",
        kind: AttributeKind::Number,
        default: Some("1.0"),
    }]));
    const BROADCASTS: bool = false;

    fn from_call(attributes: &Attributes) -> Result<HuberLoss, Mistake> {
        let delta = attributes.number("delta").unwrap_or(1.0);
        Ok(HuberLoss { delta: residual::threshold("delta", delta, false)? })
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        let (d, delta, half) = (x[0] - x[1], T::of(self.delta.0), T::of(0.5));
        if d.abs() < delta { half * d * d } else { delta * (d.abs() - half * delta) }
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let difference = g.sub(at.x[0], at.x[1]);
        let slope = residual::clamp(g, difference, self.delta.0);
        residual::gradients(g, at, slope)
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let (delta, half) = (e.float(self.delta.0), e.float(0.5));
        let difference = e.sub(x[0], x[1]);
        let size = e.abs(difference);
        let product = e.mul(difference, difference);
        let squared = e.mul(half, product);
        let offset = e.mul(half, delta);
        let excess = e.sub(size, offset);
        let linear = e.mul(delta, excess);
        let is_small = e.greater(delta, size);
        e.select(is_small, squared, linear)
    }

    fn variants() -> Vec<HuberLoss> {
        [1.0, 0.3].map(|delta| HuberLoss { delta: Number(delta) }).to_vec()
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Separated, Domain::Separated]
    }
}
