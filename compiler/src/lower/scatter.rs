//! Lowering of scatters (scatter-add): rows are added to the rows of a table by index.
//!
//! For each block of columns, the table's block is cleared, then positions are processed in
//! order, each added to its row in memory. Which positions have the same row is not known at
//! compile time, so threads share columns and never positions.
//!
//! Each element is a blocked sum. With many positions, a piece of them
//! is added up in a table of its own, and that table is then added to the one of the
//! level above. A piece has several positions for each row of the table, so that
//! adding tables takes less time than adding positions.

use super::blocks::{CHAIN, Cut, Span};
use super::writer::{Point, Writer};
use crate::expr::scalar::{LaneType, Reduction, Scalar};
use crate::faults::{self, Fault};
use crate::kernel::{Access, Indexed, Kernel, Scatter};
use crate::program::{Instruction, Program, Register};
use crate::target::Target;

/// Columns of a block: two cache lines, which a processor fetches together.
const BLOCK: usize = 32;
/// Positions of the smallest piece, for each row of the table.
const POSITIONS: usize = 4;

pub(super) fn lower(kernel: &Kernel, scatter: &Scatter, target: &Target) -> Program {
    let axis = scatter.columns_axis();
    let mut w = Writer::new(kernel, target, axis + 1, axis, |_| 0);
    let full_blocks = scatter.columns / BLOCK;
    if full_blocks > 0 {
        w.open_parallel(full_blocks, Some((axis, BLOCK)));
        let points = w.points(axis + 1, 0, BLOCK);
        block(&mut w, scatter, &points);
        w.close();
    }
    let remainder = w.points(axis + 1, full_blocks * BLOCK, scatter.columns % BLOCK);
    if !remainder.is_empty() {
        w.open_parallel(1, None);
        block(&mut w, scatter, &remainder);
        w.close();
    }
    w.finish()
}

/// The largest number of positions that are added sequentially.
fn leaf(scatter: &Scatter) -> usize {
    CHAIN.max(POSITIONS * scatter.rows)
}

fn spans(scatter: &Scatter) -> Vec<Span> {
    scatter.positions.iter().enumerate().map(|(axis, n)| Span::all(axis, *n)).collect()
}

/// The number of tables for the pieces of a scatter's sums, beside the result.
pub(super) fn partial_tables(scatter: &Scatter) -> usize {
    let mut spans = spans(scatter);
    let mut tables = 0;
    while let Some(cut) = Cut::of(&spans, leaf(scatter)) {
        spans = cut.piece(&spans).0;
        tables += 1;
    }
    tables
}

fn block(w: &mut Writer<'_>, scatter: &Scatter, points: &[Point]) {
    let tables: Vec<&Access> =
        [&scatter.store.to].into_iter().chain(&scatter.partial_sums).collect();
    fill(w, scatter, &tables, &spans(scatter), points);
}

/// Adds up some positions in the first of the tables; the others hold pieces.
fn fill(
    w: &mut Writer<'_>,
    scatter: &Scatter,
    tables: &[&Access],
    spans: &[Span],
    points: &[Point],
) {
    let zero = w.start(0f32.to_bits());
    each_row(w, scatter, |w| {
        points.iter().for_each(|point| w.store_register(tables[0], point, zero))
    });
    let Some(cut) = Cut::of(spans, leaf(scatter)) else {
        return add(w, scatter, tables[0], spans, points);
    };
    let (piece, along) = cut.piece(spans);
    w.open(cut.full_pieces, Some(along));
    fill(w, scatter, &tables[1..], &piece, points);
    add_table(w, scatter, tables, points);
    w.close();
    if let Some(remainder) = cut.remainder(spans) {
        fill(w, scatter, &tables[1..], &remainder, points);
        add_table(w, scatter, tables, points);
    }
}

/// Adds the second table to the first.
fn add_table(w: &mut Writer<'_>, scatter: &Scatter, tables: &[&Access], points: &[Point]) {
    each_row(w, scatter, |w| {
        for point in points {
            let [sum, piece] =
                [tables[0], tables[1]].map(|table| load_to_register(w, table, point));
            w.combine(Reduction::Sum, sum, piece);
            w.store_register(tables[0], point, sum);
        }
    });
}

fn each_row(w: &mut Writer<'_>, scatter: &Scatter, write: impl FnOnce(&mut Writer<'_>)) {
    w.open(scatter.rows, Some((scatter.rows_axis(), 1)));
    write(w);
    w.close();
}

fn load_to_register(w: &mut Writer<'_>, access: &Access, point: &Point) -> Register {
    let to = w.register(LaneType::Float);
    let load = w.load(to, access, point);
    w.push(load);
    to
}

/// Adds some positions sequentially to a table.
fn add(w: &mut Writer<'_>, scatter: &Scatter, table: &Access, spans: &[Span], points: &[Point]) {
    let mut row = table.clone();
    let row_stride = std::mem::take(&mut row.strides[scatter.rows_axis()]);
    row.index =
        Some(Box::new(Indexed { at: scatter.index.clone(), row_stride, below: scatter.rows }));
    for span in spans {
        w.open(span.count, Some((span.axis, 1)));
    }
    for point in points {
        let mut at = point.clone();
        spans.iter().for_each(|span| at.offsets[span.axis] = span.first);
        let value = w.value(scatter.store.value, &at);
        let (before, sum) = (load_to_register(w, &row, &at), w.register(LaneType::Float));
        let before = if faults::is(Fault::ScatterOverwrites) { w.start(0) } else { before };
        let operands = [before, value].into();
        w.push(Instruction::Apply { to: sum, scalar: Scalar::Add, operands });
        w.store_register(&row, &at, sum);
    }
    w.close_outer(spans.len());
}
