//! The operation [`MseLoss`].

use super::{Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// The squared error of each element, `(x - target)²`; `loss` takes the mean or the sum.
///
/// Both must have the same shape; losses do not broadcast.
///
/// In the language: `mse_loss(x, target)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         input target: [3];
///         output y = mse_loss(x, target);
///     }
/// }
///
/// let x = array![[0.5, 1.0, 4.0]];
/// let target = array![[0.0, 1.0, 2.0]];
/// let mut model = Example::model().build()?;
/// let y = model.predict(example::Input { x: x.view(), target: target.view() })?.y;
/// assert_eq!(y, array![[0.25, 0.0, 4.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct MseLoss;

impl Elementwise for MseLoss {
    const NAME: &'static str = "mse_loss";
    const CALL: Option<Signature> = Some(Signature::of(&["x", "target"]));
    const BROADCASTS: bool = false;

    fn from_call(_: &Attributes) -> Result<MseLoss, Mistake> {
        Ok(MseLoss)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        (x[0] - x[1]) * (x[0] - x[1])
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let difference = g.sub(at.x[0], at.x[1]);
        let slope = g.scale(difference, 2.0);
        let dx = g.mul(at.dy, slope);
        let dtarget = g.neg(dx);
        vec![Some(dx), Some(dtarget)]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let difference = e.sub(x[0], x[1]);
        e.mul(difference, difference)
    }

    fn variants() -> Vec<MseLoss> {
        vec![MseLoss]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Normal(1.0), Domain::Normal(1.0)]
    }
}
