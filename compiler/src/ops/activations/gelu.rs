//! The operation [`Gelu`].

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use super::{Attribute, AttributeKind, Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// Gaussian error linear unit, `x·Φ(x)` with the cumulative normal distribution `Φ`
/// (D. Hendrycks, K. Gimpel, 2016); NaN at -∞, as in PyTorch.
///
/// `Φ(x)` is `(1 + erf(x/√2)) / 2`, or with `approximate = tanh` approximately
/// `(1 + tanh(√(2/π)·(x + 0.044715·x³))) / 2`. Far below 0, the former loses relative accuracy by
/// cancellation.
///
/// In the language: `gelu(x, approximate = none)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = gelu(x);
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[-0.158655, 0.345731, 1.9545]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Gelu {
    /// The formula of `Φ`; default the error function.
    pub approximate: Approximate,
}

/// The formula of the normal distribution.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Approximate {
    /// By the error function.
    None,
    /// By the hyperbolic tangent.
    Tanh,
}

super::notation::words!(Approximate: None = "none", Tanh = "tanh");

/// The keywords of [`Approximate`].
const KEYWORDS: &[&str] = &["none", "tanh"];

impl Approximate {
    /// The value of the attribute `approximate` of a call.
    pub fn from_call(attributes: &Attributes) -> Approximate {
        match attributes.keyword("approximate").as_deref() {
            Some("tanh") => Approximate::Tanh,
            _ => Approximate::None,
        }
    }

    /// Its keyword in the language.
    pub fn word(self) -> &'static str {
        match self {
            Approximate::None => "none",
            Approximate::Tanh => "tanh",
        }
    }
}

/// √(2/π)
const FACTOR: f64 = FRAC_2_SQRT_PI * FRAC_1_SQRT_2;
/// The coefficient of the cube in the argument of the hyperbolic tangent.
const CUBIC: f64 = 0.044715;

impl Elementwise for Gelu {
    const NAME: &'static str = "gelu";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]).with(&[Attribute {
        name: "approximate",
        kind: AttributeKind::Keyword(KEYWORDS),
        default: Some("none"),
    }]));

    fn from_call(attributes: &Attributes) -> Result<Gelu, Mistake> {
        Ok(Gelu { approximate: Approximate::from_call(attributes) })
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        let (x, half) = (x[0], T::of(0.5));
        let twice = match self.approximate {
            Approximate::None => (x * T::of_f64(FRAC_1_SQRT_2)).erf(),
            Approximate::Tanh => (T::of_f64(FACTOR) * (x + T::of_f64(CUBIC) * x * x * x)).tanh(),
        };
        half * x * (T::one() + twice)
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let square = g.square(at.x[0]);
        let slope = match self.approximate {
            // Φ + x·φ, with the normal density φ.
            Approximate::None => {
                let half = g.constant(0.5);
                let scaled = g.scale(at.x[0], FRAC_1_SQRT_2 as f32);
                let erf = g.apply(super::erf::Erf, &[scaled]);
                let erf = g.mul(erf, half);
                let share = g.add(erf, half);
                let power = g.scale(square, -0.5);
                let density = g.exp(power);
                let density = g.scale(density, (0.5 * FACTOR) as f32);
                let density_term = g.mul(at.x[0], density);
                g.add(share, density_term)
            }
            // s + x·s·(1 - s)·v' with s = sigmoid(v), v = 2·√(2/π)·(x + 0.044715·x³), and x·s the
            // result.
            Approximate::Tanh => {
                let (one, linear) = (g.constant(1.0), g.constant(2.0 * FACTOR as f32));
                let cubic = g.scale(square, (2.0 * FACTOR * CUBIC) as f32);
                let factor = g.add(cubic, linear);
                let v = g.mul(at.x[0], factor);
                let sigmoid = g.sigmoid(v);
                let steepness = g.scale(cubic, 3.0);
                let steepness = g.add(steepness, linear);
                let complement = g.sub(one, sigmoid);
                let product = g.mul(at.y, complement);
                let product = g.mul(product, steepness);
                g.add(sigmoid, product)
            }
        };
        vec![Some(g.mul(at.dy, slope))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let one = e.float(1.0);
        match self.approximate {
            Approximate::None => {
                let (half, scale) = (e.float(0.5), e.float(FRAC_1_SQRT_2 as f32));
                let scaled = e.mul(x[0], scale);
                let erf = e.erf(scaled);
                let twice = e.add(erf, one);
                let half = e.mul(x[0], half);
                e.mul(half, twice)
            }
            // (1 + tanh u) / 2 = 1 / (1 + e^-2u), without cancellation.
            Approximate::Tanh => {
                let linear = e.float(-2.0 * FACTOR as f32);
                let cubic = e.float((-2.0 * FACTOR * CUBIC) as f32);
                let square = e.mul(x[0], x[0]);
                let factor = e.mul_add(square, cubic, linear);
                let power = e.mul(x[0], factor);
                let exp = e.exp(power);
                let denominator = e.add(exp, one);
                e.div(x[0], denominator)
            }
        }
    }

    fn variants() -> Vec<Gelu> {
        [Approximate::None, Approximate::Tanh].map(|approximate| Gelu { approximate }).to_vec()
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Normal(2.0)]
    }
}
