//! Materialization and operand order before grouping: adds copies of values that must be in
//! memory.
//!
//! Takes a graph of primitive operations and returns one of the same values in
//! which
//! - the second factor of every product has contiguous columns: otherwise the factors are
//!   swapped, or it is transposed into a copy, whichever moves less data;
//! - every factor, every table and every index is a buffer or a view of one that
//!   strides reach;
//! - the operand of a reshape that strides do not reach is an
//!   elementwise node or an input, which is dense in memory;
//! - every root is a computed node of its own;
//! - no parameter is overwritten before a value that needs its old one, directly or by an order of
//!   other parameters: new values in such a cycle are computed into copies first.

use std::collections::HashSet;

use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use rustc_hash::FxHashMap;

use super::parts::Parts;
use super::views::{base, is_join, is_view, reach, real_sizes};
use crate::buffer::dense_strides;
use crate::graph::{Graph, NodeId, Root};
use crate::ops::contract::Contract;
use crate::ops::materialize::Materialize;
use crate::ops::reshape::Reshape;
use crate::ops::{Leaf, Lowering, View};
use crate::shape::Shape;
use crate::target::MOST_LANES;

pub(super) fn arrange(graph: &Graph) -> Graph {
    let mut arranged = graph.rebuild(|g, op, x| match op.lower() {
        Lowering::Contraction(contract) => arrange_product(g, contract, x),
        Lowering::Gather => {
            let operands = [x[0], x[1]].map(|x| with_memory(g, x));
            g.apply(op.clone(), &operands)
        }
        // The values may be computed in the scatter's kernel.
        Lowering::Scatter => {
            let index = with_memory(g, x[1]);
            g.apply(op.clone(), &[x[0], index])
        }
        Lowering::View(View::Reshape(reshape))
            if !is_trivial(g, reshape, x[0]) && may_be_strided(g, x[0]) =>
        {
            let dense = g.apply(Materialize::ROWS, &[x[0]]);
            g.apply(op.clone(), &[dense])
        }
        _ => g.apply(op.clone(), x),
    });
    let roots = arranged.roots().to_vec();
    arranged.retain_roots(|_| false);
    let mut used = HashSet::new();
    for (root, id) in roots {
        let assigns = matches!(root, Root::Assign(_));
        let shared = assigns && !used.insert(id);
        // A join has memory, but not that of a parameter.
        let has_memory = is_computed(&arranged, id) || (is_join(&arranged, id) && !assigns);
        let id = match !has_memory || shared {
            true => materialize_anew(&mut arranged, id),
            false => id,
        };
        used.insert(id);
        arranged.add_root(root, id);
    }
    assign_copies_in_cycles(&mut arranged);
    copy_into_joins(arranged)
}

/// Joins take copies of values that no kernel can compute in their memory.
fn copy_into_joins(mut g: Graph) -> Graph {
    loop {
        let copied = Parts::new(&g).copied;
        if copied.is_empty() {
            return g;
        }
        g = g.rebuild_nodes(|g, id, op, x| {
            if !copied.iter().any(|(join, _)| *join == id) {
                return g.apply(op.clone(), x);
            }
            let batched = x.iter().any(|x| g.shape(*x).batched);
            let mut operands = x.to_vec();
            for (i, x) in operands.iter_mut().enumerate() {
                if copied.contains(&(id, i)) {
                    // Also for every example, where another value has one for each.
                    let shape = Shape { batched, ..g.shape(*x).clone() };
                    let repeated = g.broadcast(*x, &shape);
                    *x = g.apply(Materialize::ROWS, &[repeated]);
                }
            }
            g.apply(op.clone(), &operands)
        });
    }
}

/// Assigns copies of new values that would have to be both before and after another value, as of two
/// parameters that are swapped. A copy has no users: it can be assigned last.
fn assign_copies_in_cycles(g: &mut Graph) {
    let roots = g.roots().to_vec();
    let writers: Vec<(usize, NodeId)> = (roots.iter())
        .filter_map(|(root, id)| match root {
            Root::Assign(parameter) => Some((*parameter, *id)),
            _ => None,
        })
        .collect();
    if writers.is_empty() {
        return;
    }
    let writer: FxHashMap<usize, NodeId> = writers.iter().copied().collect();
    // An edge to each node from those that must be computed before it.
    let index = |id: NodeId| NodeIndex::<u32>::new(id.index());
    let mut before = DiGraph::<(), ()>::with_capacity(g.len(), 4 * g.len());
    for _ in g.ids() {
        before.add_node(());
    }
    let needed = g.needed();
    for id in g.ids().filter(|id| needed[id.index()]) {
        for &x in g.operands(id) {
            before.add_edge(index(x), index(id), ());
            if let Some(Leaf::Parameter(op)) = g.op(base(g, x)).leaf()
                && let Some(&writer) = writer.get(&op.index)
                && writer != id
                && !is_view(g, id)
            {
                before.add_edge(index(id), index(writer), ());
            }
        }
    }
    if let Some(guard) = g.root(&Root::Guard) {
        for (root, id) in roots.iter().filter(|(_, id)| *id != guard) {
            match root {
                Root::Assign(_) => before.add_edge(index(guard), index(*id), ()),
                _ => before.add_edge(index(*id), index(guard), ()),
            };
        }
    }
    let cyclic: HashSet<NodeId> = kosaraju_scc(&before)
        .into_iter()
        .filter(|nodes| nodes.len() > 1)
        .flatten()
        .map(|node| NodeId::new(node.index()))
        .collect();
    if writers.iter().all(|(_, id)| !cyclic.contains(id)) {
        return;
    }
    let mut used: HashSet<NodeId> = roots.iter().map(|(_, id)| *id).collect();
    g.retain_roots(|_| false);
    for (root, mut id) in roots {
        if matches!(root, Root::Assign(_)) && cyclic.contains(&id) {
            while !used.insert(id) {
                id = g.apply(Materialize::ROWS, &[id]);
            }
        }
        g.add_root(root, id);
    }
}

