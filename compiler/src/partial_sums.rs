//! Allocates buffers for partial sums that do not stay in registers while a kernel runs.
//!
//! Takes fused kernels; adds a buffer of the arena to a kernel for each level of its sums that
//! lowering will spill. Runs between fusion and memory planning, so that they are planned like
//! other buffers.

use crate::buffer::{Buffer, Storage};
use crate::fuse::Fused;
use crate::kernel::{Access, Body};
use crate::lower::spilled_sums;
use crate::target::Target;

/// Allocates the partial sums of all kernels.
pub fn allocate(fused: &mut Fused, target: &Target) {
    for kernel in &mut fused.kernels {
        let Some(spilled) = spilled_sums(kernel, target) else { continue };
        let mut partial_sums = Vec::new();
        for level in 1..=spilled.levels {
            let name = format!("partial sums {level} of {}", kernel.name);
            partial_sums.push(Access { buffer: fused.buffers.len(), ..spilled.access.clone() });
            let same_layout = || fused.buffers[spilled.access.buffer].layout.clone();
            let layout = spilled.layout.clone().unwrap_or_else(same_layout);
            fused.buffers.push(Buffer { name, is_given: false, layout, storage: Storage::Arena });
        }
        match &mut kernel.body {
            Body::Product(product) => product.partial_sums = partial_sums,
            Body::Scatter(scatter) => scatter.partial_sums = partial_sums,
            Body::Rows(_) | Body::Columns(_) | Body::AllFinite(_) => {}
        }
    }
}
