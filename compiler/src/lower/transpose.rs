//! Lowering of maps that read a matrix by columns: transposes in registers.
//!
//! Squares of as many rows as there are lanes are loaded along columns and transposed in
//! registers, instead of loaded element by element.

use super::rows::write;
use super::writer::{Point, Writer};
use crate::expr::scalar::LaneType;
use crate::expr::{Expr, Term};
use crate::faults::{self, Fault};
use crate::kernel::{Access, Kernel, Rows};
use crate::program::{Instruction, Register};
use crate::target::Target;

/// Whether a map reads a matrix by columns, has full squares, and the target transposes them
/// fast.
pub(super) fn applies(kernel: &Kernel, rows: &Rows, target: &Target) -> bool {
    let squares =
        rows.outer.last().is_some_and(|n| *n >= target.lanes) && rows.inner >= target.lanes;
    let in_order = rows.stores.iter().all(|s| s.to.strides[rows.outer.len()] == 1);
    squares
        && in_order
        && target.has_fast_transpose
        && kernel.loads.iter().any(|load| by_columns(load, rows))
}

fn by_columns(load: &Access, rows: &Rows) -> bool {
    let inner = rows.outer.len();
    let is_plain = load.lane_type == LaneType::Float && load.index.is_none();
    is_plain && load.strides[inner] > 1 && load.strides[inner - 1] == 1
}

pub(super) fn lower(w: &mut Writer<'_>, rows: &Rows) {
    let lanes = w.target.lanes;
    let axis = rows.outer.len();
    let Some((last, around)) = rows.outer.split_last() else { return };
    w.open_outer(around);
    let open = |w: &mut Writer<'_>, count, along| match around.is_empty() {
        true => w.open_parallel(count, Some(along)),
        false => w.open(count, Some(along)),
    };
    let (down, right) = (last / lanes, rows.inner / lanes);
    open(w, down, (axis - 1, lanes));
    w.open(right, Some((axis, lanes)));
    square(w, rows);
    w.close();
    // The columns right of the squares; then the rows below them.
    let tail = w.points(axis + 1, right * lanes, rows.inner % lanes);
    for row in 0..lanes {
        write(w, &rows.stores, &at_row(&tail, axis, row));
    }
    w.close();
    if last % lanes > 0 {
        open(w, last % lanes, (axis - 1, 1));
        let first = down * lanes;
        w.open(right, Some((axis, lanes)));
        let vectors = w.points(axis + 1, 0, lanes);
        write(w, &rows.stores, &at_row(&vectors, axis, first));
        w.close();
        write(w, &rows.stores, &at_row(&tail, axis, first));
        w.close();
    }
    w.close_outer(around.len());
}

fn at_row(points: &[Point], axis: usize, row: usize) -> Vec<Point> {
    let mut points = points.to_vec();
    points.iter_mut().for_each(|point| point.offsets[axis - 1] = row);
    points
}

/// A square: as many rows as there are lanes, and a vector of each.
fn square(w: &mut Writer<'_>, rows: &Rows) {
    let lanes = w.target.lanes;
    let axis = rows.outer.len();
    let kernel = w.kernel;
    let vectors = w.points(axis + 1, 0, lanes);
    let loads: Vec<(Expr, &Access)> = kernel
        .formulas
        .iter()
        .filter_map(|(e, term)| match term {
            Term::Load(i, _) => Some((e, &kernel.loads[*i])),
            _ => None,
        })
        .filter(|(_, load)| by_columns(load, rows))
        .collect();
    for (e, load) in loads {
        let mut columns: Vec<Register> = Vec::new();
        for column in 0..lanes {
            let mut at = vectors[0].clone();
            at.offsets[axis] = column;
            let to = w.register(LaneType::Float);
            let load = w.load_along(to, load, &at, axis - 1);
            w.push(load);
            columns.push(to);
        }
        // Each round moves a bit of a register's number to the lanes' number,
        // and one back.
        for _ in 0..lanes.ilog2() {
            let half = lanes / 2;
            let mut next = Vec::new();
            for i in 0..half {
                for upper in [false, true] {
                    let to = w.register(LaneType::Float);
                    let from = [columns[i], columns[i + half]];
                    w.push(Instruction::Interleave { to, from, upper });
                    next.push(to);
                }
            }
            columns = next;
        }
        if faults::is(Fault::TransposedSquare) {
            columns.swap(0, 1);
        }
        for (row, register) in columns.into_iter().enumerate() {
            w.set_value(e, &at_row(&vectors, axis, row)[0], register);
        }
    }
    for row in 0..lanes {
        write(w, &rows.stores, &at_row(&vectors, axis, row));
    }
}
