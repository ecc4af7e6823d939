//! The iteration space of a group: where its nodes have their elements.

use super::super::views::real_sizes;
use crate::graph::{Graph, NodeId};
use crate::kernel::SpaceKind;
use crate::ops::Lowering;
use crate::ops::reduce::Axis;

/// Where the nodes of a group have their elements: a [kind](SpaceKind) of iteration space with its
/// sizes, which leave out axes of size one.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(in crate::fuse) enum Space {
    /// Elements of these sizes, or one for each row of the last axis.
    Rows(Vec<usize>),
    /// Elements of these sizes are reduced over an axis; after that, one for
    /// each point of the others.
    Columns(Vec<usize>, usize),
    /// Elements of a product of these sizes.
    Product(Vec<usize>),
    /// Rows that are added up where an index says: elements of these sizes, in
    /// rows of so many columns. Nobody joins the table that they are added to.
    Scatter(Vec<usize>, usize),
    /// Whatever one node looks at. Nobody joins it.
    AllFinite,
}

/// On which elements of its group's space a node works.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::fuse) enum Level {
    /// On every one.
    Full,
    /// On one for each row, or for each point that is left of a reduction.
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

    /// On which level of the space a node works, where `indexed` if its formula counts elements along
    /// its last axis; `None` if on neither.
    pub(super) fn level(&self, g: &Graph, id: NodeId, indexed: bool) -> Option<Level> {
        let sizes = real_sizes(g, id);
        let (level, is_last_axis) = match self {
            Space::Rows(full) if sizes == *full => (Level::Full, true),
            Space::Rows(full) if full.split_last().is_some_and(|(_, outer)| outer == sizes) => {
                (Level::Outer, false)
            }
            // The axis that goes is never the last.
            Space::Columns(full, _) if sizes == *full => (Level::Full, true),
            Space::Columns(full, axis) => {
                let mut left = full.clone();
                left.remove(*axis);
                if sizes != left {
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
        // What a kernel counts are elements along the last axis of its space.
        (is_last_axis || !indexed).then_some(level)
    }
}
