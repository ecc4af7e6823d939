//! Lowering of reductions over an axis that is not the last.
//!
//! Each lane has a chain of its own, and several vectors are reduced side by side to
//! hide the latency.

use super::blocks::{self, LEAF, Span};
use super::writer::{Point, Writer};
use crate::expr::scalar::Reduction;
use crate::kernel::{Columns, Kernel};
use crate::program::{Program, Register};
use crate::target::Target;

/// Vectors that are reduced side by side.
const VECTORS: usize = 4;

pub(super) fn lower(kernel: &Kernel, columns: &Columns, target: &Target) -> Program {
    let outer = &columns.outer;
    let vector_axis = outer.len() - 1;
    let axes = outer.len() + 1;
    let mut w = Writer::new(kernel, target, axes, vector_axis, |_| (1 << outer.len()) - 1);
    let around = &outer[..vector_axis];
    w.open_outer(around);

    let n = outer[vector_axis];
    let block = VECTORS * target.lanes;
    let full_blocks = n / block;
    let open = |w: &mut Writer<'_>, count, along| match around.is_empty() {
        true => w.open_parallel(count, along),
        false => w.open(count, along),
    };
    if full_blocks > 0 {
        open(&mut w, full_blocks, Some((vector_axis, block)));
        let points = w.points(axes, 0, block);
        reduce(&mut w, columns, &points);
        w.close();
    }
    let remainder = w.points(axes, full_blocks * block, n % block);
    if !remainder.is_empty() {
        open(&mut w, 1, None);
        reduce(&mut w, columns, &remainder);
        w.close();
    }
    w.close_outer(around.len());
    w.finish()
}

fn reduce(w: &mut Writer<'_>, columns: &Columns, points: &[Point]) {
    let axis = columns.outer.len();
    let reductions: Vec<Reduction> = columns.reductions.iter().map(|(r, _)| *r).collect();
    let mut chain = |w: &mut Writer<'_>, spans: &[Span], sums: &[Vec<Register>]| {
        let Span { first, count, .. } = spans[0];
        w.open(count, Some((axis, 1)));
        for (i, point) in points.iter().enumerate() {
            let mut at = point.clone();
            at.offsets[axis] = first;
            for ((reduction, e), sums) in columns.reductions.iter().zip(sums) {
                let value = w.value(*e, &at);
                w.combine(*reduction, sums[i], value);
            }
        }
        w.close();
    };
    let span = Span::all(axis, columns.reduced);
    let sums = blocks::reduce(w, &[span], LEAF, &reductions, points.len(), &mut chain);
    for (i, point) in points.iter().enumerate() {
        for (number, sums) in sums.iter().enumerate() {
            w.set_reduced(number, point, sums[i]);
        }
    }
    for point in points {
        for store in &columns.stores {
            w.store(store, point);
        }
    }
}
