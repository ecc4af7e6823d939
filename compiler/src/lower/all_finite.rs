//! Lowering of the check for finite values.
//!
//! The sum of all elements of some buffers, each multiplied by 0: it is 0
//! if all are finite, else NaN, in any order.

use super::writer::{Point, Writer};
use crate::expr::scalar::{LaneType, Reduction, Scalar};
use crate::faults::{self, Fault};
use crate::kernel::{AllFinite, Kernel};
use crate::program::{Instruction, Program, Register};
use crate::target::Target;

/// Independent sums, to hide the latency of additions.
const SUMS: usize = 4;

/// Up to this number of elements, each is broadcast to all lanes: a reduction over lanes
/// would take longer.
const MOST_SCALARS: usize = 16;

pub(super) fn lower(kernel: &Kernel, all: &AllFinite, target: &Target) -> Program {
    match all.element_count() {
        ..=MOST_SCALARS => broadcast_elements(kernel, all, target),
        _ => vectorized(kernel, all, target),
    }
}

fn broadcast_elements(kernel: &Kernel, all: &AllFinite, target: &Target) -> Program {
    // Vectors run along an additional last axis, on which all strides are 0.
    let last = all.buffers.iter().map(|checked| checked.sizes.len()).max().unwrap_or(0);
    let mut w = Writer::new(kernel, target, last + 1, last, |_| 0);
    w.open_parallel(1, None);
    let zero = w.start(0f32.to_bits());
    let sums = all.element_count().clamp(1, SUMS);
    let sums: Vec<Register> = (0..sums).map(|_| w.start(0f32.to_bits())).collect();
    let mut sum = sums.iter().cycle();
    for checked in &all.buffers {
        let missing = last - checked.sizes.len();
        let mut from = checked.from.clone();
        from.strides.splice(..0, vec![0; missing]);
        from.strides.push(0);
        let elements: usize = checked.sizes.iter().product();
        let untested = usize::from(faults::is(Fault::GuardElement) && elements > 1);
        for element in 0..elements - untested {
            let (mut offsets, mut index) = (vec![0; last + 1], element);
            for (axis, size) in checked.sizes.iter().enumerate().rev() {
                offsets[missing + axis] = index % size;
                index /= size;
            }
            let x = w.register(LaneType::Float);
            let load = w.load(x, &from, &Point { offsets, lanes: target.lanes });
            w.push(load);
            if let Some(to) = sum.next() {
                let operands = [x, zero, *to].into();
                w.push(Instruction::Apply { to: *to, scalar: Scalar::MulAdd, operands });
            }
        }
    }
    finish(w, all, &sums, last)
}

/// Adds up the sums, and stores the first lane.
fn finish(mut w: Writer<'_>, all: &AllFinite, sums: &[Register], last: usize) -> Program {
    sums[1..].iter().for_each(|sum| w.combine(Reduction::Sum, sums[0], *sum));
    let mut to = all.store.to.clone();
    to.strides.splice(..0, vec![0; last]);
    w.store_register(&to, &Point { offsets: vec![0; last + 1], lanes: 1 }, sums[0]);
    w.close();
    w.finish()
}

fn vectorized(kernel: &Kernel, all: &AllFinite, target: &Target) -> Program {
    let axes = all.buffers.iter().map(|checked| checked.sizes.len()).max().unwrap_or(1);
    let last = axes - 1;
    let mut w = Writer::new(kernel, target, axes, last, |_| 0);
    w.open_parallel(1, None);
    let zero = w.start(0f32.to_bits());
    let sums: Vec<Register> = (0..SUMS).map(|_| w.start(0f32.to_bits())).collect();
    for checked in &all.buffers {
        // Its axes are the last of the kernel's.
        let missing = axes - checked.sizes.len();
        let mut from = checked.from.clone();
        from.strides.splice(..0, vec![0; missing]);
        let Some((row, outer)) = checked.sizes.split_last() else { continue };
        for (i, size) in outer.iter().enumerate() {
            w.open(*size, Some((missing + i, 1)));
        }
        let add = |w: &mut Writer<'_>, points: Vec<Point>| {
            for (i, point) in points.iter().enumerate() {
                let mut x = w.register(LaneType::Float);
                let load = w.load(x, &from, point);
                w.push(load);
                if point.lanes < target.lanes {
                    let (to, bits) = (w.register(LaneType::Float), 0f32.to_bits());
                    w.push(Instruction::Blend { to, from: x, lanes: point.lanes, bits });
                    x = to;
                }
                let to = sums[i % SUMS];
                let operands = [x, zero, to].into();
                w.push(Instruction::Apply { to, scalar: Scalar::MulAdd, operands });
            }
        };
        let block = SUMS * target.lanes;
        let full_blocks = row / block;
        if full_blocks > 0 {
            w.open(full_blocks, Some((last, block)));
            let points = w.points(axes, 0, block);
            add(&mut w, points);
            w.close();
        }
        let remainder = w.points(axes, full_blocks * block, row % block);
        add(&mut w, remainder);
        w.close_outer(outer.len());
    }
    for sum in &sums[1..] {
        w.combine(Reduction::Sum, sums[0], *sum);
    }
    let mut by = target.lanes / 2;
    while by > 0 {
        let rotated = w.register(LaneType::Float);
        w.push(Instruction::Rotate { to: rotated, from: sums[0], by });
        w.combine(Reduction::Sum, sums[0], rotated);
        by /= 2;
    }
    finish(w, all, &sums[..1], last)
}
