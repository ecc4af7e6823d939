//! Machine code against the evaluator, bit for bit, and the functions against
//! f64.

use super::isa::Isa;
use super::module::{Dump, Executable};
use crate::kernel::expr::{Expr, Expressions, Term};
use crate::kernel::program::{
    Address, Count, Counter, Instruction, Loop, Program, Register, Statement,
};
use crate::kernel::scalar::{Kind, Scalar};
use crate::plan::{Place, Region};
use crate::schedule::Phase;

/// Numbers that repeat with their seed (S. Vigna's splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// Ordinary floats, and now and then one that is not.
    fn float(&mut self) -> u32 {
        const SPECIAL: [f32; 9] = [
            0.0,
            -0.0,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::NAN,
            f32::MIN_POSITIVE,
            1e-42,
            f32::MAX,
            1.0,
        ];
        if self.below(12) == 0 {
            SPECIAL[self.below(SPECIAL.len())].to_bits()
        } else {
            ((self.next() % 20_001) as f32 * 1e-3 - 10.0).to_bits()
        }
    }
}

/// All instruction sets that can be tried here. A test must not pass because
/// one of them was missing where it is expected: `BILRO_REQUIRE_ISA` names it.
fn isas() -> Vec<Isa> {
    let available = Isa::all_available();
    if let Ok(required) = std::env::var("BILRO_REQUIRE_ISA") {
        assert!(available.iter().any(|isa| isa.name == required), "no {required} here");
    }
    println!("for {:?}", available.iter().map(|isa| isa.name).collect::<Vec<_>>());
    available
}

/// Writes programs.
struct Writer {
    lanes: usize,
    registers: Vec<Kind>,
    counters: u32,
}

impl Writer {
    fn new(lanes: usize) -> Writer {
        Writer { lanes, registers: Vec::new(), counters: 0 }
    }

    fn register(&mut self, kind: Kind) -> Register {
        self.registers.push(kind);
        Register(self.registers.len() as u32 - 1)
    }

    fn float(&mut self) -> Register {
        self.register(Kind::Float)
    }

    fn counter(&mut self) -> Counter {
        self.counters += 1;
        Counter(self.counters - 1)
    }

    fn finish(self, name: &str, tensors: usize, parallel: usize, body: Vec<Statement>) -> Program {
        let tensors = (0..tensors).collect();
        let Writer { lanes, registers, .. } = self;
        Program { name: name.into(), lanes, tensors, registers, parallel, body }
    }

    /// The instructions of a formula, given the registers of its loads.
    fn lower(
        &mut self,
        expressions: &Expressions,
        root: Expr,
        loads: &[Register],
        body: &mut Vec<Statement>,
    ) -> Register {
        let mut registers = Vec::new();
        for (e, term) in expressions.iter() {
            let to = match term {
                Term::Load(i, _) => loads[*i],
                _ => self.register(expressions.kind(e)),
            };
            registers.push(to);
            match term {
                Term::Load(..) => {}
                Term::Float(bits) => {
                    body.push(Statement::Do(Instruction::Constant { to, bits: *bits }));
                }
                Term::Int(n) => {
                    body.push(Statement::Do(Instruction::Constant { to, bits: *n as u32 }));
                }
                Term::Apply(scalar, operands) => {
                    let operands = operands.iter().map(|x| registers[x.0 as usize]).collect();
                    body.push(apply(to, *scalar, operands));
                }
                Term::Position | Term::Reduced(_) => unreachable!(),
            }
        }
        registers[root.0 as usize]
    }
}

fn apply(to: Register, scalar: Scalar, operands: Vec<Register>) -> Statement {
    let operands = operands.into_iter().collect();
    Statement::Do(Instruction::Apply { to, scalar, operands })
}

fn at(tensor: usize, offset: usize, steps: &[(Counter, usize)]) -> Address {
    Address { tensor, offset, steps: steps.to_vec() }
}

fn load(to: Register, from: Address, stride: usize, lanes: usize) -> Statement {
    Statement::Do(Instruction::Load { to, from, stride, lanes })
}

fn store(to: Address, from: Register, stride: usize, lanes: usize) -> Statement {
    Statement::Do(Instruction::Store { to, from, stride, lanes })
}

