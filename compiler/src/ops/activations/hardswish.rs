//! The operation [`Hardswish`].

use super::{Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// `x · min(max(x + 3, 0), 6) / 6`; NaN stays NaN. The gradient is 0 at -3 and 1 at 3.
///
/// In the language: `hardswish(x)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = hardswish(x);
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[-0.333333, 0.291667, 1.666667]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Hardswish;

impl Elementwise for Hardswish {
    const NAME: &'static str = "hardswish";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<Hardswish, Mistake> {
        Ok(Hardswish)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        let (three, six) = (T::of(3.0), T::of(6.0));
        match x[0] {
            x if x < -three => x * T::zero(),
            x if x > three => x,
            x => x * (x + three) / six,
        }
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        // 0 below -3, 1 above 3, and (2x + 3) / 6 = x/3 + 1/2 between them.
        let (zero, half) = (g.constant(0.0), g.constant(0.5));
        let (one, three) = (g.constant(1.0), g.constant(3.0));
        let third = g.scale(at.x[0], 1.0 / 3.0);
        let between = g.add(third, half);
        let size = g.abs(at.x[0]);
        let (inside, below) = (g.greater(three, size), g.greater(zero, at.x[0]));
        let outside = g.select(below, zero, one);
        let slope = g.select(inside, between, outside);
        vec![Some(g.mul(at.dy, slope))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        // `max` and `min` give the second operand where one is NaN: constants go first.
        let (zero, three, six) = (e.float(0.0), e.float(3.0), e.float(6.0));
        let sixth = e.float(1.0 / 6.0);
        let y = e.add(x[0], three);
        let y = e.max(zero, y);
        let y = e.min(six, y);
        let y = e.mul(y, sixth);
        e.mul(x[0], y)
    }

    fn variants() -> Vec<Hardswish> {
        vec![Hardswish]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Separated]
    }
}
