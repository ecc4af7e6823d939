//! The size limit of kernels.
//!
//! How large a kernel becomes: compiling takes longer than in proportion to it,
//! above all by Cranelift, and so there is a largest size. A network that is
//! twice as long then has twice as many kernels, and compiles in twice the time.

use crate::fuse::formula::Outline;
use crate::fuse::views::base;
use crate::graph::{Graph, NodeId};
use crate::simplify::constant_value;

use super::Space;

/// Instructions of a kernel, by a rough estimate, beyond which nothing joins it.
/// Cranelift takes some 100 ms for as many. A cross entropy with its gradient, or
/// an optimizer behind a product, has a tenth of it.
const LARGEST: usize = 16_384;

/// Instructions that a pointer into a buffer is worth: it takes a register, or
/// moves to the stack and back.
const POINTER: usize = 32;

/// How often lowering writes the formulas of a product's epilogue: for all vectors
/// of a tile, and again for the tiles at the ends.
const IN_PRODUCT: usize = 32;
/// The same where vectors go side by side, and once more for what is left.
const IN_COLUMNS: usize = 8;
const IN_SCATTER: usize = 16;
/// The same for the values of a reduction along rows, which are computed again
/// for each that comes after another.
const IN_REDUCTION: usize = 8;
/// The same for what is stored of rows: a whole vector and what is left.
const IN_STORES: usize = 2;

/// What lowering will write down, for a node or a group.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Size {
    /// Steps of formulas.
    pub terms: usize,
    /// Buffers that are read or written.
    pub buffers: usize,
    /// Reductions along rows that come one after the other.
    pub stages: usize,
}

impl Size {
    /// Of a computed node, where it is elementwise with the outline of its formula.
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

    /// Of two, side by side.
    pub fn with(&self, other: &Size) -> Size {
        Size {
            terms: self.terms + other.terms,
            buffers: self.buffers + other.buffers,
            stages: self.stages.max(other.stages),
        }
    }

    /// With at least so many stages.
    pub fn with_stages(self, stages: usize) -> Size {
        Size { stages: self.stages.max(stages), ..self }
    }

    /// Whether it is more than a kernel of this kind may be.
    pub fn is_too_large(&self, space: &Space) -> bool {
        let copies = match space {
            Space::Rows(_) => IN_STORES + IN_REDUCTION * self.stages,
            Space::Columns(..) => IN_COLUMNS,
            Space::Product(_) => IN_PRODUCT,
            Space::Scatter(..) => IN_SCATTER,
            // Nobody joins it.
            Space::AllFinite => return false,
        };
        self.terms * copies + self.buffers * POINTER > LARGEST
    }
}
