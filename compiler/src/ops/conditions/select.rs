//! The operation [`Select`].

use super::{Domain, Elementwise, Finiteness, Propagation, Reverse};
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// Selects per element: `a` where the condition is greater than 0, else `b`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Select;

impl Elementwise for Select {
    const NAME: &'static str = "select";
    const OPERANDS: Option<usize> = Some(3);

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        if x[0] > T::zero() { x[1] } else { x[2] }
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let zero = g.constant(0.0);
        let da = g.select(at.x[0], at.dy, zero);
        let db = g.select(at.x[0], zero, at.dy);
        vec![None, Some(da), Some(db)]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let mask = e.is_set(x[0]);
        e.select(mask, x[1], x[2])
    }

    fn finiteness(&self) -> Finiteness {
        Finiteness { propagation: Propagation::Sometimes, ..Finiteness::PRESERVED }
            .with_conditions(1)
    }

    fn variants() -> Vec<Select> {
        vec![Select]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Separated, Domain::Normal(1.0), Domain::Normal(1.0)]
    }
}
