//! Programs that each test one feature, on every width.

use super::{
    Writer, apply, at, by, check, constant, elementwise, floats, load, parallel, product, repeat,
    signed, store, targets,
};
use crate::expr::scalar::{LaneType, Scalar};
use crate::program::{Instruction, Statement};
use crate::target::Target;

#[test]
fn every_operation_agrees_with_the_evaluator() {
    use Scalar::*;
    let float = [Add, Sub, Mul, Div, Max, Min, Neg, Abs, Sqrt, MulAdd];
    let mask = [Greater, GreaterEqual, Equal];
    let shifts = [ShiftLeft(23), ShiftLeft(0), ShiftRight(23), ShiftBitsRight(13)];
    let int = [IntAdd, IntSub, And, Or, Xor];
    let int = [&int[..], &shifts].concat();
    let int_mask = [IntEqual, IntGreater];
    let n = 192;
    let (memory, results) = (3, 1);
    let scalars = float.iter().chain(&mask).chain(&int).chain(&int_mask).chain(&[Select, ToFloat]);
    for (lanes, scalar) in
        targets().iter().flat_map(|target| scalars.clone().map(|s| (target.lanes, s)))
    {
        let mut w = Writer::new(lanes);
        let i = w.counter();
        let mut body = Vec::new();
        // Operands, masks from comparing with the next buffer's element.
        let mut operands = Vec::new();
        for (t, kind) in scalar.operands().iter().enumerate() {
            let kind = if *kind == LaneType::Mask { LaneType::Float } else { *kind };
            let r = w.register(kind);
            body.push(load(r, at(t, 0, &[(i, lanes)]), 1, lanes));
            operands.push(r);
        }
        if *scalar == Select {
            let m = w.register(LaneType::Mask);
            body.push(apply(m, Greater, vec![operands[1], operands[0]]));
            operands[0] = m;
        }
        let mut to = w.register(scalar.result());
        body.push(apply(to, *scalar, operands));
        if scalar.result() == LaneType::Mask {
            let (yes, no, chosen) = (w.float(), w.float(), w.float());
            body.extend([constant(yes, 1.5), constant(no, 0.0)]);
            body.push(apply(chosen, Select, vec![to, yes, no]));
            to = chosen;
        }
        body.push(store(at(memory, 0, &[(i, lanes)]), to, 1, lanes));
        let program = w.finish(
            &format!("{scalar:?}"),
            memory + results,
            n / lanes,
            vec![parallel(i, n / lanes, body)],
        );
        let mut buffers: Vec<_> = (0..memory).map(|t| floats(n, t as u64)).collect();
        // Equal operands, too.
        let (head, tail) = buffers.split_at_mut(1);
        tail[0][n - 24..].copy_from_slice(&head[0][n - 24..]);
        buffers.push(vec![0; n]);
        check(&program, &buffers);
    }
}

#[test]
fn loops_of_all_lengths_and_tails_agree() {
    for (lanes, n) in
        targets().iter().flat_map(|target| (1..=5 * target.lanes + 1).map(|n| (target.lanes, n)))
    {
        let program = elementwise(lanes, n, |e, x| {
            let (a, b) = (e.float(1.25), e.float(-0.5));
            let y = e.mul_add(a, x, b);
            e.max(b, y)
        });
        check(&program, &[floats(n, n as u64), vec![7; n]]);
    }
}

#[test]
fn products_agree_whatever_their_shape() {
    for target in targets() {
        for (m, k, n) in
            [(1, 1, 1), (2, 3, 4), (3, 7, 8), (4, 5, 6), (7, 9, 16), (5, 1, 3), (6, 16, 24)]
        {
            // Wider than two vectors only in whole ones.
            let n = if n > 8 { n / 4 * target.lanes } else { n * target.lanes / 4 };
            let memory = [floats(m * k, 1), floats(k * n, 2), vec![0; m * n]];
            check(&product(target.lanes, m, k, n), &memory);
        }
    }
}

/// Sum and maximum of each row, by rotations; lanes past the end are masked.
#[test]
fn reductions_by_rotation_agree() {
    let lengths = |target: &Target| [1, 3, 4, 6, 11, 16, 33, 47].map(|n| (target.lanes, n));
    for (lanes, n) in targets().iter().flat_map(lengths) {
        let rows = 5;
        let mut w = Writer::new(lanes);
        let (row, i) = (w.counter(), w.counter());
        let mut body = Vec::new();
        for (out, scalar, start) in [(1, Scalar::Add, 0.0), (2, Scalar::Max, f32::NEG_INFINITY)] {
            let total = w.float();
            body.push(constant(total, start));
            if n >= lanes {
                let i = if out == 1 { i } else { w.counter() };
                let x = w.float();
                let load = load(x, at(0, 0, &[(row, n), (i, lanes)]), 1, lanes);
                body.push(repeat(i, n / lanes, vec![load, apply(total, scalar, vec![x, total])]));
            }
            if n % lanes > 0 {
                let (x, blended) = (w.float(), w.float());
                body.push(load(x, at(0, n / lanes * lanes, &[(row, n)]), 1, n % lanes));
                let bits = start.to_bits();
                let blend = Instruction::Blend { to: blended, from: x, lanes: n % lanes, bits };
                body.push(Statement::Do(blend));
                body.push(apply(total, scalar, vec![total, blended]));
            }
            let halves = std::iter::successors(Some(lanes / 2), |by| Some(by / 2));
            for by in halves.take_while(|by| *by > 0) {
                let rotated = w.float();
                let rotate = Instruction::Rotate { to: rotated, from: total, by };
                body.push(Statement::Do(rotate));
                body.push(apply(total, scalar, vec![total, rotated]));
            }
            body.push(store(at(out, 0, &[(row, 1)]), total, 1, 1));
        }
        let program = w.finish("rows", 3, rows, vec![parallel(row, rows, body)]);
        check(&program, &[floats(rows * n, n as u64), vec![0; rows], vec![0; rows]]);
    }
}

