//! The natural logarithm; -∞ at 0, NaN below.

use super::{Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::graph::{Graph, NodeId};
use crate::kernel::expr::{Expr, Expressions};

/// See the [module](self).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Log;

impl Elementwise for Log {
    const NAME: &'static str = "log";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<Log, Mistake> {
        Ok(Log)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        x[0].ln()
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        vec![Some(g.div(at.dy, at.x[0]))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        e.log(x[0])
    }

    fn variants() -> Vec<Log> {
        vec![Log]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Positive]
    }
}
