//! Builds the kernel that checks all elements of buffers for finite values.

use super::super::views::base;
use super::KernelBuilder;
use crate::expr::Term;
use crate::expr::scalar::LaneType;
use crate::kernel::{Access, AllFinite, CheckedBuffer, Store};

impl KernelBuilder<'_> {
    /// All of the memory that a node's operands are views of, in whatever order
    /// it lies there.
    pub(super) fn all_finite(&mut self) -> AllFinite {
        let node = self.group.nodes[0];
        let looked = self.g.operands(node).iter().filter_map(|operand| {
            let buffer = *self.buffers.of.get(&base(self.g, *operand))?;
            let layout = &self.buffers.list[buffer].layout;
            let axes = layout.sizes.iter().copied().zip(layout.strides.iter().copied());
            let mut axes: Vec<(usize, usize)> = axes.filter(|(size, _)| *size > 1).collect();
            axes.sort_by_key(|(_, step)| std::cmp::Reverse(*step));
            // Axes that lie one after the other are one.
            for i in (1..axes.len()).rev() {
                let (size, step) = axes[i];
                if axes[i - 1].1 == size * step {
                    axes[i - 1] = (axes[i - 1].0 * size, step);
                    axes.remove(i);
                }
            }
            if axes.is_empty() {
                axes.push((1, 1));
            }
            let row = axes
                .last()
                .is_some_and(|(size, step)| *step == 1 && Some(*size) == layout.contiguous());
            let (sizes, steps) = axes.into_iter().unzip();
            let slack = if row { layout.padding } else { 0 };
            let from = Access {
                buffer,
                strides: steps,
                lane_type: LaneType::Float,
                padding: slack,
                index: None,
            };
            Some(CheckedBuffer { sizes, from })
        });
        let looked = looked.collect();
        let buffer = self.buffers.of[&node];
        let to = Access {
            buffer,
            strides: vec![1],
            lane_type: LaneType::Float,
            padding: 0,
            index: None,
        };
        let value = self.formulas.push(Term::Reduced(0));
        AllFinite { buffers: looked, store: Store { to, value } }
    }
}