#[test]
fn iotas_strides_rotations_and_blends_agree() {
    targets().iter().for_each(|target| check_lanes(target.lanes));
}

fn check_lanes(width: usize) {
    let mut w = Writer::new(width);
    let (outer, inner) = (w.counter(), w.counter());
    let mut body = Vec::new();
    let mut results = Vec::new();
    for stride in [0, 1, 50, -1, -7] {
        let to = w.register(LaneType::Int);
        let strides = vec![(inner, 4), (outer, -3)];
        body.push(Statement::Do(Instruction::Iota { to, offset: 7, strides, lane_stride: stride }));
        results.push(to);
        let to = w.register(LaneType::Int);
        let strides = vec![];
        body.push(Statement::Do(Instruction::Iota { to, offset: 9, strides, lane_stride: stride }));
        results.push(to);
    }
    let backwards = signed(0, 8 * width + 12, &[(outer, -12), (inner, 1)]);
    for (from, stride) in [(backwards.clone(), -1), (backwards, -4)] {
        let x = w.float();
        body.push(load(x, from, stride, width));
        results.push(x);
    }
    let x = w.float();
    body.push(load(x, at(0, 1, &[(outer, 12), (inner, 1)]), 3, width));
    results.push(x);
    for by in 0..width {
        let to = w.float();
        body.push(Statement::Do(Instruction::Rotate { to, from: x, by }));
        results.push(to);
    }
    for lanes in 1..=width {
        for bits in [0, 0x7F80_0000] {
            let to = w.float();
            body.push(Statement::Do(Instruction::Blend { to, from: x, lanes, bits }));
            results.push(to);
        }
    }
    let copy = w.float();
    body.push(Statement::Do(Instruction::Copy { to: copy, from: x }));
    results.push(copy);
    let block = width * results.len();
    for (i, r) in results.iter().enumerate() {
        // Every third scattered: lane by lane into the block's transpose.
        let lanes = 1 + i % width;
        body.push(store(at(1, width * i, &[(outer, 3 * block), (inner, block)]), *r, 1, lanes));
        let to = at(2, i, &[(outer, 3 * block), (inner, block)]);
        body.push(store(to, *r, results.len() as isize, lanes));
    }
    let program = w.finish("lanes", 3, 2, vec![parallel(outer, 2, vec![repeat(inner, 3, body)])]);
    check(&program, &[floats(16 + 9 * width, 3), vec![0; 6 * block], vec![0; 6 * block]]);
}

/// Deferred loads must not see later stores.
#[test]
fn loads_do_not_see_later_stores() {
    for lanes in targets().iter().map(|target| target.lanes) {
        let mut w = Writer::new(lanes);
        let i = w.counter();
        let (a, b, sum) = (w.float(), w.float(), w.float());
        let body = vec![
            load(a, at(0, 0, &[(i, lanes)]), 1, lanes),
            load(b, at(0, lanes, &[(i, lanes)]), 1, lanes),
            store(at(0, lanes, &[(i, lanes)]), a, 1, lanes),
            apply(sum, Scalar::Add, vec![a, b]),
            store(at(0, 0, &[(i, lanes)]), sum, 1, lanes),
        ];
        let program = w.finish("in_place", 1, 1, vec![repeat(i, 6, body)]);
        check(&program, &[floats(7 * lanes, 5)]);
    }
}

/// A load before a loop and a store in it share their pointer.
#[test]
fn a_load_before_a_loop_has_its_own_pointer() {
    for lanes in targets().iter().map(|target| target.lanes) {
        let mut w = Writer::new(lanes);
        let (i, one) = (w.counter(), w.counter());
        let (a, sum) = (w.float(), w.float());
        let body = vec![
            load(a, at(0, 0, &[]), 1, lanes),
            parallel(
                i,
                1,
                vec![
                    constant(sum, 1.0),
                    repeat(one, 1, vec![apply(sum, Scalar::Add, vec![a, sum])]),
                    store(at(0, lanes, &[]), sum, 1, lanes),
                ],
            ),
        ];
        let program = w.finish("before", 1, 1, body);
        check(&program, &[floats(2 * lanes, 5)]);
    }
}

