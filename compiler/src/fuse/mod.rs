//! Fusion: a graph of primitive operations becomes kernels over buffers.
//!
//! Every computed node is in one group; a group becomes one kernel, whose nodes
//! pass values to each other in registers. Only values that another kernel or a root
//! needs get a buffer.
//!
//! - `arrange` materializes values that must be in memory;
//! - `guard` chooses the values that a step checks before it overwrites anything;
//! - `group` decides which nodes are fused: bias and activation onto
//!   a product, an activation's derivative onto the product that uses it in the
//!   backward pass, an update onto the product that computes the gradient, all computations
//!   on a row in one kernel; `order` is the partial order of groups;
//! - `build` writes each group as a kernel. Whether a node fits a kernel is decided in one
//!   place, `group::fit`, whether a group grows by a node or by a merge; the kernel builder
//!   receives the levels with the group.

mod arrange;
mod build;
mod formula;
mod group;
mod guard;
mod order;
mod parts;
#[cfg(all(test, feature = "eval", feature = "codegen"))]
mod tests;
mod views;

use crate::buffer::{Buffer, Layout};
use crate::error::Violations;
use crate::graph::{Graph, NodeId, Root};
use crate::kernel::Kernel;

/// Kernels in an order that respects every dependency, and their buffers.
#[derive(Clone, Debug)]
pub struct Fused {
    /// The arranged graph, which node numbers refer to.
    pub graph: Graph,
    /// In order of execution.
    pub kernels: Vec<Kernel>,
    /// For every kernel, the nodes of the graph that it computes.
    pub nodes: Vec<Vec<NodeId>>,
    /// By number.
    pub buffers: Vec<Buffer>,
    /// For every buffer, the node whose value it holds. Buffers of partial sums follow these.
    pub values: Vec<NodeId>,
    /// Parts of buffers that several kernels write, by number.
    pub parts: Vec<Part>,
    /// For every root of the graph, its buffer.
    pub roots: Vec<usize>,
    /// The step scalars that the kernels read, in the order of their indices.
    pub step_scalars: Vec<&'static str>,
    /// The declared numbers that the kernels read, concatenated.
    pub numbers: Vec<f32>,
}

/// A part of a buffer: a value in the memory of a join.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// The node whose value it holds.
    pub value: NodeId,
    /// The buffer.
    pub buffer: usize,
    /// The part that it is within; `None` for the buffer as a whole.
    pub parent: Option<usize>,
    /// The first element, counted from the buffer's start.
    pub offset: usize,
    /// The sizes of the value.
    pub sizes: Vec<usize>,
    /// The stride of each of its axes.
    pub strides: Vec<usize>,
}

impl Part {
    /// The layout of its value, without padding.
    pub fn layout(&self) -> Layout {
        let span = self.sizes.iter().zip(&self.strides).map(|(size, stride)| (size - 1) * stride);
        let elements = 1 + span.sum::<usize>();
        Layout { sizes: self.sizes.clone(), strides: self.strides.clone(), elements, padding: 0 }
    }
}

/// The check that a step makes before it overwrites anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Guard {
    /// The kernel that computes it.
    pub kernel: usize,
    /// Its buffer, of one element: 0 if the step may overwrite parameters.
    pub buffer: usize,
}

impl Fused {
    /// The parts without other parts in a buffer, or in a part of it: the part itself if it has none.
    pub fn innermost_parts(&self, buffer: usize, part: Option<usize>) -> Vec<usize> {
        if self.parts.is_empty() {
            return Vec::new();
        }
        let of = |outer: Option<usize>| {
            let parts = self.parts.iter().enumerate();
            parts.filter(move |(_, p)| p.buffer == buffer && p.parent == outer).map(|(i, _)| i)
        };
        let (mut pending, mut found) = (vec![part], Vec::new());
        while let Some(part) = pending.pop() {
            let before = pending.len();
            pending.extend(of(part).map(Some));
            if pending.len() == before {
                found.extend(part);
            }
        }
        found
    }

    /// Whether two parts of one buffer have no element in common: neither contains the other.
    pub fn are_disjoint(&self, a: Option<usize>, b: Option<usize>) -> bool {
        let (Some(a), Some(b)) = (a, b) else { return false };
        let contains = |outer: usize, inner: usize| {
            let mut around = std::iter::successors(Some(inner), |part| self.parts[*part].parent);
            around.any(|part| part == outer)
        };
        !contains(a, b) && !contains(b, a)
    }

    /// The guard, which runs before all kernels that overwrite parameters.
    pub fn guard(&self) -> Option<Guard> {
        let mut roots = self.graph.roots().iter().zip(&self.roots);
        let buffer = *roots.find(|((root, _), _)| *root == Root::Guard)?.1;
        let kernel = self.kernels.iter().position(|kernel| kernel.writes().contains(&buffer))?;
        Some(Guard { kernel, buffer })
    }
}

/// Fuses a simplified graph of primitive operations; `verify` checks the
/// groups before kernels are built from them.
///
/// # Errors
/// The nodes and groups that break a rule of groups: bugs of this module.
pub fn fuse(graph: &Graph, verify: bool) -> Result<Fused, Violations> {
    let arranged = guard::guard(arrange::arrange(graph));
    let groups = group::group(&arranged);
    if verify {
        arranged.verify()?;
        group::verify(&arranged, &groups)?;
    }
    Ok(build::build(arranged, groups))
}

/// The intermediate results between a graph and its kernels, for tests of passes.
#[cfg(test)]
pub(crate) mod stages {
    use std::fmt::Write;

    use super::{Graph, Violations, arrange, group, guard};

    pub(crate) fn arranged(graph: &Graph) -> Graph {
        arrange::arrange(graph)
    }

    /// An arranged graph after the guard has been chosen.
    pub(crate) fn guarded(arranged: Graph) -> Graph {
        guard::guard(arranged)
    }

    /// The groups of an arranged graph, with the level of each node.
    pub(crate) fn groups(arranged: &Graph) -> Result<String, Violations> {
        let groups = group::group(arranged);
        group::verify(arranged, &groups)?;
        let mut text = String::new();
        for (i, group) in groups.iter().enumerate() {
            let _ = writeln!(text, "group {i}: {:?}", group.space);
            for id in &group.nodes {
                let node = crate::graph::Computation(arranged, *id);
                let level = group.level(*id);
                let level = if level == Some(group::Level::Outer) { "  // outer" } else { "" };
                let _ = writeln!(text, "  {node} : {:?}{level}", arranged.ty(*id));
            }
        }
        Ok(text)
    }
}
