//! Random programs.

use super::{
    Random, Writer, apply, at, by, check, constant, floats, load, repeat, signed, store, targets,
};
use crate::expr::scalar::{LaneType, Scalar};
use crate::program::{Address, Counter, Instruction, Register, Statement};

/// The number of integers in memory, and their bound.
const INDICES: usize = 250;
const ROWS: usize = 9;

/// Straight-line code and loops of random instructions, over many registers, so that
/// some are carried and some are spilled.
#[test]
fn random_programs_agree() {
    for (lanes, seed) in
        targets().iter().flat_map(|target| (0..200).map(|seed| (target.lanes, seed)))
    {
        let mut random = Random(seed);
        let mut w = Writer::new(lanes);
        let floats_: Vec<Register> =
            (0..6 + random.below(12 + 2 * lanes)).map(|_| w.float()).collect();
        let mut body: Vec<Statement> =
            floats_.iter().enumerate().map(|(i, r)| load(*r, at(0, i, &[]), 1, lanes)).collect();
        let masks: Vec<Register> = (0..7).map(|_| w.register(LaneType::Mask)).collect();
        for (i, mask) in masks.iter().enumerate() {
            body.push(apply(*mask, Scalar::Greater, vec![floats_[i % 5], floats_[i % 3 + 1]]));
        }
        block(&mut random, &mut w, (&floats_, &masks), &mut Vec::new(), &mut body, 0);
        for (i, mask) in masks.iter().enumerate() {
            body.push(apply(floats_[i % 6], Scalar::Select, vec![*mask, floats_[0], floats_[1]]));
        }
        for (i, r) in floats_.iter().enumerate() {
            body.push(store(at(1, lanes * i, &[]), *r, 1, lanes));
        }
        let program = w.finish(&format!("random {seed}"), 3, 1, body);
        let indices = (0..INDICES).map(|_| random.below(ROWS) as u32).collect();
        check(&program, &[floats(600, seed), vec![0; 1200], indices]);
    }
}

/// An address in the middle of buffer 0 that moves forwards or backwards with each loop.
fn either_way(random: &mut Random, strides: &[(Counter, usize)]) -> Address {
    let mut sign = |stride: usize| [stride as isize, -(stride as isize)][random.below(2)];
    let strides: Vec<_> = strides.iter().map(|(counter, s)| (*counter, sign(*s))).collect();
    signed(0, 200 + random.below(100), &strides)
}

fn block(
    random: &mut Random,
    w: &mut Writer,
    (registers, masks): (&[Register], &[Register]),
    around: &mut Vec<Counter>,
    body: &mut Vec<Statement>,
    depth: usize,
) {
    let lanes = w.lanes;
    for _ in 0..3 + random.below(10) {
        let to = registers[random.below(registers.len())];
        let mut any = || registers[random.below(registers.len())];
        let (a, b, c) = (any(), any(), any());
        let strides: Vec<(Counter, usize)> =
            around.iter().map(|counter| (*counter, 1 + random.below(12))).collect();
        match random.below(19) {
            0 => body.push(constant(to, random.below(9) as f32 - 4.0)),
            1 => body.push(apply(to, Scalar::Add, vec![a, b])),
            2 => body.push(apply(to, Scalar::Mul, vec![a, b])),
            3 => body.push(apply(to, Scalar::Max, vec![a, b])),
            4 | 5 => body.push(apply(to, Scalar::MulAdd, vec![a, b, c])),
            6 => {
                let mask = w.register(LaneType::Mask);
                body.push(apply(mask, Scalar::Greater, vec![a, b]));
                body.push(apply(to, Scalar::Select, vec![mask, b, c]));
            }
            7 => body.push(Statement::Do(Instruction::Copy { to, from: a })),
            8 => body.push(load(to, either_way(random, &strides), 1, lanes)),
            9 => body.push(load(to, either_way(random, &strides), 0, lanes)),
            10 => body.push(store(
                at(1, 800 + random.below(50), &strides),
                a,
                1,
                1 + random.below(lanes),
            )),
            11 => {
                let scalar = [Scalar::Greater, Scalar::GreaterEqual, Scalar::Equal];
                let mask = masks[random.below(masks.len())];
                body.push(apply(mask, scalar[random.below(3)], vec![a, b]));
            }
            12 => {
                let [to, from] = [(); 2].map(|()| masks[random.below(masks.len())]);
                body.push(Statement::Do(match random.below(2) {
                    0 => Instruction::Copy { to, from },
                    _ => Instruction::Rotate { to, from, by: random.below(lanes) },
                }));
            }
            13 => {
                let mask = masks[random.below(masks.len())];
                body.push(apply(to, Scalar::Select, vec![mask, b, c]));
            }
            14 => {
                let stride = (1 + random.below(2) * random.below(5)) as isize;
                let (x, stride) = (w.float(), [stride, -stride][random.below(2)]);
                let count = 1 + random.below(lanes);
                let bits = [0, 0x3F80_0000][random.below(2)];
                body.push(load(x, either_way(random, &strides), stride, count));
                let blend = Instruction::Blend { to, from: x, lanes: count, bits };
                body.push(Statement::Do(blend));
            }
            15 => body.push(Statement::Do(match random.below(2) {
                0 => Instruction::Rotate { to, from: a, by: random.below(lanes) },
                _ => Instruction::Interleave { to, from: [a, b], upper: random.below(2) == 1 },
            })),
            16 => {
                let index = at(2, random.below(100), &strides);
                let from = by(
                    at(0, random.below(100), &strides),
                    index,
                    1 + random.below(20) as isize,
                    ROWS,
                );
                body.push(load(to, from, random.below(2) as isize, lanes));
            }
            17 => {
                let index = at(2, random.below(100), &strides);
                let to = at(1, 800 + random.below(50), &strides);
                let to = by(to, index, random.below(9) as isize, ROWS);
                body.push(store(to, a, 1, 1 + random.below(lanes)));
            }
            _ if depth < 3 => {
                let counter = w.counter();
                around.push(counter);
                let mut inner = Vec::new();
                block(random, w, (registers, masks), around, &mut inner, depth + 1);
                around.pop();
                body.push(repeat(counter, 1 + random.below(4), inner));
            }
            _ => body.push(apply(to, Scalar::Min, vec![a, b])),
        }
    }
}
