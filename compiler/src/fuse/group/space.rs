//! The iteration space of a group, and the level of a node in it.

use super::super::views::real_sizes;
use crate::graph::{Graph, NodeId};
use crate::kernel::SpaceKind;
use crate::ops::Lowering;
use crate::ops::reduce::Axis;

/// The iteration space of a group: a [kind](SpaceKind) with its
/// sizes, without axes of size one.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(in crate::fuse) enum Space {
    /// Elements of these sizes, or one for each row of the last axis.
    Rows(Vec<usize>),
    /// Elements of these sizes, reduced over an axis, and one element for
    /// each point of the other axes.
    Columns(Vec<usize>, usize),
    /// Elements of a product of these sizes.
    Product(Vec<usize>),
    /// The values that a scatter adds by index: elements of these sizes, in
    /// rows of this number of columns. No node joins on the table that they are added to.
    Scatter(Vec<usize>, usize),
    /// The buffers that one node checks. No other node joins it.
    AllFinite,
}

/// The elements of its group's space for which a node is computed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::fuse) enum Level {
    /// Every element.
    Full,
    /// One for each row, or for each point that remains after a reduction.
    Outer,
}

impl Space {
    /// Its kind: that of the group's kernel.
    pub(in crate::fuse) fn kind(&self) -> SpaceKind {
        match self {
            Space::Rows(_) => SpaceKind::Rows,
            Space::Columns(..) => SpaceKind::Columns,
            Space::Product(_) => SpaceKind::Product,
            Space::Scatter(..) => SpaceKind::Scatter,
            Space::AllFinite => SpaceKind::AllFinite,
        }
    }

    /// The space of a gather: vectors run along the table's rows, so that an index is
    /// the same for all elements of a vector. Rows of one element are an axis, too.
    pub(super) fn of_gather(g: &Graph, id: NodeId) -> Space {
        let mut sizes = real_sizes(g, id);
        if g.sizes(id).last() == Some(&1) {
            sizes.push(1);
        }
        Space::Rows(sizes)
    }

    /// The space of a reduction's group.
    pub(super) fn of_reduction(g: &Graph, id: NodeId) -> Space {
        let operand = g.operands(id)[0];
        let Lowering::Reduction(_, axis) = g.op(id).lower() else {
            unreachable!("it is a reduction")
        };
        let full = match axis {
            Axis::Batch => 0,
            Axis::Example(axis) => axis + usize::from(g.shape(operand).batched),
        };
        let sizes = g.sizes(operand);
        let axis = sizes[..full].iter().filter(|size| **size > 1).count();
        let real = real_sizes(g, operand);
        if axis + 1 == real.len() { Space::Rows(real) } else { Space::Columns(real, axis) }
    }

    /// The level of a node in the space; `None` if it has none. `is_indexed`: its formula uses
    /// the position on its last axis.
    pub(super) fn level(&self, g: &Graph, id: NodeId, is_indexed: bool) -> Option<Level> {
        let sizes = real_sizes(g, id);
        let (level, is_last_axis) = match self {
            Space::Rows(full) if sizes == *full => (Level::Full, true),
            Space::Rows(full) if full.split_last().is_some_and(|(_, outer)| outer == sizes) => {
                (Level::Outer, false)
            }
            // The reduced axis is never the last.
            Space::Columns(full, _) if sizes == *full => (Level::Full, true),
            Space::Columns(full, axis) => {
                let mut remaining = full.clone();
                remaining.remove(*axis);
                if sizes != remaining {
                    return None;
                }
                (Level::Outer, false)
            }
            Space::Scatter(full, _) if sizes == *full => (Level::Full, true),
            Space::Product(full) if sizes == *full => (Level::Full, false),
            // Sums over the product's own sum: one for each column.
            Space::Product(full) if full.len() == 2 && sizes == full[1..] => (Level::Outer, false),
            Space::Rows(_) | Space::Product(_) | Space::Scatter(..) | Space::AllFinite => {
                return None;
            }
        };
        // A kernel's positions are along the last axis of its space.
        (is_last_axis || !is_indexed).then_some(level)
    }
}
