//! Formulas of elementwise nodes, as kernels have them: size, use of positions.

use crate::expr::scalar::LaneType;
use crate::expr::{Expr, Expressions, Term};
use crate::graph::{Graph, NodeId};
use crate::ops::{Formula, Lowering};

/// A node's formula on what its operands are in a kernel. Its position is that on the last axis of
/// the example: on an axis of one element, and where there is none, it is the first.
pub(super) fn apply(
    g: &Graph,
    id: NodeId,
    formula: &Formula<'_>,
    e: &mut Expressions,
    x: &[Expr],
) -> Expr {
    match g.shape(id).sizes().last() {
        None | Some(1) => e.at_position(0, |e| formula(e, x)),
        Some(_) => formula(e, x),
    }
}

/// What there is to know of an elementwise node's formula by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Outline {
    /// How many terms it has, those of its operands included.
    pub terms: usize,
    /// Whether it needs to know the element's position on the last axis.
    pub is_indexed: bool,
}

/// The outline of an elementwise node; `None` for others.
pub(super) fn outline(g: &Graph, id: NodeId) -> Option<Outline> {
    let Lowering::Elementwise(formula) = g.op(id).lower() else { return None };
    let mut e = Expressions::default();
    let kind = |x: NodeId| if g.ty(x).is_real() { LaneType::Float } else { LaneType::Int };
    let operands = g.operands(id).iter().enumerate();
    let x: Vec<Expr> = operands.map(|(i, x)| e.push(Term::Load(i, kind(*x)))).collect();
    apply(g, id, &formula, &mut e, &x);
    let is_indexed = e.iter().any(|(_, term)| *term == Term::Position);
    Some(Outline { terms: e.len(), is_indexed })
}
