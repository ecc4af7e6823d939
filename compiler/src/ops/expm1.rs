//! `eˣ - 1`, exact near 0 too.

use super::{Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::graph::{Graph, NodeId};
use crate::kernel::expr::{Expr, Expressions};

/// See the [module](self).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Expm1;

impl Elementwise for Expm1 {
    const NAME: &'static str = "expm1";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<Expm1, Mistake> {
        Ok(Expm1)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        x[0].exp_m1()
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        // From the result; no exponential.
        let one = g.constant(1.0);
        let slope = g.add(at.y, one);
        vec![Some(g.mul(at.dy, slope))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        e.expm1(x[0])
    }

    fn variants() -> Vec<Expm1> {
        vec![Expm1]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Normal(1.0)]
    }
}
