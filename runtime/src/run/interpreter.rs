//! The interpreter: evaluates a graph node by node, as the reference of machine code.
//!
//! Walks the original graph, before any rewrite, and evaluates each node by its
//! operation's formula on ndarray. It shares no lowering with machine code, and
//! computes in f64 or f32.

use bilro_compiler::eval::{Evaluation, Real, Value};
use bilro_compiler::graph::{Graph, NodeId};
use bilro_compiler::ops::Leaf;

use crate::memory;

/// The values of a graph's roots, in their order. `leaf` returns the values of
/// inputs, parameters and step scalars.
pub fn interpret<T: Real>(graph: &Graph, leaf: impl FnMut(Leaf<'_>) -> Value<T>) -> Vec<Value<T>> {
    interpret_with(graph, leaf, |_, _| {})
}

/// The same; `visit` is called with every value that a root needs, in the order of the nodes, and may
/// change it.
pub(crate) fn interpret_with<T: Real>(
    graph: &Graph,
    mut leaf: impl FnMut(Leaf<'_>) -> Value<T>,
    mut visit: impl FnMut(NodeId, &mut Value<T>),
) -> Vec<Value<T>> {
    let needed = graph.needed();
    let mut values: Vec<Option<Value<T>>> = vec![None; graph.len()];
    // Values are dropped after their last use.
    let mut uses = uses(graph, &needed);
    for id in graph.ids().filter(|id| needed[id.index()]) {
        let operands = graph.operands(id);
        let mut value = match graph.op(id).leaf() {
            Some(given) => leaf(given),
            None => evaluate(graph, id, operands, &values),
        };
        debug_assert_eq!(value.sizes(), graph.sizes(id), "{}", graph.label(id));
        visit(id, &mut value);
        values[id.index()] = Some(value);
        for x in operands {
            uses[x.index()] -= 1;
            if uses[x.index()] == 0 {
                values[x.index()] = None;
            }
        }
    }
    let value = |id: NodeId| values[id.index()].clone().expect("roots are live to the end");
    graph.roots().iter().map(|(_, id)| value(*id)).collect()
}

/// The number of uses of each value; being a root counts as one.
fn uses(graph: &Graph, needed: &[bool]) -> Vec<usize> {
    let mut uses = vec![0; graph.len()];
    for id in graph.ids().filter(|id| needed[id.index()]) {
        for x in graph.operands(id) {
            uses[x.index()] += 1;
        }
    }
    for (_, root) in graph.roots() {
        uses[root.index()] += 1;
    }
    uses
}

/// The maximum number of elements that [`interpret`] holds at once.
pub(crate) fn peak(graph: &Graph) -> usize {
    let needed = graph.needed();
    let mut uses = uses(graph, &needed);
    let elements = |id: NodeId| memory::elements(&graph.sizes(id));
    let (mut live, mut max) = (0usize, 0);
    for id in graph.ids().filter(|id| needed[id.index()]) {
        live = live.saturating_add(elements(id));
        max = max.max(live);
        for &x in graph.operands(id) {
            uses[x.index()] -= 1;
            if uses[x.index()] == 0 {
                live -= elements(x);
            }
        }
    }
    // Roots are copied.
    graph.roots().iter().fold(live, |sum, (_, id)| sum.saturating_add(elements(*id))).max(max)
}

fn evaluate<T: Real>(
    graph: &Graph,
    id: NodeId,
    operands: &[NodeId],
    values: &[Option<Value<T>>],
) -> Value<T> {
    let value = |x: &NodeId| values[x.index()].as_ref().expect("operands come first");
    evaluate_on(graph, id, &operands.iter().map(value).collect::<Vec<_>>())
}

/// The value of a computed node on the values of its operands.
pub(crate) fn evaluate_on<T: Real>(graph: &Graph, id: NodeId, x: &[&Value<T>]) -> Value<T> {
    let operands = graph.operands(id);
    let types: Vec<_> = operands.iter().map(|x| graph.ty(*x)).collect();
    let at = Evaluation { ty: graph.ty(id), operands: &types, batch: graph.batch() };
    graph.op(id).eval(x, &at)
}