/// Rows of a table by an index in memory: loads of full and partial vectors, of one element
/// and of strided elements, with pointers in registers and on the stack,
/// and before all loops.
#[test]
fn rows_by_index_agree() {
    for (lanes, extra_pointers) in targets()
        .iter()
        .flat_map(|target| [0, 14].map(|extra_pointers| (target.lanes, extra_pointers)))
    {
        let (positions, rows, row) = (5, 7, 3 * lanes + 2);
        let mut w = Writer::new(lanes);
        let (i, j) = (w.counter(), w.counter());
        let index = |offset, strides: &[_]| at(1, offset, strides);
        let indexed =
            |offset, strides: &[_]| by(at(0, offset, &[]), index(3, strides), row as isize, rows);
        // From the last row on backwards.
        let backwards = |strides: &[_]| {
            by(at(0, row * rows - 1, &[]), index(3, strides), -(row as isize), rows)
        };
        let first = w.float();
        let before = load(first, indexed(1, &[]), 1, lanes);
        let mut body = Vec::new();
        // Different strides, so that there are more pointers than
        // registers.
        let others: Vec<_> = (0..extra_pointers).map(|_| w.float()).collect();
        for (n, other) in others.iter().enumerate() {
            body.push(load(*other, at(3, 0, &[(i, n + 1), (j, 1)]), 1, lanes));
        }
        let accesses =
            [(1, lanes), (1, lanes - 1), (0, lanes), (3, lanes), (3, 2), (-1, lanes), (-3, 2)];
        for (n, (stride, count)) in accesses.into_iter().enumerate() {
            let (x, blended, sum) = (w.float(), w.float(), w.float());
            let strides = [(i, 1), (j, 2)];
            let from = if stride < 0 { backwards(&strides) } else { indexed(1, &strides) };
            body.push(load(x, from, stride, count));
            body.push(Statement::Do(Instruction::Blend {
                to: blended,
                from: x,
                lanes: count,
                bits: 0,
            }));
            let last = others.last().copied().unwrap_or(first);
            body.push(apply(sum, Scalar::Add, vec![blended, last]));
            let to = at(2, n * lanes, &[(i, 2 * 7 * lanes), (j, 7 * lanes)]);
            body.push(store(to, sum, 1, lanes));
        }
        for other in others {
            let (to, sum) = (at(2, 0, &[(i, 2 * 7 * lanes), (j, 7 * lanes)]), w.float());
            let x = w.float();
            body.extend([load(x, to.clone(), 1, lanes), apply(sum, Scalar::Add, vec![x, other])]);
            body.push(store(to, sum, 1, lanes));
        }
        let body = vec![before, parallel(i, positions, vec![repeat(j, 2, body)])];
        let program = w.finish("rows by index", 4, positions, body);
        let table = floats(rows * row + 2, 3);
        let indices = [9, 9, 9, 6, 0, 3, 3, 1, 6, 5, 2];
        let result = vec![0; positions * 2 * 7 * lanes];
        check(
            &program,
            &[table, indices.to_vec(), result, floats(extra_pointers * 5 + 2 * lanes, 4)],
        );
    }
}

/// Rows that are added to by index, some of them several times: loads see earlier
/// stores.
#[test]
fn rows_added_by_index_agree() {
    for (lanes, scattered) in
        targets().iter().flat_map(|target| [1, 2].map(|by| (target.lanes, by)))
    {
        let (positions, rows, row) = (9, 4, 2 * lanes);
        let mut w = Writer::new(lanes);
        let (block, i) = (w.counter(), w.counter());
        let count = lanes - lanes / 3;
        let to = by(at(0, 0, &[(block, 1)]), at(1, 0, &[(i, 1)]), row as isize, rows);
        let (x, y, sum) = (w.float(), w.float(), w.float());
        let body = vec![
            load(x, at(2, 0, &[(i, lanes)]), 1, count),
            load(y, to.clone(), scattered, count),
            apply(sum, Scalar::Add, vec![y, x]),
            store(to, sum, scattered, count),
        ];
        let body = vec![parallel(block, 1, vec![repeat(i, positions, body)])];
        let program = w.finish("rows added by index", 3, 1, body);
        let indices = vec![2, 2, 0, 3, 2, 0, 0, 3, 3];
        check(&program, &[floats(rows * row, 1), indices, floats(positions * lanes, 2)]);
    }
}

/// The evaluator detects an index that is too large.
#[test]
#[should_panic(expected = "an index of 4")]
fn the_evaluator_rejects_an_index_beyond_its_bound() {
    let mut w = Writer::new(4);
    let x = w.float();
    let body =
        vec![load(x, by(at(0, 0, &[]), at(1, 0, &[]), 1, 4), 0, 4), store(at(0, 0, &[]), x, 1, 1)];
    w.finish("beyond", 2, 1, body).evaluate(&mut [vec![0; 8], vec![4]], 0..1);
}
