//! All elements of some tensors, each multiplied by 0 and added up: the sum is 0
//! where all are finite, else NaN, and so it is in any order.

use super::writer::{Point, Writer};
use crate::codegen::isa::Isa;
use crate::kernel::program::{Instruction, Program, Register};
use crate::kernel::scalar::{Kind, Scalar};
use crate::kernel::{AllFinite, Kernel};

/// Sums side by side: each waits for its last addition.
const SUMS: usize = 4;

pub(super) fn lower(kernel: &Kernel, all: &AllFinite, isa: &Isa) -> Program {
    let axes = all.looked.iter().map(|looked| looked.sizes.len()).max().unwrap_or(1);
    let last = axes - 1;
    let mut w = Writer::new(kernel, isa, axes, last, |_| 0);
    w.open_parallel(1, None);
    let zero = w.start(0f32.to_bits());
    let sums: Vec<Register> = (0..SUMS).map(|_| w.start(0f32.to_bits())).collect();
    for looked in &all.looked {
        // Its axes are the last of the kernel's.
        let missing = axes - looked.sizes.len();
        let mut from = looked.from.clone();
        from.steps.splice(..0, vec![0; missing]);
        let Some((row, outer)) = looked.sizes.split_last() else { continue };
        for (i, size) in outer.iter().enumerate() {
            w.open(*size, Some((missing + i, 1)));
        }
        let add = |w: &mut Writer<'_>, points: Vec<Point>| {
            for (i, point) in points.iter().enumerate() {
                let mut x = w.register(Kind::Float);
                let load = w.load(x, &from, point);
                w.push(load);
                if point.lanes < isa.lanes {
                    let (to, bits) = (w.register(Kind::Float), 0f32.to_bits());
                    w.push(Instruction::Keep { to, from: x, lanes: point.lanes, bits });
                    x = to;
                }
                let to = sums[i % SUMS];
                let operands = [x, zero, to].into();
                w.push(Instruction::Apply { to, scalar: Scalar::MulAdd, operands });
            }
        };
        let block = SUMS * isa.lanes;
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
    let add = |w: &mut Writer<'_>, to, x| {
        let operands = [to, x].into();
        w.push(Instruction::Apply { to, scalar: Scalar::Add, operands });
    };
    for sum in &sums[1..] {
        add(&mut w, sums[0], *sum);
    }
    let mut by = isa.lanes / 2;
    while by > 0 {
        let rotated = w.register(Kind::Float);
        w.push(Instruction::Rotate { to: rotated, from: sums[0], by });
        add(&mut w, sums[0], rotated);
        by /= 2;
    }
    let mut to = all.store.to.clone();
    to.steps.splice(..0, vec![0; last]);
    w.put(&to, &Point { offsets: vec![0; axes], lanes: 1 }, sums[0]);
    w.close();
    w.finish()
}
