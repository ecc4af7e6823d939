//! Rows added up where an index says: per block of columns, the block of the
//! table is cleared, then positions come in order, each added to its row in
//! memory. Which rows meet is not known before, so that threads share columns
//! and never positions; each element is one chain of additions in ascending
//! order, whatever the block.

use super::writer::{Point, Writer};
use crate::codegen::isa::Isa;
use crate::kernel::program::{Instruction, Program};
use crate::kernel::scalar::{Kind, Scalar};
use crate::kernel::{Access, Indexed, Kernel, Scatter};

/// Columns of a block: two cache lines, which a processor fetches together.
const BLOCK: usize = 32;

pub(super) fn lower(kernel: &Kernel, scatter: &Scatter, isa: &Isa) -> Program {
    let axis = scatter.columns_axis();
    let mut w = Writer::new(kernel, isa, axis + 1, axis, |_| 0);
    let whole = scatter.columns / BLOCK;
    if whole > 0 {
        w.open_parallel(whole, Some((axis, BLOCK)));
        let points = w.points(axis + 1, 0, BLOCK);
        block(&mut w, scatter, &points);
        w.close();
    }
    let rest = w.points(axis + 1, whole * BLOCK, scatter.columns % BLOCK);
    if !rest.is_empty() {
        w.open_parallel(1, None);
        block(&mut w, scatter, &rest);
        w.close();
    }
    w.finish()
}

fn block(w: &mut Writer<'_>, scatter: &Scatter, points: &[Point]) {
    let rows_axis = scatter.rows_axis();
    let table = &scatter.store.to;
    let zero = w.start(0f32.to_bits());
    w.open(scatter.rows, Some((rows_axis, 1)));
    for point in points {
        w.put(table, point, zero);
    }
    w.close();

    let mut row = table.clone();
    let step = std::mem::take(&mut row.steps[rows_axis]);
    row.index = Some(Box::new(Indexed { at: scatter.index.clone(), step, below: scatter.rows }));
    for (i, size) in scatter.positions.iter().enumerate() {
        w.open(*size, Some((i, 1)));
    }
    for point in points {
        add(w, scatter, &row, point);
    }
    w.close_outer(scatter.positions.len());
}

fn add(w: &mut Writer<'_>, scatter: &Scatter, row: &Access, point: &Point) {
    let value = w.value(scatter.store.value, point);
    let (before, sum) = (w.register(Kind::Float), w.register(Kind::Float));
    let load = w.load(before, row, point);
    w.push(load);
    w.push(Instruction::Apply { to: sum, scalar: Scalar::Add, operands: [before, value].into() });
    w.put(row, point, sum);
}