fn constant(to: Register, x: f32) -> Statement {
    Statement::Do(Instruction::Constant { to, bits: x.to_bits() })
}

fn repeat(counter: Counter, count: usize, body: Vec<Statement>) -> Statement {
    Statement::Loop(Loop { counter, count: Count::Fixed(count), body })
}

fn parallel(counter: Counter, count: usize, body: Vec<Statement>) -> Statement {
    Statement::Loop(Loop { counter, count: Count::Parallel { first: 0, count }, body })
}

/// Runs a program both ways on the same memory and compares all of it. Tensors
/// lie in turn in the arena, among the parameters and in an input of their own.
fn check(program: &Program, memory: &[Vec<u32>]) -> Vec<Vec<u32>> {
    let sizes: Vec<usize> = memory.iter().map(Vec::len).collect();
    if let Err(message) = program.verify().and_then(|()| program.verify_bounds(&sizes)) {
        panic!("{message}\n{program}");
    }
    let mut regions = vec![Region::Parameters, Region::Arena];
    let mut filled = [0, 0];
    let places: Vec<Place> = (0..memory.len())
        .map(|i| match i % 3 {
            2 => {
                regions.push(Region::Input(i));
                Place { region: Region::Input(i), offset: 0 }
            }
            which => {
                let offset = filled[which];
                filled[which] += memory[i].len() + 5;
                Place { region: regions[which], offset }
            }
        })
        .collect();
    let mut areas: Vec<Vec<u32>> = regions.iter().map(|_| Vec::new()).collect();
    let area = |region| regions.iter().position(|r| *r == region).unwrap();
    for (place, tensor) in places.iter().zip(memory) {
        let area = &mut areas[area(place.region)];
        area.resize(place.offset, 0xABCD_EF01);
        area.extend(tensor);
    }
    areas.iter_mut().for_each(|area| area.extend([0xABCD_EF01; 8]));

    let executable = Executable::new(std::slice::from_ref(program), &places, &regions, true)
        .unwrap_or_else(|e| panic!("{e}\n{program}"));
    let table: Vec<*mut u8> = areas.iter_mut().map(|area| area.as_mut_ptr().cast()).collect();
    // SAFETY: the bounds are verified, the areas are as large as their tensors,
    // apart from one another, and nobody else has them.
    unsafe { executable.run(&table) };

    let mut expected = memory.to_vec();
    program.evaluate(&mut expected, 0..program.parallel);
    for (i, (place, expected)) in places.iter().zip(&expected).enumerate() {
        let found = &areas[area(place.region)][place.offset..][..expected.len() + 5];
        for (j, (e, f)) in expected.iter().chain(&[0xABCD_EF01; 5]).zip(found).enumerate() {
            let same = e == f || (f32::from_bits(*e).is_nan() && f32::from_bits(*f).is_nan());
            assert!(same, "t{i}[{j}]: {f:#x} instead of {e:#x}\n{program}");
        }
    }
    expected
}

fn floats(n: usize, seed: u64) -> Vec<u32> {
    let mut random = Random(seed);
    (0..n).map(|_| random.float()).collect()
}

/// y = f(x) over `n` elements, split across threads a vector at a time, then a
/// tail.
fn elementwise(width: usize, n: usize, f: impl FnOnce(&mut Expressions, Expr) -> Expr) -> Program {
    let mut w = Writer::new(width);
    let mut expressions = Expressions::default();
    let x = expressions.push(Term::Load(0, Kind::Float));
    let root = f(&mut expressions, x);
    let (mut body, mut iterations) = (Vec::new(), 0);
    for (first, count, lanes) in [(0, n / width, width), (n / width * width, 1, n % width)] {
        if count == 0 || lanes == 0 {
            continue;
        }
        let counter = w.counter();
        let steps: &[(Counter, usize)] = if lanes == width { &[(counter, width)] } else { &[] };
        let x = w.float();
        let mut inner = vec![load(x, at(0, first, steps), 1, lanes)];
        let y = w.lower(&expressions, root, &[x], &mut inner);
        inner.push(store(at(1, first, steps), y, 1, lanes));
        let count = Count::Parallel { first: iterations, count };
        body.push(Statement::Loop(Loop { counter, count, body: inner }));
        iterations += if lanes == width { n / width } else { 1 };
    }
    w.finish("elementwise", 2, iterations, body)
}

