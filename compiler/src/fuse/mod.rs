//! Fusion: a graph of primitive operations becomes kernels over buffers.
//!
//! Every computed node joins one group; a group becomes one kernel, whose nodes
//! hand values to each other in registers. Only what another kernel or a root
//! needs gets a buffer.
//!
//! - `arrange` gives memory to what needs it first;
//! - `guard` chooses what tells before anything is overwritten whether a step may
//!   be kept;
//! - `group` decides which nodes go together: bias and activation onto
//!   a product, an activation's derivative onto the product that follows it
//!   backwards, an update onto the product that makes the gradient, all that
//!   happens to a row in one kernel; `order` keeps what must run before what;
//! - `build` writes each group down as a kernel. What fits a kernel is asked and
//!   answered in one place, `group::fit`, however a group grows; the builder of kernels is
//!   given the answers with the group.

mod arrange;
mod build;
mod formula;
mod group;
mod guard;
mod order;
#[cfg(all(test, feature = "eval", feature = "codegen"))]
mod tests;
mod views;

use crate::buffer::Buffer;
use crate::error::Violations;
use crate::graph::{Graph, NodeId, Root};
use crate::kernel::Kernel;

/// Kernels in an order that respects every dependency, and their buffers.
#[derive(Clone, Debug)]
pub struct Fused {
    /// The graph as it was arranged: what node numbers refer to.
    pub graph: Graph,
    /// In order of execution.
    pub kernels: Vec<Kernel>,
    /// For every kernel, the nodes of the graph that it computes.
    pub nodes: Vec<Vec<NodeId>>,
    /// By number.
    pub buffers: Vec<Buffer>,
    /// For every buffer, the node whose value it holds. Buffers of partial sums come behind these.
    pub values: Vec<NodeId>,
    /// For every root of the graph, its buffer.
    pub roots: Vec<usize>,
    /// The step scalars that the kernels read, in the order of their indices.
    pub step_scalars: Vec<&'static str>,
    /// The declared numbers that the kernels read, one row after the other.
    pub numbers: Vec<f32>,
}

/// What a step must know before it overwrites anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Guard {
    /// The kernel that computes it.
    pub kernel: usize,
    /// Its buffer, of one element: 0 where what is overwritten may be.
    pub buffer: usize,
}

impl Fused {
    /// What the kernels that overwrite parameters come after, and must not run
    /// without.
    pub fn guard(&self) -> Option<Guard> {
        let mut roots = self.graph.roots().iter().zip(&self.roots);
        let buffer = *roots.find(|((root, _), _)| *root == Root::Guard)?.1;
        let kernel = self.kernels.iter().position(|kernel| kernel.writes().contains(&buffer))?;
        Some(Guard { kernel, buffer })
    }
}

/// Fuses a simplified graph of primitive operations; where asked, checks the
/// groups before kernels are made of them.
///
/// # Errors
/// All nodes and groups of which no kernel can be made: mistakes of this module.
pub fn fuse(graph: &Graph, verify: bool) -> Result<Fused, Violations> {
    let arranged = guard::guard(arrange::arrange(graph));
    let groups = group::group(&arranged);
    if verify {
        arranged.verify()?;
        group::verify(&arranged, &groups)?;
    }
    Ok(build::build(arranged, groups))
}

/// What is between a graph and its kernels, for tests of passes.
#[cfg(test)]
pub(crate) mod stages {
    use std::fmt::Write;

    use super::{Graph, Violations, arrange, group, guard};

    pub(crate) fn arranged(graph: &Graph) -> Graph {
        arrange::arrange(graph)
    }

    /// The guard of a graph that has been arranged.
    pub(crate) fn guarded(arranged: Graph) -> Graph {
        guard::guard(arranged)
    }

    /// The groups of a graph that has been arranged, with the level of each node.
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
