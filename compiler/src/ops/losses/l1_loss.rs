//! The operation [`L1Loss`].

use super::{Attributes, Domain, Elementwise, Reverse, Signature, residual};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// The absolute error of each element, `|x - target|`; the gradient at 0 is 0, as in PyTorch.
///
/// Both must have the same shape; losses do not broadcast.
///
/// In the language: `l1_loss(x, target)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         input target: [3];
///         output y = l1_loss(x, target);
///     }
/// }
///
/// let x = array![[0.5, 1.0, 4.0]];
/// let target = array![[0.0, 1.0, 2.0]];
/// let mut model = Example::model().build()?;
/// let y = model.predict(example::Input { x: x.view(), target: target.view() })?.y;
/// assert_eq!(y, array![[0.5, 0.0, 2.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct L1Loss;

impl Elementwise for L1Loss {
    const NAME: &'static str = "l1_loss";
    const CALL: Option<Signature> = Some(Signature::of(&["x", "target"]));
    const BROADCASTS: bool = false;

    fn from_call(_: &Attributes) -> Result<L1Loss, Mistake> {
        Ok(L1Loss)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        (x[0] - x[1]).abs()
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let difference = g.sub(at.x[0], at.x[1]);
        let slope = residual::sign(g, difference);
        residual::gradients(g, at, slope)
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let difference = e.sub(x[0], x[1]);
        e.abs(difference)
    }

    fn variants() -> Vec<L1Loss> {
        vec![L1Loss]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Separated, Domain::Separated]
    }
}
