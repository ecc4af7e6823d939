//! Lowering of row kernels: reductions along the last axis, and maps.

use super::blocks::{self, LEAF, Span};
use super::writer::{Point, Writer};
use super::{PARTIAL_SUMS, transpose};
use crate::expr::Expr;
use crate::expr::scalar::{LaneType, Reduction};
use crate::faults::{self, Fault};
use crate::kernel::{Kernel, Rows, Store};
use crate::program::{Instruction, Program, Register};
use crate::target::Target;

/// Rows up to this length are unrolled: then the values of one stage are still in registers
/// in the next.
const UNROLLED: usize = PARTIAL_SUMS;

pub(super) fn lower(kernel: &Kernel, rows: &Rows, target: &Target) -> Program {
    let inner = rows.outer.len();
    // Reductions depend on all axes but the last.
    let mut w = Writer::new(kernel, target, inner + 1, inner, |_| (1 << inner) - 1);
    if rows.outer.is_empty() && rows.stages.is_empty() && rows.inner > UNROLLED {
        long_map(&mut w, rows);
        return w.finish();
    }
    if rows.stages.is_empty() && transpose::applies(kernel, rows, target) {
        transpose::lower(&mut w, rows);
        return w.finish();
    }
    match rows.outer.is_empty() {
        true => w.open_parallel(1, None),
        false => w.open_outer(&rows.outer),
    }
    let mut number = 0;
    for stage in &rows.stages {
        let results = reduce(&mut w, rows, stage);
        let row = Point { offsets: vec![0; inner + 1], lanes: target.lanes };
        for result in results {
            w.set_reduced(number, &row, result);
            number += 1;
        }
    }
    stores(&mut w, rows);
    w.close_outer(rows.outer.len().max(1));
    w.finish()
}

/// A map along one axis: its vectors are split across threads.
fn long_map(w: &mut Writer<'_>, rows: &Rows) {
    let lanes = w.target.lanes;
    let vectors = rows.inner / lanes;
    w.open_parallel(vectors, Some((0, lanes)));
    write(w, &rows.stores, &w.points(1, 0, lanes));
    w.close();
    let tail = rows.inner % lanes;
    if tail > 0 {
        w.open_parallel(1, None);
        write(w, &rows.stores, &w.points(1, vectors * lanes, tail));
        w.close();
    }
}

pub(super) fn write(w: &mut Writer<'_>, stores: &[Store], points: &[Point]) {
    for point in points {
        for store in stores {
            w.store(store, point);
        }
    }
}

fn stores(w: &mut Writer<'_>, rows: &Rows) {
    let axis = rows.outer.len();
    let (row, full): (Vec<Store>, Vec<Store>) =
        rows.stores.iter().cloned().partition(|s| s.to.strides[axis] == 0);
    write(w, &row, &w.points(axis + 1, 0, 1));
    if full.is_empty() {
        return;
    }
    let lanes = w.target.lanes;
    if rows.inner <= UNROLLED {
        write(w, &full, &w.points(axis + 1, 0, rows.inner));
        return;
    }
    let vectors = rows.inner / lanes;
    w.open(vectors, Some((axis, lanes)));
    write(w, &full, &w.points(axis + 1, 0, lanes));
    w.close();
    write(w, &full, &w.points(axis + 1, vectors * lanes, rows.inner % lanes));
}

/// The registers of a stage's results, in all lanes.
fn reduce(w: &mut Writer<'_>, rows: &Rows, stage: &[(Reduction, Expr)]) -> Vec<Register> {
    let axis = rows.outer.len();
    let lanes = w.target.lanes;
    let vectors = PARTIAL_SUMS / lanes;
    let reductions: Vec<Reduction> = stage.iter().map(|(reduction, _)| *reduction).collect();

    // Combines `elements` elements from `first` on with the partial results, at most one each.
    let accumulate = |w: &mut Writer<'_>, first, elements, partial: &[Vec<Register>]| {
        for (slot, point) in w.points(axis + 1, first, elements).iter().enumerate() {
            for ((reduction, e), partial) in stage.iter().zip(partial) {
                let mut value = w.value(*e, point);
                if point.lanes < lanes && !faults::is(Fault::UnblendedTail) {
                    let blended = w.register(LaneType::Float);
                    let bits = reduction.identity();
                    w.push(Instruction::Blend {
                        to: blended,
                        from: value,
                        lanes: point.lanes,
                        bits,
                    });
                    value = blended;
                }
                w.combine(*reduction, partial[slot], value);
            }
        }
    };
    // An unrolled row has no loop: its values stay known after the reduction.
    let looped = rows.inner > UNROLLED;
    let full_chunks = if looped { rows.inner / PARTIAL_SUMS } else { 0 };
    let span = Span { unit: PARTIAL_SUMS, ..Span::all(axis, full_chunks) };
    let mut chain = |w: &mut Writer<'_>, spans: &[Span], partial: &[Vec<Register>]| {
        let Span { first, count, .. } = spans[0];
        if looped {
            w.open(count, Some((axis, PARTIAL_SUMS)));
            accumulate(w, first * PARTIAL_SUMS, PARTIAL_SUMS, partial);
            w.close();
        }
    };
    let partial = blocks::reduce(w, &[span], LEAF, &reductions, vectors, &mut chain);
    // The remainder of a row is one more term of some of the sums.
    accumulate(w, full_chunks * PARTIAL_SUMS, rows.inner - full_chunks * PARTIAL_SUMS, &partial);

    let tree = |w: &mut Writer<'_>, (reduction, partial): (Reduction, &Vec<Register>)| {
        let mut half = vectors / 2;
        while half > 0 {
            for i in 0..half {
                w.combine(reduction, partial[i], partial[i + half]);
            }
            half /= 2;
        }
        let mut by = lanes / 2;
        let least = if faults::is(Fault::HalfTree) { 1 } else { 0 };
        while by > least {
            let rotated = w.register(LaneType::Float);
            w.push(Instruction::Rotate { to: rotated, from: partial[0], by });
            w.combine(reduction, partial[0], rotated);
            by /= 2;
        }
        partial[0]
    };
    stage.iter().zip(&partial).map(|((reduction, _), p)| tree(w, (*reduction, p))).collect()
}