#[test]
fn every_operation_agrees_with_the_evaluator() {
    use Scalar::*;
    let float = [Add, Sub, Mul, Div, Max, Min, Neg, Abs, Sqrt, MulAdd];
    let mask = [Greater, GreaterEqual, Equal];
    let int = [IntAdd, IntSub, And, Or, ShiftLeft(23), ShiftLeft(0), ShiftRight(23)];
    let int_mask = [IntEqual, IntGreater];
    let n = 192;
    let (memory, results) = (3, 1);
    let scalars = float.iter().chain(&mask).chain(&int).chain(&int_mask).chain(&[Select, ToFloat]);
    for (lanes, scalar) in isas().iter().flat_map(|isa| scalars.clone().map(|s| (isa.lanes, s))) {
        let mut w = Writer::new(lanes);
        let i = w.counter();
        let mut body = Vec::new();
        // Operands, masks from comparing with the next tensor's element.
        let mut operands = Vec::new();
        for (t, kind) in scalar.operands().iter().enumerate() {
            let kind = if *kind == Kind::Mask { Kind::Float } else { *kind };
            let r = w.register(kind);
            body.push(load(r, at(t, 0, &[(i, lanes)]), 1, lanes));
            operands.push(r);
        }
        if *scalar == Select {
            let m = w.register(Kind::Mask);
            body.push(apply(m, Greater, vec![operands[1], operands[0]]));
            operands[0] = m;
        }
        let mut to = w.register(scalar.result());
        body.push(apply(to, *scalar, operands));
        if scalar.result() == Kind::Mask {
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
        let mut tensors: Vec<_> = (0..memory).map(|t| floats(n, t as u64)).collect();
        // Equal operands, too.
        let (head, tail) = tensors.split_at_mut(1);
        tail[0][n - 24..].copy_from_slice(&head[0][n - 24..]);
        tensors.push(vec![0; n]);
        check(&program, &tensors);
    }
}

#[test]
fn loops_of_all_lengths_and_tails_agree() {
    for (lanes, n) in isas().iter().flat_map(|isa| (1..=5 * isa.lanes + 1).map(|n| (isa.lanes, n)))
    {
        let program = elementwise(lanes, n, |e, x| {
            let (a, b) = (e.float(1.25), e.float(-0.5));
            let y = e.mul_add(a, x, b);
            e.max(b, y)
        });
        check(&program, &[floats(n, n as u64), vec![7; n]]);
    }
}

/// Two parallel loops after each other, in shares of which some are empty.
#[test]
fn the_shares_of_all_threads_make_the_whole() {
    for (isa, threads) in isas().into_iter().flat_map(|isa| [1, 2, 3, 7, 40].map(|n| (isa, n))) {
        let lanes = isa.lanes;
        let mut w = Writer::new(lanes);
        let (x, sum) = (w.float(), w.float());
        let mut body = Vec::new();
        for (first, count) in [(0, 5), (5, 8)] {
            let counter = w.counter();
            let steps = [(counter, lanes)];
            let inner = vec![
                load(x, at(0, lanes * first, &steps), 1, lanes),
                load(sum, at(1, lanes * first, &steps), 1, lanes),
                apply(sum, Scalar::Add, vec![x, sum]),
                store(at(1, lanes * first, &steps), sum, 1, lanes),
            ];
            let count = Count::Parallel { first, count };
            body.push(Statement::Loop(Loop { counter, count, body: inner }));
        }
        let program = w.finish("parts", 2, 13, body);
        let n = 13 * lanes;
        let mut expected = vec![floats(n, 1), floats(n, 2)];
        let mut found = expected.clone();
        program.evaluate(&mut expected, 0..13);
        let places = [Region::Arena, Region::Parameters].map(|region| Place { region, offset: 0 });
        let regions = [Region::Arena, Region::Parameters];
        let executable = Executable::new(&[program], &places, &regions, true).unwrap();
        let table: Vec<*mut u8> = found.iter_mut().map(|x| x.as_mut_ptr().cast()).collect();
        let phase = Phase { alone: Vec::new(), shared: vec![0] };
        for share in (0..threads).rev() {
            // SAFETY: both are as long as the program's tensors, and nobody
            // else has them.
            unsafe { executable.run_share(&phase, share, threads, &table) }
        }
        let same = |(a, b): (&u32, &u32)| {
            a == b || (f32::from_bits(*a).is_nan() && f32::from_bits(*b).is_nan())
        };
        assert!(expected[1].iter().zip(&found[1]).all(same), "{} {threads}", isa.name);
    }
}

/// c = ab, `m`×`k` times `k`×`n`, in tiles of three rows and two vectors.
fn product(width: usize, m: usize, k: usize, n: usize) -> Program {
    let mut w = Writer::new(width);
    let mut body = Vec::new();
    for first_row in (0..m).step_by(3) {
        let rows = (m - first_row).min(3);
        let (column, step) = (w.counter(), w.counter());
        let widths = [width.min(n), n.min(2 * width).saturating_sub(width)];
        let lanes: Vec<usize> = widths.into_iter().filter(|lanes| *lanes > 0).collect();
        let sums: Vec<Vec<Register>> =
            (0..rows).map(|_| lanes.iter().map(|_| w.float()).collect()).collect();
        let mut tile: Vec<Statement> = sums.iter().flatten().map(|r| constant(*r, 0.0)).collect();
        let mut inner = Vec::new();
        let b: Vec<Register> = lanes.iter().map(|_| w.float()).collect();
        for (j, lanes) in lanes.iter().enumerate() {
            inner.push(load(b[j], at(1, width * j, &[(step, n), (column, 2 * width)]), 1, *lanes));
        }
        for (i, sums) in sums.iter().enumerate() {
            let a = w.float();
            inner.push(load(a, at(0, (first_row + i) * k, &[(step, 1)]), 0, width));
            for (sum, b) in sums.iter().zip(&b) {
                inner.push(apply(*sum, Scalar::MulAdd, vec![a, *b, *sum]));
            }
        }
        tile.push(repeat(step, k, inner));
        for (i, sums) in sums.iter().enumerate() {
            for (j, sum) in sums.iter().enumerate() {
                let to = at(2, (first_row + i) * n + width * j, &[(column, 2 * width)]);
                tile.push(store(to, *sum, 1, lanes[j]));
            }
        }
        body.push(repeat(column, n.div_ceil(2 * width), tile));
    }
    w.finish("product", 3, 1, body)
}

#[test]
fn products_agree_whatever_their_shape() {
    for isa in isas() {
        for (m, k, n) in
            [(1, 1, 1), (2, 3, 4), (3, 7, 8), (4, 5, 6), (7, 9, 16), (5, 1, 3), (6, 16, 24)]
        {
            // Wider than two vectors only in whole ones.
            let n = if n > 8 { n / 4 * isa.lanes } else { n * isa.lanes / 4 };
            let memory = [floats(m * k, 1), floats(k * n, 2), vec![0; m * n]];
            check(&product(isa.lanes, m, k, n), &memory);
        }
    }
}

/// Sum and greatest of each row, by rotations; lanes past the end are kept out.
#[test]
fn reductions_by_rotation_agree() {
    let lengths = |isa: &Isa| [1, 3, 4, 6, 11, 16, 33, 47].map(|n| (isa.lanes, n));
    for (lanes, n) in isas().iter().flat_map(lengths) {
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
                let part = load(x, at(0, 0, &[(row, n), (i, lanes)]), 1, lanes);
                body.push(repeat(i, n / lanes, vec![part, apply(total, scalar, vec![x, total])]));
            }
            if n % lanes > 0 {
                let (x, kept) = (w.float(), w.float());
                body.push(load(x, at(0, n / lanes * lanes, &[(row, n)]), 1, n % lanes));
                let bits = start.to_bits();
                let keep = Instruction::Keep { to: kept, from: x, lanes: n % lanes, bits };
                body.push(Statement::Do(keep));
                body.push(apply(total, scalar, vec![total, kept]));
            }
            let halves = std::iter::successors(Some(lanes / 2), |by| Some(by / 2));
            for by in halves.take_while(|by| *by > 0) {
                let turned = w.float();
                let rotate = Instruction::Rotate { to: turned, from: total, by };
                body.push(Statement::Do(rotate));
                body.push(apply(total, scalar, vec![total, turned]));
            }
            body.push(store(at(out, 0, &[(row, 1)]), total, 1, 1));
        }
        let program = w.finish("rows", 3, rows, vec![parallel(row, rows, body)]);
        check(&program, &[floats(rows * n, n as u64), vec![0; rows], vec![0; rows]]);
    }
}

