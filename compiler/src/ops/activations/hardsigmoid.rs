//! The operation [`Hardsigmoid`].

use super::{Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// Hard sigmoid, `min(max(x + 3, 0), 6) / 6`; NaN stays NaN.
///
/// The gradient is 1/6 for `-3 < x < 3`, else 0, also for NaN, as in PyTorch.
///
/// In the language: `hardsigmoid(x)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = hardsigmoid(x);
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[0.333333, 0.583333, 0.833333]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Hardsigmoid;

impl Elementwise for Hardsigmoid {
    const NAME: &'static str = "hardsigmoid";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<Hardsigmoid, Mistake> {
        Ok(Hardsigmoid)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        let six = T::of(6.0);
        match x[0] + T::of(3.0) {
            x if x < T::zero() => T::zero(),
            x if x > six => T::one(),
            x => x / six,
        }
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let (zero, three) = (g.constant(0.0), g.constant(3.0));
        let size = g.abs(at.x[0]);
        let inside = g.greater(three, size);
        let share = g.scale(at.dy, 1.0 / 6.0);
        vec![Some(g.select(inside, share, zero))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        // Constants are the first operands, so that NaN propagates.
        let (zero, three, six) = (e.float(0.0), e.float(3.0), e.float(6.0));
        let sixth = e.float(1.0 / 6.0);
        let y = e.add(x[0], three);
        let y = e.max(zero, y);
        let y = e.min(six, y);
        e.mul(y, sixth)
    }

    fn variants() -> Vec<Hardsigmoid> {
        vec![Hardsigmoid]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Separated]
    }
}
