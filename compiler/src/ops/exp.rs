//! `eˣ`.

use super::{Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::graph::{Graph, NodeId};
use crate::kernel::expr::{Expr, Expressions};

/// See the [module](self).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Exp;

impl Elementwise for Exp {
    const NAME: &'static str = "exp";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<Exp, Mistake> {
        Ok(Exp)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        x[0].exp()
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        vec![Some(g.mul(at.dy, at.y))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        e.exp(x[0])
    }

    fn variants() -> Vec<Exp> {
        vec![Exp]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Normal(2.0)]
    }
}
