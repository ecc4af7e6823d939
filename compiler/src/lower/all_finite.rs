//! Lowering of the check for finite values.
//!
//! All elements of some buffers, each multiplied by 0 and added up: the sum is 0
//! where all are finite, else NaN, and so it is in any order.

use super::writer::{Point, Writer};
use crate::expr::scalar::{LaneType, Reduction, Scalar};
use crate::kernel::{AllFinite, Kernel};
use crate::program::{Instruction, Program, Register};
use crate::target::Target;

/// Sums side by side: each waits for its last addition.
const SUMS: usize = 4;

/// Up to so many elements are looked at one by one, in all lanes at once: adding
/// up lanes would take longer than that.
const FEW: usize = 16;

pub(super) fn lower(kernel: &Kernel, all: &AllFinite, target: &Target) -> Program {
    match all.element_count() {
        ..=FEW => one_by_one(kernel, all, target),
        _ => in_vectors(kernel, all, target),
    }
}

fn one_by_one(kernel: &Kernel, all: &AllFinite, target: &Target) -> Program {
    // Vectors run along an axis behind all others, on which nothing moves.
    let last = all.buffers.iter().map(|looked| looked.sizes.len()).max().unwrap_or(0);
    let mut w = Writer::new(kernel, target, last + 1, last, |_| 0);
    w.open_parallel(1, None);
    let zero = w.start(0f32.to_bits());
    let sums = all.element_count().clamp(1, SUMS);
    let sums: Vec<Register> = (0..sums).map(|_| w.start(0f32.to_bits())).collect();
    let mut sum = sums.iter().cycle();
    for looked in &all.buffers {
        let missing = last - looked.sizes.len();
        let mut from = looked.from.clone();
        from.strides.splice(..0, vec![0; missing]);
        from.strides.push(0);
        for element in 0..looked.sizes.iter().product() {
            let (mut offsets, mut rest) = (vec![0; last + 1], element);
            for (axis, size) in looked.sizes.iter().enumerate().rev() {
                offsets[missing + axis] = rest % size;
                rest /= size;
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

/// Stores the first lane of all sums together.
fn finish(mut w: Writer<'_>, all: &AllFinite, sums: &[Register], last: usize) -> Program {
    sums[1..].iter().for_each(|sum| w.combine(Reduction::Sum, sums[0], *sum));
    let mut to = all.store.to.clone();
    to.strides.splice(..0, vec![0; last]);
    w.store_register(&to, &Point { offsets: vec![0; last + 1], lanes: 1 }, sums[0]);
    w.close();
    w.finish()
}

fn in_vectors(kernel: &Kernel, all: &AllFinite, target: &Target) -> Program {
    let axes = all.buffers.iter().map(|looked| looked.sizes.len()).max().unwrap_or(1);
    let last = axes - 1;
    let mut w = Writer::new(kernel, target, axes, last, |_| 0);
    w.open_parallel(1, None);
    let zero = w.start(0f32.to_bits());
    let sums: Vec<Register> = (0..SUMS).map(|_| w.start(0f32.to_bits())).collect();
    for looked in &all.buffers {
        // Its axes are the last of the kernel's.
        let missing = axes - looked.sizes.len();
        let mut from = looked.from.clone();
        from.strides.splice(..0, vec![0; missing]);
        let Some((row, outer)) = looked.sizes.split_last() else { continue };
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
        let whole = row / block;
        if whole > 0 {
            w.open(whole, Some((last, block)));
            let points = w.points(axes, 0, block);
            add(&mut w, points);
            w.close();
        }
        let rest = w.points(axes, whole * block, row % block);
        add(&mut w, rest);
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
