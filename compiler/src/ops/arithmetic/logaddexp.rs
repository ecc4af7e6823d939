//! The operation [`LogAddExp`].

use super::{Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// `ln(eᵃ + eᵇ)`, without overflow.
///
/// In the language: `logaddexp(a, b)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input a: [3];
///         input b: [3];
///         output y = logaddexp(a, b);
///     }
/// }
///
/// let a = array![[0.0, -2.0, 100.0]];
/// let b = array![[0.0, 2.0, 100.0]];
/// let y = Example::model().build()?.predict(example::Input { a: a.view(), b: b.view() })?.y;
/// assert!((y - array![[0.693147, 2.01815, 100.693147]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct LogAddExp;

impl Elementwise for LogAddExp {
    const NAME: &'static str = "logaddexp";
    const CALL: Option<Signature> = Some(Signature::of(&["a", "b"]));

    fn from_call(_: &Attributes) -> Result<LogAddExp, Mistake> {
        Ok(LogAddExp)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        let [a, b] = [x[0], x[1]];
        let (low, high) = if a > b { (b, a) } else { (a, b) };
        let distance = if a == b { T::zero() } else { high - low };
        high + (-distance).exp().ln_1p()
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let distance = g.sub(at.x[0], at.x[1]);
        let share = g.sigmoid(distance);
        let other = g.neg(distance);
        let other = g.sigmoid(other);
        vec![Some(g.mul(at.dy, share)), Some(g.mul(at.dy, other))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let zero = e.float(0.0);
        let high = e.max(x[0], x[1]);
        let high = e.keep_nan(x[0], high);
        let difference = e.sub(x[0], x[1]);
        let distance = e.abs(difference);
        // Of equal infinities.
        let is_equal = e.equal(x[0], x[1]);
        let distance = e.select(is_equal, zero, distance);
        let minus = e.neg(distance);
        let power = e.exp(minus);
        let more = e.log1p(power);
        e.add(high, more)
    }

    fn variants() -> Vec<LogAddExp> {
        vec![LogAddExp]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Normal(2.0), Domain::Normal(2.0)]
    }
}