/// A new copy of a value, distinct from existing copies that are assigned.
pub(super) fn materialize_anew(g: &mut Graph, id: NodeId) -> NodeId {
    let mut copy = g.apply(Materialize::ROWS, &[id]);
    while g.roots().iter().any(|(root, r)| matches!(root, Root::Assign(_)) && *r == copy) {
        copy = g.apply(Materialize::ROWS, &[copy]);
    }
    copy
}

/// Whether a node is computed by a kernel.
pub(super) fn is_computed(g: &Graph, id: NodeId) -> bool {
    !is_view(g, id) && !is_join(g, id) && !g.op(id).lower().is_source()
}

/// Whether a node may be strided in memory, independently of its users:
/// views, and parameters with padded rows.
fn may_be_strided(g: &Graph, id: NodeId) -> bool {
    is_view(g, id)
        || matches!(
            g.op(id).lower(),
            Lowering::Leaf(Leaf::Parameter(_) | Leaf::StepScalar(_)) | Lowering::Constant(_)
        )
}

/// Whether a reshape only adds or removes axes of size one.
fn is_trivial(g: &Graph, reshape: &Reshape, x: NodeId) -> bool {
    let shape = Shape { batched: g.shape(x).batched, dims: reshape.dims.clone() };
    let to: Vec<usize> = shape.full_sizes(g.batch()).into_iter().filter(|n| *n > 1).collect();
    to == real_sizes(g, x)
}

fn arrange_product(g: &mut Graph, contract: &Contract, x: &[NodeId]) -> NodeId {
    let [mut a, mut b] = [x[0], x[1]];
    let mut contract = contract.clone();
    a = with_memory(g, a);
    // Columns are the last of b's free axes.
    let rank = g.shape(b).rank();
    let free = contract.free_b(rank);
    let sizes = g.shape(b).sizes();
    let columns = free.iter().copied().rfind(|axis| sizes[*axis] > 1);
    let is_contiguous = has_memory(g, b) && columns.is_none_or(|axis| last_stride(g, b, axis) == 1);
    if !is_contiguous && let Some(swapped) = swap_operands(g, &contract, a, b) {
        return swapped;
    }
    if !is_contiguous {
        let bound = contract.shared.iter().chain(&contract.contracted).map(|p| p.1);
        let order: Vec<usize> = bound.chain(free).collect();
        for pair in contract.shared.iter_mut().chain(&mut contract.contracted) {
            pair.1 =
                order.iter().position(|axis| *axis == pair.1).expect("all axes are in the order");
        }
        let transposed = g.permute(b, &order);
        b = g.apply(Materialize::ROWS, &[transposed]);
    }
    g.apply(contract, &[a, b])
}

/// The product of examples and a weight with its factors swapped: the weight
/// keeps its layout, row by row, and vectors run along the batch. `None` where
/// that is impossible, or where the weight is so small, or the batch so large,
/// that it is cheaper to transpose the weight.
fn swap_operands(g: &mut Graph, contract: &Contract, a: NodeId, b: NodeId) -> Option<NodeId> {
    let (examples, weight) = (g.shape(a), g.shape(b));
    let free = contract.free_a(examples.rank()).into_iter().map(|axis| examples.sizes()[axis]);
    let is_vector = free.product::<usize>() == 1 && contract.free_a(examples.rank()).is_empty();
    if !examples.batched || weight.batched || !contract.shared.is_empty() || !is_vector {
        return None;
    }
    if !has_memory(g, b) {
        return None;
    }
    let batch = g.batch();
    let count = |sizes: Vec<usize>| sizes.into_iter().product::<usize>();
    let (weights, inputs) = (count(weight.sizes()), count(examples.sizes()));
    let terms: usize = contract.contracted.iter().map(|p| weight.sizes()[p.1]).product();
    let outputs = weights / terms.max(1);
    // In cycles: a multiply-add of a wide vector takes half of one, and a strided access takes
    // one for each element. Swapped, the result is stored by strides, and possibly a mask is
    // loaded by strides.
    let swapped = weights * batch.div_ceil(MOST_LANES) / 2 + batch * (inputs + 2 * outputs);
    let transposed = weights + weights * batch / (2 * MOST_LANES);
    if swapped >= transposed {
        return None;
    }
    let contract = Contract {
        contracted: contract.contracted.iter().map(|(i, j)| (*j, *i)).collect(),
        ..contract.clone()
    };
    let a = if batch == 1 { a } else { g.apply(Materialize::BATCH_LAST, &[a]) };
    Some(g.apply(contract, &[b, a]))
}

/// A value that has memory: itself, or a copy.
fn with_memory(g: &mut Graph, x: NodeId) -> NodeId {
    if has_memory(g, x) { x } else { g.apply(Materialize::ROWS, &[x]) }
}

/// Whether strides reach a node's elements in the memory of its base.
fn has_memory(g: &Graph, id: NodeId) -> bool {
    let base = base(g, id);
    !g.op(base).lower().is_immediate() && reach(g, id, &dense_strides(&g.sizes(base))).is_some()
}

fn last_stride(g: &Graph, id: NodeId, axis: usize) -> isize {
    let base = base(g, id);
    let offset = usize::from(g.shape(id).batched);
    let reach = reach(g, id, &dense_strides(&g.sizes(base)));
    reach.map_or(0, |reach| reach.strides[axis + offset])
}
