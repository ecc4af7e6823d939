//! Lowering: kernels become programs of loops and vector instructions for a target.
//!
//! Takes a kernel and a [`Target`]; produces a [`Program`] that computes every
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

use crate::buffer::Layout;
use crate::expr::scalar::LaneType;
use crate::kernel::{Access, Body, Kernel, Product};
use crate::program::Program;
use crate::target::Target;
use tiling::Tiling;

/// The program of a kernel.
pub fn lower(kernel: &Kernel, target: &Target) -> Program {
    match &kernel.body {
        Body::Rows(rows) => rows::lower(kernel, rows, target),
        Body::Columns(columns) => columns::lower(kernel, columns, target),
        Body::Product(product) => product::lower(kernel, product, target),
        Body::Scatter(scatter) => scatter::lower(kernel, scatter, target),
        Body::AllFinite(all) => all_finite::lower(kernel, all, target),
    }
}

/// The memory that a kernel needs for sums that do not stay in registers.
pub(crate) struct SpilledSums {
    /// How they are reached: for a buffer that has no number yet.
    pub access: Access,
    /// How they lie; `None` where it is as in the buffer that `access` names.
    pub layout: Option<Layout>,
    /// How many such buffers there are, one for each level of the sum.
    pub levels: usize,
}

/// What a kernel needs for sums that lie in memory for a while: sums of products between the
/// blocks of k in which they are made, tables for the pieces of a scatter's sums. `None` for
/// kernels without such sums.
pub(crate) fn spilled_sums(kernel: &Kernel, target: &Target) -> Option<SpilledSums> {
    match &kernel.body {
        Body::Product(product) => {
            let levels = Tiling::new(kernel, product, target).partial_sums(product);
            let (layout, access) = partial_sums_layout(product, kernel.sums_columns());
            Some(SpilledSums { access, layout: Some(layout), levels })
        }
        Body::Scatter(scatter) => {
            let levels = scatter::partial_tables(scatter);
            Some(SpilledSums { access: scatter.store.to.clone(), layout: None, levels })
        }
        Body::Rows(_) | Body::Columns(_) | Body::AllFinite(_) => None,
    }
}

/// How the sums of a product lie between blocks of k, in buffers of their own; for a buffer that
/// has no number yet.
fn partial_sums_layout(product: &Product, sums_columns: bool) -> (Layout, Access) {
    // One more row for the sums of columns.
    let rows = product.rows + usize::from(sums_columns);
    let layout = Layout::padded(&[rows, product.columns]);
    let mut strides = vec![0; product.axes()];
    strides[product.rows_axis()] = layout.strides[0];
    strides[product.columns_axis()] = layout.strides[1];
    let padding = if product.columns > 1 { layout.padding } else { 0 };
    let access =
        Access { buffer: usize::MAX, strides, lane_type: LaneType::Float, padding, index: None };
    (layout, access)
}

/// Partial results of a reduction along a row, whatever the width of vectors.
pub const PARTIAL_SUMS: usize = 16;
