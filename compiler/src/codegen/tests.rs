//! Tests of machine code against the evaluator, bit for bit. This module has a writer of programs
//! and the comparison; the submodules have the tests.

mod executables;
mod functions;
mod programs;
mod random;

use super::module::Executable;
use crate::artifact::{Artifact, Interface};
use crate::expr::scalar::{LaneType, Scalar};
use crate::expr::{Expr, Expressions, Term};
use crate::plan::{Allocation, ParameterLayout, Region};
use crate::program::{
    Address, Count, Counter, Indexed, Instruction, Loop, Program, Register, Statement,
};
use crate::target::{Target, host};

/// Numbers that repeat with their seed (S. Vigna's splitmix64).
pub(crate) struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// Ordinary floats, and occasionally a special one.
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

/// All targets of this machine. `BILRO_REQUIRE_ISA` names one that must be among them, so that
/// tests do not pass because it is missing.
pub(crate) fn targets() -> Vec<Target> {
    let available = host::targets();
    if let Ok(required) = std::env::var("BILRO_REQUIRE_ISA") {
        assert!(available.iter().any(|target| target.name == required), "no {required} here");
    }
    println!("for {:?}", available.iter().map(|target| target.name).collect::<Vec<_>>());
    available
}

/// Writes programs.
struct Writer {
    lanes: usize,
    registers: Vec<LaneType>,
    counters: u32,
}

impl Writer {
    fn new(lanes: usize) -> Writer {
        Writer { lanes, registers: Vec::new(), counters: 0 }
    }

    fn register(&mut self, kind: LaneType) -> Register {
        self.registers.push(kind);
        Register(self.registers.len() as u32 - 1)
    }

    fn float(&mut self) -> Register {
        self.register(LaneType::Float)
    }

    fn counter(&mut self) -> Counter {
        self.counters += 1;
        Counter(self.counters - 1)
    }

    fn finish(self, name: &str, buffers: usize, parallel: usize, body: Vec<Statement>) -> Program {
        let buffers = (0..buffers).collect();
        let Writer { lanes, registers, .. } = self;
        Program { name: name.into(), lanes, buffers, registers, parallel, body }
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
                _ => self.register(expressions.lane_type(e)),
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
                Term::Position | Term::Iota(_) | Term::Reduced(_) => unreachable!(),
            }
        }
        registers[root.0 as usize]
    }
}

fn apply(to: Register, scalar: Scalar, operands: Vec<Register>) -> Statement {
    let operands = operands.into_iter().collect();
    Statement::Do(Instruction::Apply { to, scalar, operands })
}

fn at(buffer: usize, offset: usize, strides: &[(Counter, usize)]) -> Address {
    let strides = strides.iter().map(|(counter, stride)| (*counter, *stride as isize)).collect();
    Address { buffer, offset, strides, index: None }
}

/// An address that may move backwards.
fn signed(buffer: usize, offset: usize, strides: &[(Counter, isize)]) -> Address {
    Address { buffer, offset, strides: strides.to_vec(), index: None }
}

/// An address plus a stride times an integer in memory.
fn by(address: Address, index: Address, stride: isize, below: usize) -> Address {
    Address { index: Some(Box::new(Indexed { at: index, stride, below })), ..address }
}

fn load(to: Register, from: Address, stride: isize, lanes: usize) -> Statement {
    Statement::Do(Instruction::Load { to, from, lane_stride: stride, lanes })
}

fn store(to: Address, from: Register, stride: isize, lanes: usize) -> Statement {
    Statement::Do(Instruction::Store { to, from, lane_stride: stride, lanes })
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

/// Runs a program both ways on the same memory and compares all of it.
pub(crate) fn check(program: &Program, memory: &[Vec<u32>]) -> Vec<Vec<u32>> {
    let found = run(program, memory);
    let mut expected = memory.to_vec();
    program.evaluate(&mut expected, 0..program.parallel);
    for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
        for (j, (f, e)) in found.iter().zip(expected).enumerate() {
            let same = e == f || (f32::from_bits(*e).is_nan() && f32::from_bits(*f).is_nan());
            assert!(same, "b{i}[{j}]: {f:#x} instead of {e:#x}\n{program}");
        }
    }
    expected
}

/// An artifact of programs with these allocations, without an interface for arrays.
pub(crate) fn artifact(
    programs: Vec<Program>,
    allocations: &[Allocation],
    regions: &[Region],
) -> Artifact {
    let interface = Interface {
        regions: regions.to_vec(),
        arena: 0,
        parameters: ParameterLayout::new(&[]),
        step_scalars: Vec::new(),
        numbers: Vec::new(),
        roots: Vec::new(),
        guard: None,
        phases: Vec::new(),
    };
    let allocations = allocations.to_vec();
    Artifact { target: host::baseline(), programs, buffers: Vec::new(), allocations, interface }
}

