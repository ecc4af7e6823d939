//! Kernels to programs: loops, vectors, registers.
//!
//! Takes a kernel and an [`Isa`]; produces a [`Program`] that computes every
//! element by the same sequence of roundings whatever the width: products are
//! chains in ascending order, reductions along a row are 16 partial results
//! combined by one tree, other reductions go in ascending order.

mod all_finite;
mod columns;
mod product;
mod rows;
mod scatter;
mod tiling;
mod turned;
mod writer;

use super::program::Program;
use super::scalar::Kind;
use super::{Access, Body, Kernel, Product};
use crate::codegen::isa::Isa;
use crate::fuse::Fused;
use crate::tensor::{Home, Layout, Tensor};
use tiling::Tiling;

/// The program of a kernel.
pub fn lower(kernel: &Kernel, isa: &Isa) -> Program {
    match &kernel.body {
        Body::Rows(rows) => rows::lower(kernel, rows, isa),
        Body::Columns(columns) => columns::lower(kernel, columns, isa),
        Body::Product(product) => product::lower(kernel, product, isa),
        Body::Scatter(scatter) => scatter::lower(kernel, scatter, isa),
        Body::AllFinite(all) => all_finite::lower(kernel, all, isa),
    }
}

/// Gives memory to the products whose sums are made in parts, for lowering to
/// an instruction set: between the parts they lie there. Without it, sums are
/// made in one go.
pub fn reserve(fused: &mut Fused, isa: &Isa) {
    for kernel in &mut fused.kernels {
        let sums_columns = kernel.sums_columns();
        let Body::Product(product) = &kernel.body else { continue };
        if !Tiling::new(kernel, product, isa).needs_partial(product) {
            continue;
        }
        let (layout, partial) = partial(product, sums_columns, fused.tensors.len());
        let name = format!("parts of {}", kernel.name);
        let node = kernel.nodes[0];
        fused.tensors.push(Tensor { name, node, layout, home: Home::Arena });
        if let Body::Product(product) = &mut kernel.body {
            product.partial = Some(partial);
        }
    }
}

/// How the sums of a product lie between their parts, in a tensor of their own.
fn partial(product: &Product, sums_columns: bool, tensor: usize) -> (Layout, Access) {
    // One more row for the sums of columns.
    let rows = product.rows + usize::from(sums_columns);
    let layout = Layout::padded(&[rows, product.columns]);
    let mut steps = vec![0; product.axes()];
    steps[product.rows_axis()] = layout.strides[0];
    steps[product.columns_axis()] = layout.strides[1];
    let slack = if product.columns > 1 { layout.slack } else { 0 };
    let access = Access { tensor, steps, kind: Kind::Float, slack, index: None };
    (layout, access)
}

/// Partial results of a reduction along a row, whatever the width of vectors.
pub const PARTIAL: usize = 16;
