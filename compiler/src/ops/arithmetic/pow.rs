//! The operation [`Pow`].

use super::{
    Attribute, AttributeKind, Attributes, Domain, Elementwise, Number, Reverse, Signature,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// Power `xᶜ` with a constant exponent `c`.
///
/// For integer and half-integer exponents up to 64 it is computed by products and square roots; for
/// others as `e^(c·ln x)`, whose relative error grows with `|c·ln x|`. For `x < 0` it is NaN, unless
/// the exponent is an integer.
///
/// In the language: `pow(x, exponent)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = pow(x, 3);
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![[-1.0, 0.125, 8.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Pow {
    /// The exponent.
    pub exponent: Number,
}

/// The largest exponent that is computed by repeated squaring.
const LARGEST: f32 = 64.0;

impl Elementwise for Pow {
    const NAME: &'static str = "pow";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]).with(&[Attribute {
        name: "exponent",
        kind: AttributeKind::Number,
        default: None,
    }]));

    fn from_call(attributes: &Attributes) -> Result<Pow, Mistake> {
        let exponent = attributes.number("exponent").unwrap_or(1.0) as f32;
        if !exponent.is_finite() {
            let message = format!("`exponent` is a finite number, not {exponent}");
            return Err(Mistake::attribute("exponent", message));
        }
        Ok(Pow { exponent: Number(exponent) })
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        x[0].powf(T::of(self.exponent.0))
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        if self.exponent.0 == 0.0 {
            // 0 · x⁻¹ would be NaN at 0.
            return vec![None];
        }
        let lower = Pow { exponent: Number(self.exponent.0 - 1.0) };
        let power = g.apply(lower, &[at.x[0]]);
        let slope = g.scale(power, self.exponent.0);
        vec![Some(g.mul(at.dy, slope))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let c = self.exponent.0;
        let (integer, is_half) = (c.trunc(), c.fract().abs() == 0.5);
        if c.fract() == 0.0 && integer.abs() > LARGEST {
            // The sign depends on the parity of the exponent.
            let size = e.abs(x[0]);
            let power = exponential(e, c, size);
            if integer % 2.0 == 0.0 {
                return power;
            }
            let (zero, minus) = (e.float(0.0), e.neg(power));
            let is_negative = e.greater(zero, x[0]);
            return e.select(is_negative, minus, power);
        }
        if integer.abs() > LARGEST || (c.fract() != 0.0 && !is_half) {
            return exponential(e, c, x[0]);
        }
        let mut power = is_half.then(|| e.sqrt(x[0]));
        let mut square = x[0];
        let mut bits = integer.abs() as u32;
        while bits > 0 {
            if bits & 1 == 1 {
                power = Some(power.map_or(square, |p| e.mul(p, square)));
            }
            bits >>= 1;
            if bits > 0 {
                square = e.mul(square, square);
            }
        }
        let one = e.float(1.0);
        match power {
            None => one,
            Some(power) if c < 0.0 => e.div(one, power),
            Some(power) => power,
        }
    }

    fn variants() -> Vec<Pow> {
        [2.0, 3.0, -1.0, 0.5, -2.5, 1.3, 0.0].map(|c| Pow { exponent: Number(c) }).to_vec()
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Positive]
    }
}

/// `e^(c·ln x)`.
fn exponential(e: &mut Expressions, c: f32, x: Expr) -> Expr {
    let (exponent, log) = (e.float(c), e.log(x));
    let product = e.mul(exponent, log);
    e.exp(product)
}
