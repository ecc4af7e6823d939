//! Formulas of elementwise nodes in kernels: size, use of positions.

use crate::expr::scalar::LaneType;
use crate::expr::{Expr, Expressions, Term};
use crate::graph::{Graph, NodeId};
use crate::ops::{Formula, Lowering};

/// A node's formula on its operands' formulas in a kernel. Its position is the index on the last
/// axis of the example: 0 on an axis of one element, and without axes.
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

/// Properties of an elementwise node's formula that do not depend on a kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Outline {
    /// The number of its terms, those of its operands included.
    pub terms: usize,
    /// Whether it uses the element's position on the last axis.
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