#[test]
fn positions_strides_rotations_and_parts_agree() {
    isas().iter().for_each(|isa| shapes(isa.lanes));
}

fn shapes(width: usize) {
    let mut w = Writer::new(width);
    let (outer, inner) = (w.counter(), w.counter());
    let mut body = Vec::new();
    let mut kinds = Vec::new();
    for stride in [0, 1] {
        let to = w.register(Kind::Int);
        let steps = vec![(inner, 4), (outer, 100)];
        body.push(Statement::Do(Instruction::Position { to, offset: 7, steps, stride }));
        kinds.push(to);
        let to = w.register(Kind::Int);
        let steps = vec![];
        body.push(Statement::Do(Instruction::Position { to, offset: 9, steps, stride }));
        kinds.push(to);
    }
    let x = w.float();
    body.push(load(x, at(0, 1, &[(outer, 12), (inner, 1)]), 3, width));
    kinds.push(x);
    for by in 0..width {
        let to = w.float();
        body.push(Statement::Do(Instruction::Rotate { to, from: x, by }));
        kinds.push(to);
    }
    for lanes in 1..=width {
        for bits in [0, 0x7F80_0000] {
            let to = w.float();
            body.push(Statement::Do(Instruction::Keep { to, from: x, lanes, bits }));
            kinds.push(to);
        }
    }
    let copy = w.float();
    body.push(Statement::Do(Instruction::Copy { to: copy, from: x }));
    kinds.push(copy);
    let block = width * kinds.len();
    for (i, r) in kinds.iter().enumerate() {
        // Every third scattered: lane by lane into the block's transpose.
        let lanes = 1 + i % width;
        body.push(store(at(1, width * i, &[(outer, 3 * block), (inner, block)]), *r, 1, lanes));
        let to = at(2, i, &[(outer, 3 * block), (inner, block)]);
        body.push(store(to, *r, kinds.len(), lanes));
    }
    let program = w.finish("shapes", 3, 2, vec![parallel(outer, 2, vec![repeat(inner, 3, body)])]);
    check(&program, &[floats(16 + 3 * width, 3), vec![0; 6 * block], vec![0; 6 * block]]);
}

