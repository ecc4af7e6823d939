//! Kernels to programs: loops, vectors, registers.
//!
//! Takes a kernel and an [`Isa`]; produces a [`Program`] that computes every
//! element by the same sequence of roundings whatever the width: products are
//! chains in ascending order, reductions along a row are 16 partial results
//! combined by one tree, other reductions go in ascending order.

mod columns;
mod product;
mod rows;
mod writer;

use super::program::Program;
use super::{Body, Kernel};
use crate::codegen::isa::Isa;

/// The program of a kernel.
pub fn lower(kernel: &Kernel, isa: &Isa) -> Program {
    match &kernel.body {
        Body::Rows(rows) => rows::lower(kernel, rows, isa),
        Body::Columns(columns) => columns::lower(kernel, columns, isa),
        Body::Product(product) => product::lower(kernel, product, isa),
    }
}

/// Partial results of a reduction along a row, whatever the width of vectors.
pub const PARTIAL: usize = 16;
