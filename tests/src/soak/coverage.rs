//! Coverage: how often each operation was computed in each kind of kernel, and where in it.

use std::collections::BTreeMap;
use std::fmt::Write;

use bilro_compiler::fuse::Fused;
use bilro_compiler::graph::{Graph, NodeId};
use bilro_compiler::kernel::{Body, Kernel};
use bilro_compiler::ops::{self, Lowering};

/// Kinds of kernels: maps, rows, columns, products, scatters, and those that read rows by index.
pub const KINDS: [&str; 6] = ["map", "rows", "columns", "product", "scatter", "gather"];

/// Positions in a kernel: before its reduction, the reduction, after it.
pub const POSITIONS: [&str; 3] = ["load", "root", "epilogue"];

/// Counts of nodes by kind of kernel and position.
type Counts = [[usize; 3]; 6];

/// Counts of the nodes of each operation. Composite operations count where their result is computed.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize, serde::Serialize)]
pub struct Coverage {
    operations: BTreeMap<String, Counts>,
}

/// A graph whose nodes have the names of their operations, so that composite ones are found after
/// decomposition.
pub fn named(graph: &Graph) -> Graph {
    let mut named = Graph::new(graph.batch());
    let mut nodes: Vec<NodeId> = Vec::new();
    for id in graph.ids() {
        let operands: Vec<NodeId> = graph.operands(id).iter().map(|x| nodes[x.index()]).collect();
        let node = named.apply(graph.op(id).clone(), &operands);
        named.name(node, graph.op(id).name());
        nodes.push(node);
    }
    for (root, id) in graph.roots() {
        named.add_root(root.clone(), nodes[id.index()]);
    }
    named
}

impl Coverage {
    /// Counts the nodes of a graph's kernels.
    pub fn count(&mut self, fused: &Fused) {
        let g = &fused.graph;
        for (kernel, nodes) in fused.kernels.iter().zip(&fused.nodes) {
            let kinds = kinds(kernel);
            let positions = positions(g, nodes);
            for (id, position) in nodes.iter().zip(positions) {
                let name = match &g.node(*id).name {
                    Some(name) => name.to_string(),
                    None => g.op(*id).name().to_string(),
                };
                let counts = self.operations.entry(name).or_default();
                kinds.iter().for_each(|kind| counts[*kind][position] += 1);
            }
        }
    }

    /// Adds other counts.
    pub fn add(&mut self, other: &Coverage) {
        for (name, more) in &other.operations {
            let counts = self.operations.entry(name.clone()).or_default();
            for (counts, more) in counts.iter_mut().flatten().zip(more.iter().flatten()) {
                *counts += more;
            }
        }
    }

    /// The number of operations, of which at least one node was computed.
    pub fn operations(&self) -> usize {
        self.operations.len()
    }

    /// Operations of the registry that no kernel computed; views and leaves have no kernel.
    pub fn missing(&self) -> Vec<&'static str> {
        let all = ops::ALL.iter().map(|entry| entry.name);
        all.filter(|name| !self.operations.contains_key(*name)).collect()
    }

    /// A table in Markdown.
    pub fn markdown(&self) -> String {
        let mut text = String::from("| operation |");
        for kind in KINDS {
            let _ = write!(text, " {kind} |");
        }
        let _ = write!(text, "\n| --- |{}\n", " --- |".repeat(KINDS.len()));
        for (name, counts) in &self.operations {
            let _ = write!(text, "| `{name}` |");
            for counts in counts {
                let cell = match counts.iter().sum::<usize>() {
                    0 => String::new(),
                    _ => counts.map(short).join(" / "),
                };
                let _ = write!(text, " {cell} |");
            }
            text.push('\n');
        }
        text
    }
}

/// A count of at most four characters.
fn short(n: usize) -> String {
    match n {
        0..1_000 => n.to_string(),
        1_000..1_000_000 => format!("{}k", n / 1_000),
        _ => format!("{}M", n / 1_000_000),
    }
}

/// Indices in [`KINDS`].
fn kinds(kernel: &Kernel) -> Vec<usize> {
    let body = match &kernel.body {
        Body::Rows(rows) if rows.stages.is_empty() => 0,
        Body::Rows(_) | Body::AllFinite(_) => 1,
        Body::Columns(_) => 2,
        Body::Product(_) => 3,
        Body::Scatter(_) => 4,
    };
    let gathers = kernel.loads.iter().any(|load| load.index.is_some());
    std::iter::once(body).chain(gathers.then_some(5)).collect()
}

/// The index in [`POSITIONS`] of each node of a kernel.
fn positions(g: &Graph, nodes: &[NodeId]) -> Vec<usize> {
    let is_root = |id: &NodeId| {
        matches!(
            g.op(*id).lower(),
            Lowering::Reduction(..)
                | Lowering::Contraction(_)
                | Lowering::Scatter
                | Lowering::AllFinite(_)
        )
    };
    // Nodes are in an order that respects dependencies.
    let mut sorted = nodes.to_vec();
    sorted.sort_unstable();
    let mut follows: BTreeMap<NodeId, bool> = BTreeMap::new();
    for id in &sorted {
        let is_after = g
            .operands(*id)
            .iter()
            .any(|x| is_root_in(&follows, x, is_root) || follows.get(x) == Some(&true));
        follows.insert(*id, is_after);
    }
    let has_root = nodes.iter().any(is_root);
    nodes
        .iter()
        .map(|id| match (is_root(id), follows[id]) {
            (true, _) => 1,
            (false, true) => 2,
            (false, false) if has_root => 0,
            // A map has no reduction: its nodes are stored.
            _ => 2,
        })
        .collect()
}

fn is_root_in(
    kernel: &BTreeMap<NodeId, bool>,
    id: &NodeId,
    is_root: impl Fn(&NodeId) -> bool,
) -> bool {
    kernel.contains_key(id) && is_root(id)
}