/// Loads are late: what is stored between must not be seen.
#[test]
fn a_load_sees_what_was_there_when_it_stood_in_the_text() {
    for lanes in isas().iter().map(|isa| isa.lanes) {
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

/// A load before a loop and a store in it go by the same pointer.
#[test]
fn a_load_before_a_loop_has_its_own_pointer() {
    for lanes in isas().iter().map(|isa| isa.lanes) {
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

/// Straight code and loops of random instructions, over many registers, so that
/// some are carried and some are spilled.
#[test]
fn random_programs_agree() {
    for (lanes, seed) in isas().iter().flat_map(|isa| (0..200).map(|seed| (isa.lanes, seed))) {
        let mut random = Random(seed);
        let mut w = Writer::new(lanes);
        let floats_: Vec<Register> =
            (0..6 + random.below(12 + 2 * lanes)).map(|_| w.float()).collect();
        let mut body: Vec<Statement> =
            floats_.iter().enumerate().map(|(i, r)| load(*r, at(0, i, &[]), 1, lanes)).collect();
        let masks: Vec<Register> = (0..7).map(|_| w.register(Kind::Mask)).collect();
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
        let program = w.finish(&format!("random {seed}"), 2, 1, body);
        check(&program, &[floats(600, seed), vec![0; 1200]]);
    }
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
        let steps: Vec<(Counter, usize)> =
            around.iter().map(|counter| (*counter, 1 + random.below(12))).collect();
        match random.below(17) {
            0 => body.push(constant(to, random.below(9) as f32 - 4.0)),
            1 => body.push(apply(to, Scalar::Add, vec![a, b])),
            2 => body.push(apply(to, Scalar::Mul, vec![a, b])),
            3 => body.push(apply(to, Scalar::Max, vec![a, b])),
            4 | 5 => body.push(apply(to, Scalar::MulAdd, vec![a, b, c])),
            6 => {
                let mask = w.register(Kind::Mask);
                body.push(apply(mask, Scalar::Greater, vec![a, b]));
                body.push(apply(to, Scalar::Select, vec![mask, b, c]));
            }
            7 => body.push(Statement::Do(Instruction::Copy { to, from: a })),
            8 => body.push(load(to, at(0, random.below(100), &steps), 1, lanes)),
            9 => body.push(load(to, at(0, random.below(100), &steps), 0, lanes)),
            10 => body.push(store(
                at(1, 800 + random.below(50), &steps),
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
                let (part, stride) = (w.float(), 1 + random.below(2) * random.below(5));
                let kept = 1 + random.below(lanes);
                let bits = [0, 0x3F80_0000][random.below(2)];
                body.push(load(part, at(0, random.below(100), &steps), stride, kept));
                let keep = Instruction::Keep { to, from: part, lanes: kept, bits };
                body.push(Statement::Do(keep));
            }
            15 => body.push(Statement::Do(Instruction::Rotate {
                to,
                from: a,
                by: random.below(lanes),
            })),
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

/// The largest error of `f` in units in the last place of the exact result,
/// over bit patterns from end to end of the floats.
fn largest_error(
    isa: Isa,
    f: impl FnOnce(&mut Expressions, Expr) -> Expr,
    exact: fn(f64) -> f64,
    counts: fn(f32, f64) -> bool,
) -> (f64, f32) {
    let n = 1 << 20;
    let mut x: Vec<u32> =
        (0..n as u32).map(|i| i.wrapping_mul(4096).wrapping_add(i >> 8)).collect();
    let special = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        1e-42,
        -1e-42,
        f32::MIN_POSITIVE,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        f32::MAX,
        f32::MIN,
        88.72283,
        88.72284,
        88.0,
        -87.33654,
        -87.33655,
        -88.0,
        -104.0,
        0.625,
        0.62499,
        10.0,
        -10.0,
        2.0,
    ];
    x.extend(special.iter().map(|x: &f32| x.to_bits()));
    let program = elementwise(isa.lanes, x.len(), f);
    let places = [Region::Arena, Region::Parameters].map(|region| Place { region, offset: 0 });
    let regions = [Region::Arena, Region::Parameters];
    let executable = Executable::new(&[program], &places, &regions, false).unwrap();
    let mut y = vec![0u32; x.len()];
    let table = [x.as_mut_ptr().cast(), y.as_mut_ptr().cast()];
    // SAFETY: both are as long as the program's tensors and nobody else's.
    unsafe { executable.run(&table) };

    let mut worst = (0.0, 0.0);
    for (x, y) in x.iter().zip(&y) {
        let (x, y) = (f32::from_bits(*x), f32::from_bits(*y));
        let e = exact(f64::from(x));
        assert_eq!(e.is_nan(), y.is_nan(), "f({x:?}) = {y:?}, not {e:?}");
        if e.is_nan() || !counts(x, e) {
            continue;
        }
        let nearest = e as f32;
        if nearest.is_infinite() || y.is_infinite() || nearest == 0.0 {
            assert_eq!(nearest, y, "at {x:?}");
            continue;
        }
        let unit =
            f64::from(f32::from_bits(nearest.abs().to_bits() + 1)) - f64::from(nearest.abs());
        let error = (f64::from(y) - e).abs() / unit;
        if error > worst.0 {
            worst = (error, x);
        }
    }
    worst
}

#[test]
fn functions_are_as_exact_as_they_say() {
    let normal = |_: f32, y: f64| y.abs() >= f64::from(f32::MIN_POSITIVE);
    let all = |_: f32, _: f64| true;
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    for isa in isas() {
        let errors = [
            ("exp", 1.0, largest_error(isa, Expressions::exp, f64::exp, normal)),
            ("log", 1.0, largest_error(isa, Expressions::log, f64::ln, all)),
            ("tanh", 1.5, largest_error(isa, Expressions::tanh, f64::tanh, all)),
            ("sigmoid", 2.5, largest_error(isa, Expressions::sigmoid, sigmoid, normal)),
        ];
        for (name, bound, (error, x)) in errors {
            println!("{name}: {error:.3} ulp at {x:?}");
            assert!(error <= bound, "{name}: {error} ulp at {x:?}");
        }
    }
}

#[test]
fn functions_agree_with_the_evaluator() {
    let bits = (0..4099u32).map(|i| i.wrapping_mul(0x000F_FEDC)).collect::<Vec<_>>();
    for isa in isas() {
        for f in [Expressions::exp, Expressions::log, Expressions::tanh, Expressions::sigmoid] {
            let program = elementwise(isa.lanes, 4099, f);
            check(&program, &[floats(4099, 9), vec![0; 4099]]);
            check(&program, &[bits.clone(), vec![0; 4099]]);
        }
    }
}

#[test]
fn all_programs_run_in_order_and_dumps_have_a_text_of_each() {
    let double = elementwise(4, 8, |e, x| e.add(x, x));
    let mut back = elementwise(4, 8, |e, x| {
        let one = e.float(1.0);
        e.sub(x, one)
    });
    back.tensors = vec![1, 0];
    let places = [0, 8].map(|offset| Place { region: Region::Arena, offset });
    let dump = Dump { clif: true, asm: true };
    let (executable, texts) =
        Executable::with_dump(&[double, back], &places, &[Region::Arena], true, dump).unwrap();
    let names: Vec<&str> = texts.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), 6, "{names:?}");
    assert_eq!(names[0], "00_elementwise.clif");
    assert!(texts.iter().all(|(_, text)| !text.is_empty()));
    assert!(executable.code_bytes() > 0);

    let mut arena = [3.0f32; 16];
    // SAFETY: the arena has room for both tensors of eight.
    unsafe { executable.run(&[arena.as_mut_ptr().cast()]) };
    assert_eq!(arena, std::array::from_fn(|i| if i < 8 { 5.0 } else { 6.0 }));
    // SAFETY: as above.
    unsafe { executable.run_kernel(0, &[arena.as_mut_ptr().cast()]) };
    assert_eq!(arena, std::array::from_fn(|i| if i < 8 { 5.0 } else { 10.0 }));
}

#[test]
fn what_is_not_supported_is_an_error() {
    let places = [0, 8].map(|offset| Place { region: Region::Arena, offset });
    let mut programs = [elementwise(4, 8, |e, x| e.add(x, x))];
    assert!(Executable::new(&programs, &places, &[], true).is_err());
    assert!(Executable::new(&programs, &places[..1], &[Region::Arena], true).is_err());
    programs[0].lanes = 2;
    assert!(Executable::new(&programs, &places, &[Region::Arena], true).is_err());
}

/// How much memory of the process is code that belongs to no file.
#[cfg(target_os = "linux")]
fn generated() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields[1] == "r-xp" && fields.len() == 5)
        .map(|fields| {
            let (start, end) = fields[0].split_once('-').unwrap();
            let address = |x| usize::from_str_radix(x, 16).unwrap();
            address(end) - address(start)
        })
        .sum()
}

#[cfg(target_os = "linux")]
#[test]
fn dropping_gives_the_memory_back() {
    let program = product(4, 12, 64, 24);
    let places: Vec<Place> =
        (0..3).map(|i| Place { region: Region::Arena, offset: 4096 * i }).collect();
    for _ in 0..200 {
        let programs = std::array::from_fn::<_, 4, _>(|_| program.clone());
        drop(Executable::new(&programs, &places, &[Region::Arena], false).unwrap());
    }
    // A leak would be 200 times five functions' pages, 4 MB; other tests run at
    // the same time and have a few.
    assert!(generated() < 1 << 20, "{} bytes", generated());
}
