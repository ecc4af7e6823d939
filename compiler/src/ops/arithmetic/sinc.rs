//! The operation [`Sinc`].

use std::f32::consts::PI;

use super::{Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// The coefficients of the slope of `sin(x) / x` around 0, over `x` and in powers of `x²`.
const SERIES: [f32; 5] = [-1.0 / 3_991_680.0, 1.0 / 45_360.0, -1.0 / 840.0, 1.0 / 30.0, -1.0 / 3.0];

/// `sin(πx) / (πx)`, and 1 at 0. Near its zeros the error is that of `πx` as a float: small beside
/// 1, not beside the result. NaN for `|πx|` beyond 2²⁰.
///
/// In the language: `sinc(x)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = sinc(x);
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 0.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[0.0, 0.63662, 1.0]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Sinc;

impl Elementwise for Sinc {
    const NAME: &'static str = "sinc";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<Sinc, Mistake> {
        Ok(Sinc)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        if x[0] == T::zero() {
            return T::one();
        }
        let angle = T::of(PI) * x[0];
        angle.sin() / angle
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let angle = g.scale(at.x[0], PI);
        let cos = g.apply(super::cos::Cos, &[angle]);
        let difference = g.sub(cos, at.y);
        let slope = g.div(difference, at.x[0]);
        // Near 0 the difference cancels, where the slope's series converges.
        let (one, square, size) = (g.constant(1.0), g.square(angle), g.abs(angle));
        let mut series = g.constant(SERIES[0]);
        for coefficient in &SERIES[1..] {
            let product = g.mul(series, square);
            let coefficient = g.constant(*coefficient);
            series = g.add(product, coefficient);
        }
        let near = g.mul(angle, series);
        let near = g.scale(near, PI);
        let is_near = g.greater(one, size);
        let slope = g.select(is_near, near, slope);
        vec![Some(g.mul(at.dy, slope))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let (pi, zero, one) = (e.float(PI), e.float(0.0), e.float(1.0));
        let angle = e.mul(x[0], pi);
        let sin = e.sin(angle);
        let y = e.div(sin, angle);
        let is_zero = e.equal(x[0], zero);
        e.select(is_zero, one, y)
    }

    fn variants() -> Vec<Sinc> {
        vec![Sinc]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Separated]
    }
}
