//! Simplification: decomposition and rewrite rules.
//!
//! Value-preserving rewrites of the graph: composite operations become
//! primitive ones, then rules simplify every node, with a file for each family of rules.
//!
//! Common subexpressions and dead nodes need no rule: the graph merges equal
//! computations, and rebuilding it drops nodes that no root needs.
//!
//! No rule changes the bits of a result other than the sign of a zero.

mod algebra;
mod constants;
mod joins;
mod views;

use crate::graph::{Graph, NodeId};
use crate::ops::{Lowering, Op};

pub use constants::value as constant_value;

/// A family of rules: for an operation on simplified operands, the node to use
/// instead, or `None`.
type Rule = fn(&mut Graph, &Op, &[NodeId]) -> Option<NodeId>;

const RULES: &[Rule] = &[constants::rewrite, algebra::rewrite, views::rewrite, joins::rewrite];

/// The graph in primitive operations: none is [`Lowering::Composite`].
pub fn decompose(graph: &Graph) -> Graph {
    let mut graph = graph.rebuild(decompose_node);
    while graph.ids().any(|id| matches!(graph.op(id).lower(), Lowering::Composite(_))) {
        graph = graph.rebuild(decompose_node);
    }
    graph
}

fn decompose_node(g: &mut Graph, op: &Op, operands: &[NodeId]) -> NodeId {
    match op.lower() {
        Lowering::Composite(expand) => expand(g, operands),
        _ => g.apply(op.clone(), operands),
    }
}

/// The graph with every rule applied wherever it matches.
pub fn simplify(graph: &Graph) -> Graph {
    let (mut simple, mut changed) = pass(graph);
    while changed {
        (simple, changed) = pass(&simple);
    }
    simple
}

/// The graph with each rule tried once on every node, and whether one matched. If
/// none did, the graph has no dead nodes.
fn pass(graph: &Graph) -> (Graph, bool) {
    let mut changed = false;
    let simple = graph.rebuild(|g, op, operands| {
        let found = RULES.iter().find_map(|rule| rule(g, op, operands));
        changed |= found.is_some();
        found.unwrap_or_else(|| g.apply(op.clone(), operands))
    });
    (simple, changed)
}
