//! `x / (1 + |x|)`; NaN at ±∞, as in PyTorch.

use super::{Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::graph::{Graph, NodeId};
use crate::kernel::expr::{Expr, Expressions};

/// See the [module](self).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Softsign;

impl Elementwise for Softsign {
    const NAME: &'static str = "softsign";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<Softsign, Mistake> {
        Ok(Softsign)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        x[0] / (T::one() + x[0].abs())
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let one = g.constant(1.0);
        let size = g.abs(at.x[0]);
        let denominator = g.add(size, one);
        let square = g.square(denominator);
        vec![Some(g.div(at.dy, square))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let one = e.float(1.0);
        let size = e.abs(x[0]);
        let denominator = e.add(size, one);
        e.div(x[0], denominator)
    }

    fn variants() -> Vec<Softsign> {
        vec![Softsign]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Apart]
    }
}
