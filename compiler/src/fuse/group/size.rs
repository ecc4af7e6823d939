//! The size limit of kernels.
//!
//! The time of compiling grows faster than the size of a kernel, above all in Cranelift; so
//! sizes are limited. A network that is
//! twice as deep then has twice as many kernels, and compiles in twice the time.

use crate::fuse::formula::Outline;
use crate::fuse::views::base;
use crate::graph::{Graph, NodeId};
use crate::simplify::constant_value;

use super::Space;

/// The largest kernel, in estimated instructions.
/// Cranelift takes some 100 ms for it. A cross entropy with its gradient, or
/// an optimizer behind a product, has a tenth of it.
const LARGEST: usize = 16_384;

/// Instructions that a pointer into a buffer counts as: it takes a register, or
/// is spilled and reloaded.
const POINTER: usize = 32;

/// Copies of the formulas of a product's epilogue: for all vectors
/// of a tile, and again for the tiles at the ends.
const IN_PRODUCT: usize = 32;
/// Copies where several vectors are processed side by side, remainders included.
const IN_COLUMNS: usize = 8;
const IN_SCATTER: usize = 16;
/// Copies of the values of a reduction along rows, which are recomputed
/// in each later stage.
const IN_REDUCTION: usize = 8;
/// Copies of the stores of rows: a full vector and the remainder.
const IN_STORES: usize = 2;

/// The estimated size of lowered code, for a node or a group.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Size {
    /// Terms of formulas.
    pub terms: usize,
    /// Buffers that are read or written.
    pub buffers: usize,
    /// Reduction stages: reductions along rows that depend on each other.
    pub stages: usize,
}

impl Size {
    /// The size of a computed node; an elementwise one has an outline.
    pub fn of(g: &Graph, id: NodeId, outline: Option<Outline>, is_root: bool) -> Size {
        let operands = g.operands(id);
        let terms = outline.map_or(1 + operands.len(), |outline| outline.terms);
        let is_leaf = |x: &&NodeId| {
            let value = base(g, **x);
            g.operands(value).is_empty() && constant_value(g, value).is_none()
        };
        let leaves = operands.iter().filter(is_leaf).count();
        Size { terms, buffers: leaves + usize::from(is_root), stages: 0 }
    }

    /// The sum of two sizes.
    pub fn with(&self, other: &Size) -> Size {
        Size {
            terms: self.terms + other.terms,
            buffers: self.buffers + other.buffers,
            stages: self.stages.max(other.stages),
        }
    }

    /// The size with at least `stages` stages.
    pub fn with_stages(self, stages: usize) -> Size {
        Size { stages: self.stages.max(stages), ..self }
    }

    /// Whether it exceeds the limit for a kernel of this space.
    pub fn is_too_large(&self, space: &Space) -> bool {
        let copies = match space {
            Space::Rows(_) => IN_STORES + IN_REDUCTION * self.stages,
            Space::Columns(..) => IN_COLUMNS,
            Space::Product(_) => IN_PRODUCT,
            Space::Scatter(..) => IN_SCATTER,
            // No other node joins it.
            Space::AllFinite => return false,
        };
        self.terms * copies + self.buffers * POINTER > LARGEST
    }
}
