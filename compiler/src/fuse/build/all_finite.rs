//! Builds the kernel that checks that all elements of buffers are finite.

use super::super::views::{base, signed};
use super::KernelBuilder;
use crate::expr::Term;
use crate::expr::scalar::LaneType;
use crate::kernel::{Access, AllFinite, CheckedBuffer, Store};

impl KernelBuilder<'_> {
    /// The check of all buffers that a node's operands are views of, in memory order.
    pub(super) fn all_finite(&mut self) -> AllFinite {
        let node = self.group.nodes[0];
        let buffers = self.g.operands(node).iter().filter_map(|operand| {
            let memory = self.buffers.of.get(&base(self.g, *operand))?;
            let layout = &memory.layout;
            let axes = layout.sizes.iter().copied().zip(signed(&layout.strides));
            let mut axes: Vec<(usize, isize)> = axes.filter(|(size, _)| *size > 1).collect();
            axes.sort_by_key(|(_, stride)| std::cmp::Reverse(*stride));
            // Collapses contiguous axes.
            for i in (1..axes.len()).rev() {
                let (size, stride) = axes[i];
                if axes[i - 1].1 == size as isize * stride {
                    axes[i - 1] = (axes[i - 1].0 * size, stride);
                    axes.remove(i);
                }
            }
            if axes.is_empty() {
                axes.push((1, 1));
            }
            let is_contiguous = axes
                .last()
                .is_some_and(|(size, stride)| *stride == 1 && Some(*size) == layout.contiguous());
            let (sizes, strides) = axes.into_iter().unzip();
            let padding = if is_contiguous { layout.padding } else { 0 };
            let from = Access { padding, ..memory.access(0, strides, LaneType::Float) };
            Some(CheckedBuffer { sizes, from })
        });
        let buffers = buffers.collect();
        let to = self.buffers.of[&node].access(0, vec![1], LaneType::Float);
        let value = self.formulas.push(Term::Reduced(0));
        AllFinite { buffers, store: Store { to, value } }
    }
}
