//! Parts: values that kernels compute in the memory of a join.
//!
//! Takes an arranged graph. A join, as the concatenation of values along an axis, has one buffer;
//! each of its operands is a part of it, at an offset and with the strides of the whole, and the kernel
//! that computes the operand stores it there. So a join takes no kernel and no copy. Joins may be parts
//! of other joins.
//!
//! A value is no part if strides cannot say where its elements are, if it is not computed by a kernel or
//! has other memory already: that of a parameter, a result, or another join. [`Parts::copied`] has
//! those, and `arrange` copies them.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use super::arrange::is_computed;
use super::views::{base, is_join, is_view, reach, reshaped, signed};
use crate::buffer::Layout;
use crate::graph::{Graph, NodeId};
use crate::ops::{Lowering, MemoryOrder, View};

/// Where a join has a value.
#[derive(Clone, Debug)]
pub(super) struct Placement {
    /// The join that has the buffer.
    pub whole: NodeId,
    /// The join that has the value as an operand.
    pub parent: NodeId,
    /// The first element, counted from the start of the buffer.
    pub offset: usize,
    /// The strides along the value's full sizes.
    pub strides: Vec<usize>,
}

/// See the [module](self).
#[derive(Default)]
pub(super) struct Parts {
    /// The layouts of the joins that have a buffer.
    pub layouts: FxHashMap<NodeId, Layout>,
    /// The values that are computed in the memory of a join, and the joins that are parts of others.
    pub of: FxHashMap<NodeId, Placement>,
    /// The operands that must be copied: the join, and the number of the operand.
    pub copied: BTreeSet<(NodeId, usize)>,
}

impl Parts {
    pub fn new(g: &Graph) -> Parts {
        let mut parts = Parts::default();
        let needed = g.needed();
        let joins: Vec<NodeId> =
            g.ids().filter(|id| needed[id.index()] && is_join(g, *id)).collect();
        if joins.is_empty() {
            return parts;
        }
        let uses = Uses::new(g, &needed);
        // Outer joins first.
        for join in joins.into_iter().rev() {
            parts.place(g, &uses, join);
        }
        parts
    }

    /// Places the operands of a join.
    fn place(&mut self, g: &Graph, uses: &Uses, join: NodeId) {
        let Lowering::Join(concat) = g.op(join).lower() else { return };
        let sizes = g.sizes(join);
        let (whole, mut offset, strides) = match self.of.get(&join) {
            Some(Placement { whole, offset, strides, .. }) => (*whole, *offset, strides.clone()),
            None => {
                let mut layout = Layout::padded(&sizes);
                if !uses.reach(g, join, &layout.strides) {
                    layout = Layout::dense(&sizes);
                }
                let strides = layout.strides.clone();
                self.layouts.insert(join, layout);
                (join, 0, strides)
            }
        };
        let batched = g.shape(join).batched;
        let axis = concat.axis_of(g.ty(join)) + usize::from(batched);
        for (i, operand) in g.operands(join).iter().enumerate() {
            let size = g.sizes(*operand).get(axis).copied();
            let placed = (g.shape(*operand).batched == batched)
                .then(|| inverse(g, *operand, strides.clone()))
                .flatten()
                .filter(|(value, strides)| self.may_place(g, uses, *value, strides));
            match placed {
                Some((value, strides)) => {
                    self.of.insert(value, Placement { whole, parent: join, offset, strides });
                }
                None => drop(self.copied.insert((join, i))),
            }
            offset += size.unwrap_or(0) * strides[axis];
        }
    }

    /// Whether a value may have these strides in the memory of a join.
    fn may_place(&self, g: &Graph, uses: &Uses, value: NodeId, strides: &[usize]) -> bool {
        let op = g.op(value);
        (is_computed(g, value) || is_join(g, value))
            && !matches!(op.lower(), Lowering::Scatter | Lowering::AllFinite(_))
            && op.memory_order() != Some(MemoryOrder::BatchLast)
            && !self.of.contains_key(&value)
            && g.roots().iter().all(|(_, root)| *root != value)
            && uses.reach(g, value, strides)
            && (!uses.is_factor(value) || is_row_major(&g.sizes(value), strides))
    }
}

/// Whether the elements are in row-major order, those of the last axis contiguous.
fn is_row_major(sizes: &[usize], strides: &[usize]) -> bool {
    let real = sizes.iter().zip(strides).filter(|(size, _)| **size > 1).map(|(_, stride)| *stride);
    let real: Vec<usize> = real.collect();
    real.last().is_none_or(|last| *last == 1) && real.is_sorted_by(|a, b| a >= b)
}

/// The base of a view that has all its elements, and the strides there, where the view has `strides`
/// along its full sizes; `None` if it has others, or if no strides reach them.
fn inverse(g: &Graph, mut id: NodeId, mut strides: Vec<usize>) -> Option<(NodeId, Vec<usize>)> {
    while is_view(g, id) {
        let x = g.operands(id)[0];
        strides = match g.op(id).lower() {
            Lowering::View(View::Reshape(_)) => {
                let from = reshaped(&g.sizes(id), &signed(&strides), &g.sizes(x))?;
                from.into_iter().map(isize::unsigned_abs).collect()
            }
            Lowering::View(View::Transpose(op)) => {
                let first = usize::from(g.shape(x).batched);
                let mut from = strides.clone();
                for (to, axis) in op.permutation_of(g.ty(x)).into_iter().enumerate() {
                    from[axis + first] = strides[to + first];
                }
                from
            }
            _ => return None,
        };
        id = x;
    }
    Some((id, strides))
}

/// The uses of values by kernels.
struct Uses {
    /// The operands whose base is the value.
    through: FxHashMap<NodeId, Vec<NodeId>>,
    /// The values that are factors of products, tables or indices.
    factors: BTreeSet<NodeId>,
}

impl Uses {
    fn new(g: &Graph, needed: &[bool]) -> Uses {
        let mut uses = Uses { through: FxHashMap::default(), factors: BTreeSet::new() };
        for by in g.ids().filter(|id| needed[id.index()] && is_computed(g, *id)) {
            let is_factor = matches!(
                g.op(by).lower(),
                Lowering::Contraction(_) | Lowering::Gather | Lowering::Scatter
            );
            for operand in g.operands(by) {
                let value = base(g, *operand);
                uses.through.entry(value).or_default().push(*operand);
                if is_factor {
                    uses.factors.insert(value);
                }
            }
        }
        uses
    }

    /// Whether strides reach the elements of all uses of a value that has these strides.
    fn reach(&self, g: &Graph, value: NodeId, strides: &[usize]) -> bool {
        let through = self.through.get(&value).map_or(&[][..], |all| all);
        through.iter().all(|operand| reach(g, *operand, strides).is_some())
    }

    fn is_factor(&self, value: NodeId) -> bool {
        self.factors.contains(&value)
    }
}
