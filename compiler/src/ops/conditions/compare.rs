//! The operation [`Compare`].

use super::{Domain, Elementwise, Finiteness, Reverse};
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// Comparison of two values: 1.0 where it holds, else 0.0, also for NaN. Without gradient.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Compare(pub Comparison);

/// The kind of a comparison.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Comparison {
    /// `a > b`
    Greater,
    /// `a = b`
    Equal,
}

super::notation::words!(Comparison: Greater = "greater", Equal = "equal");

impl Elementwise for Compare {
    const NAME: &'static str = "compare";
    const OPERANDS: Option<usize> = Some(2);

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        let holds = match self.0 {
            Comparison::Greater => x[0] > x[1],
            Comparison::Equal => x[0] == x[1],
        };
        if holds { T::one() } else { T::zero() }
    }

    fn gradient(&self, _: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        vec![None; at.x.len()]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let mask = match self.0 {
            Comparison::Greater => e.greater(x[0], x[1]),
            Comparison::Equal => e.equal(x[0], x[1]),
        };
        e.indicator(mask)
    }

    fn finiteness(&self) -> Finiteness {
        Finiteness::BOUNDED.with_conditions(2)
    }

    fn variants() -> Vec<Compare> {
        vec![Compare(Comparison::Greater), Compare(Comparison::Equal)]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Separated, Domain::Separated]
    }
}
