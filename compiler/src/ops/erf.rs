//! The error function, `2/√π·∫₀ˣ e^(-t²) dt`.

use super::{Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::graph::{Graph, NodeId};
use crate::kernel::expr::{Expr, Expressions};

/// See the [module](self).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Erf;

impl Elementwise for Erf {
    const NAME: &'static str = "erf";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<Erf, Mistake> {
        Ok(Erf)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        x[0].erf()
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let square = g.square(at.x[0]);
        let minus = g.neg(square);
        let e = g.exp(minus);
        let slope = g.scale(e, std::f32::consts::FRAC_2_SQRT_PI);
        vec![Some(g.mul(at.dy, slope))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        e.erf(x[0])
    }

    fn variants() -> Vec<Erf> {
        vec![Erf]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Normal(1.5)]
    }
}
