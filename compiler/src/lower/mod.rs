//! Kernels to programs: loops, vectors, registers.
//!
//! Takes a kernel and an [`Isa`]; produces a [`Program`] that computes every
//! element by the same sequence of roundings whatever the width: sums are added
//! in blocks as [`blocks`] says, and reductions along a row are 16 partial results
//! of that kind, combined by one tree.

mod all_finite;
pub mod blocks;
mod columns;
mod product;
mod rows;
mod scatter;
mod tiling;
mod transpose;
mod writer;

use crate::buffer::{Buffer, Layout, Storage};
use crate::expr::scalar::LaneType;
use crate::fuse::Fused;
use crate::kernel::{Access, Body, Kernel, Product};
use crate::program::Program;
use crate::target::Target;
use tiling::Tiling;

/// The program of a kernel.
pub fn lower(kernel: &Kernel, isa: &Target) -> Program {
    match &kernel.body {
        Body::Rows(rows) => rows::lower(kernel, rows, isa),
        Body::Columns(columns) => columns::lower(kernel, columns, isa),
        Body::Product(product) => product::lower(kernel, product, isa),
        Body::Scatter(scatter) => scatter::lower(kernel, scatter, isa),
        Body::AllFinite(all) => all_finite::lower(kernel, all, isa),
    }
}

/// Gives memory to the sums that do not fit in registers, for lowering to an
/// instruction set: between their parts, the sums of products that are made in
/// parts, and tables for the pieces of a scatter's sums.
pub fn allocate_partial_sums(fused: &mut Fused, isa: &Target) {
    for kernel in &mut fused.kernels {
        let (layout, access, count) = match &kernel.body {
            Body::Product(product) => {
                let tiling = Tiling::new(kernel, product, isa);
                let (layout, access) = partial_sums_layout(product, kernel.sums_columns());
                (layout, access, tiling.partial_sums(product))
            }
            Body::Scatter(scatter) => {
                let to = &scatter.store.to;
                let layout = fused.buffers[to.buffer].layout.clone();
                (layout, to.clone(), scatter::partial_tables(scatter))
            }
            Body::Rows(_) | Body::Columns(_) | Body::AllFinite(_) => continue,
        };
        let mut partial = Vec::new();
        for level in 1..=count {
            let name = format!("partial sums {level} of {}", kernel.name);
            partial.push(Access { buffer: fused.buffers.len(), ..access.clone() });
            let node = kernel.nodes[0];
            let layout = layout.clone();
            fused.buffers.push(Buffer { name, node, layout, storage: Storage::Arena });
        }
        match &mut kernel.body {
            Body::Product(product) => product.partial_sums = partial,
            Body::Scatter(scatter) => scatter.partial_sums = partial,
            Body::Rows(_) | Body::Columns(_) | Body::AllFinite(_) => {}
        }
    }
}

/// How the sums of a product lie between their parts, in tensors of their own; for
/// a tensor still to be named.
fn partial_sums_layout(product: &Product, sums_columns: bool) -> (Layout, Access) {
    // One more row for the sums of columns.
    let rows = product.rows + usize::from(sums_columns);
    let layout = Layout::padded(&[rows, product.columns]);
    let mut steps = vec![0; product.axes()];
    steps[product.rows_axis()] = layout.strides[0];
    steps[product.columns_axis()] = layout.strides[1];
    let slack = if product.columns > 1 { layout.padding } else { 0 };
    let access = Access {
        buffer: usize::MAX,
        strides: steps,
        kind: LaneType::Float,
        padding: slack,
        index: None,
    };
    (layout, access)
}

/// Partial results of a reduction along a row, whatever the width of vectors.
pub const PARTIAL_SUMS: usize = 16;
