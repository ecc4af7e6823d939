//! Lowering: kernels become programs of loops and vector instructions for a target.
//!
//! Takes a kernel and a [`Target`]; produces a [`Program`] that computes every
//! element by the same sequence of roundings for any vector width: sums are blocked
//! ([`blocks`]), and reductions along a row are 16 partial results
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
    /// The access to each buffer, which has no number yet.
    pub access: Access,
    /// The layout of each; `None` for that of the buffer that `access` names.
    pub layout: Option<Layout>,
    /// The number of such buffers, one for each level of the sum.
    pub levels: usize,
}

/// The partial sums that a kernel keeps in memory: those of a product between blocks of k, and
/// the tables for the pieces of a scatter's sums. `None` for other kinds of kernels.
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

/// The layout of a product's partial sums between blocks of k, and the access to a buffer of
/// them, which has no number yet.
fn partial_sums_layout(product: &Product, sums_columns: bool) -> (Layout, Access) {
    // One more row for the sums of columns.
    let rows = product.rows + usize::from(sums_columns);
    let layout = Layout::padded(&[rows, product.columns]);
    let mut strides = vec![0; product.axes()];
    strides[product.rows_axis()] = layout.strides[0] as isize;
    strides[product.columns_axis()] = layout.strides[1] as isize;
    let padding = if product.columns > 1 { layout.padding } else { 0 };
    (layout, Access { padding, ..Access::of(usize::MAX, strides, LaneType::Float) })
}

/// Partial results of a reduction along a row, for any width of vectors.
pub const PARTIAL_SUMS: usize = 16;
