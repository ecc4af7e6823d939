//! Where the nodes of a group have their elements.

use super::super::views::real_sizes;
use crate::graph::{Graph, NodeId};
use crate::ops::Op;
use crate::ops::reduce::Axis;

/// Where the nodes of a group have their elements. Sizes leave out axes of
/// size one.
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
    Alone,
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
        let Op::Reduce(reduce) = g.op(id) else { unreachable!("it is a reduction") };
        let full = match reduce.axis {
            Axis::Batch => 0,
            Axis::Example(axis) => axis + usize::from(g.shape(operand).batched),
        };
        let sizes = g.sizes(operand);
        let axis = sizes[..full].iter().filter(|size| **size > 1).count();
        let real = real_sizes(g, operand);
        if axis + 1 == real.len() { Space::Rows(real) } else { Space::Columns(real, axis) }
    }

    /// On which level of the space a node works; `None` if on neither.
    pub(in crate::fuse) fn level(&self, g: &Graph, id: NodeId) -> Option<Level> {
        let sizes = real_sizes(g, id);
        let position = matches!(g.op(id), Op::ComparePosition(_));
        match self {
            Space::Rows(full) if sizes == *full => Some(Level::Full),
            Space::Rows(full) if full.split_last().is_some_and(|(_, outer)| outer == sizes) => {
                // Positions are those on the space's last axis.
                (!position).then_some(Level::Outer)
            }
            Space::Columns(full, _) if sizes == *full => Some(Level::Full),
            Space::Columns(full, axis) => {
                let mut left = full.clone();
                left.remove(*axis);
                (sizes == left && !position).then_some(Level::Outer)
            }
            Space::Scatter(full, _) if sizes == *full => Some(Level::Full),
            Space::Product(full) if sizes == *full => (!position).then_some(Level::Full),
            // Sums over the product's own sum: one for each column.
            Space::Product(full) if full.len() == 2 && sizes == full[1..] => {
                (!position).then_some(Level::Outer)
            }
            Space::Rows(_) | Space::Product(_) | Space::Scatter(..) | Space::Alone => None,
        }
    }
}