/// The contents of the buffers after running a program as machine code; requires that memory
/// around them is unchanged. The buffers are alternately in the parameters, the arena, and
/// an input of their own.
pub(crate) fn run(program: &Program, memory: &[Vec<u32>]) -> Vec<Vec<u32>> {
    const AROUND: u32 = 0xABCD_EF01;
    let sizes: Vec<usize> = memory.iter().map(Vec::len).collect();
    if let Err(message) = program.verify().and_then(|()| program.verify_bounds(&sizes)) {
        panic!("{message}\n{program}");
    }
    let mut regions = vec![Region::Parameters, Region::Arena];
    let mut filled = [0, 0];
    let allocations: Vec<Allocation> = (0..memory.len())
        .map(|i| match i % 3 {
            2 => {
                regions.push(Region::Input(i));
                Allocation { region: Region::Input(i), offset: 0 }
            }
            shared => {
                let offset = filled[shared];
                filled[shared] += memory[i].len() + 5;
                Allocation { region: regions[shared], offset }
            }
        })
        .collect();
    let mut areas: Vec<Vec<u32>> = regions.iter().map(|_| Vec::new()).collect();
    let area = |region| regions.iter().position(|r| *r == region).unwrap();
    for (allocation, buffer) in allocations.iter().zip(memory) {
        let area = &mut areas[area(allocation.region)];
        area.resize(allocation.offset, AROUND);
        area.extend(buffer);
    }
    areas.iter_mut().for_each(|area| area.extend([AROUND; 8]));

    let artifact = artifact(vec![program.clone()], &allocations, &regions);
    let executable = Executable::new(&artifact, true).unwrap_or_else(|e| panic!("{e}\n{program}"));
    let table: Vec<*mut u8> = areas.iter_mut().map(|area| area.as_mut_ptr().cast()).collect();
    // SAFETY: the bounds are verified, and the areas are as large as their buffers,
    // disjoint, and not used by other code.
    unsafe { executable.run(&table) };

    let found = allocations.iter().zip(memory).enumerate().map(|(i, (allocation, buffer))| {
        let found = &areas[area(allocation.region)][allocation.offset..];
        let behind = found[buffer.len()..].iter().take(5);
        assert!({ behind }.all(|x| *x == AROUND), "written behind b{i}\n{program}");
        found[..buffer.len()].to_vec()
    });
    found.collect()
}

fn floats(n: usize, seed: u64) -> Vec<u32> {
    let mut random = Random(seed);
    (0..n).map(|_| random.float()).collect()
}

/// y = f(x) over `n` elements, with a parallel loop over vectors and a
/// tail.
fn elementwise(width: usize, n: usize, f: impl FnOnce(&mut Expressions, Expr) -> Expr) -> Program {
    let mut w = Writer::new(width);
    let mut expressions = Expressions::default();
    let x = expressions.push(Term::Load(0, LaneType::Float));
    let root = f(&mut expressions, x);
    let (mut body, mut iterations) = (Vec::new(), 0);
    for (first, count, lanes) in [(0, n / width, width), (n / width * width, 1, n % width)] {
        if count == 0 || lanes == 0 {
            continue;
        }
        let counter = w.counter();
        let strides: &[(Counter, usize)] = if lanes == width { &[(counter, width)] } else { &[] };
        let x = w.float();
        let mut inner = vec![load(x, at(0, first, strides), 1, lanes)];
        let y = w.lower(&expressions, root, &[x], &mut inner);
        inner.push(store(at(1, first, strides), y, 1, lanes));
        let count = Count::Parallel { first: iterations, count };
        body.push(Statement::Loop(Loop { counter, count, body: inner }));
        iterations += if lanes == width { n / width } else { 1 };
    }
    w.finish("elementwise", 2, iterations, body)
}

/// c = ab, `m`×`k` times `k`×`n`, in tiles of three rows and two vectors.
fn product(width: usize, m: usize, k: usize, n: usize) -> Program {
    let mut w = Writer::new(width);
    let mut body = Vec::new();
    for first_row in (0..m).step_by(3) {
        let rows = (m - first_row).min(3);
        let (column, term) = (w.counter(), w.counter());
        let widths = [width.min(n), n.min(2 * width).saturating_sub(width)];
        let lanes: Vec<usize> = widths.into_iter().filter(|lanes| *lanes > 0).collect();
        let sums: Vec<Vec<Register>> =
            (0..rows).map(|_| lanes.iter().map(|_| w.float()).collect()).collect();
        let mut tile: Vec<Statement> = sums.iter().flatten().map(|r| constant(*r, 0.0)).collect();
        let mut inner = Vec::new();
        let b: Vec<Register> = lanes.iter().map(|_| w.float()).collect();
        for (j, lanes) in lanes.iter().enumerate() {
            inner.push(load(b[j], at(1, width * j, &[(term, n), (column, 2 * width)]), 1, *lanes));
        }
        for (i, sums) in sums.iter().enumerate() {
            let a = w.float();
            inner.push(load(a, at(0, (first_row + i) * k, &[(term, 1)]), 0, width));
            for (sum, b) in sums.iter().zip(&b) {
                inner.push(apply(*sum, Scalar::MulAdd, vec![a, *b, *sum]));
            }
        }
        tile.push(repeat(term, k, inner));
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
