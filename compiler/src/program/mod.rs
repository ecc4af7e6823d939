//! Programs: kernels lowered for a target.
//!
//! A kernel lowered for one instruction set: loops and vector instructions over
//! virtual registers. Plain data: it can be printed, verified, run by a slow
//! evaluator, and handed to any emitter.
//!
//! All elements are 32 bits wide. Every register has the program's number of
//! lanes and one [`LaneType`]; registers may be written more than once (accumulators
//! are). Loops count from zero in steps of one; addresses say how far an
//! iteration moves them, so an emitter is free to keep pointers instead.
//!
//! Lanes beyond those that a load names hold anything: whoever reduces them
//! must [`Instruction::Blend`] the right ones first.

pub mod evaluate;
pub mod verify;

use std::fmt;

use crate::expr::scalar::{LaneType, Scalar};

/// A kernel lowered for one instruction set: loops and vector instructions over
/// virtual registers. The [module](self) has its rules.
#[derive(Clone, PartialEq, Debug)]
pub struct Program {
    /// Which kernel it is; for printouts and profiles.
    pub name: String,
    /// Lanes of every register.
    pub lanes: usize,
    /// The memory that it works on: for each, the buffer's number in the plan.
    pub buffers: Vec<usize>,
    /// The kind of each virtual register.
    pub registers: Vec<LaneType>,
    /// How many iterations may be split across threads.
    pub parallel: usize,
    /// What it does.
    pub body: Vec<Statement>,
}

/// A virtual register.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, Default)]
pub struct Register(pub u32);

/// A loop's counter.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Counter(pub u32);

/// A loop or an instruction.
#[derive(Clone, PartialEq, Debug)]
pub enum Statement {
    /// A loop.
    Loop(Loop),
    /// An instruction.
    Do(Instruction),
}

/// A loop: its counter goes through all numbers below `count`.
#[derive(Clone, PartialEq, Debug)]
pub struct Loop {
    /// The counter; each loop has its own.
    pub counter: Counter,
    /// How many iterations.
    pub count: Count,
    /// What is repeated.
    pub body: Vec<Statement>,
}

/// How many iterations a loop has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Count {
    /// Always so many, at least one.
    Fixed(usize),
    /// Those of a program's `parallel` iterations that the caller asks for,
    /// as far as they lie in `first..first + count`; the counter starts at zero
    /// for `first`. Such loops are outermost, and together they have every
    /// iteration once.
    Parallel {
        /// The program's iteration that is this loop's first.
        first: usize,
        /// How many of them are this loop's; at least one.
        count: usize,
    },
}

/// Where an element lies: in a buffer, so many elements from its start, and so
/// many more for every iteration of some loops.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Address {
    /// A place in the program's `buffers`.
    pub buffer: usize,
    /// Elements from the buffer's start.
    pub offset: usize,
    /// Elements for each iteration of the loops around; none is zero.
    pub strides: Vec<(Counter, usize)>,
    /// More elements, by an integer in memory.
    pub index: Option<Box<Indexed>>,
}

/// A part of an [`Address`] that is read from memory at each access: so many
/// elements for each of an integer.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Indexed {
    /// Where the integer lies; that address has no index.
    pub at: Address,
    /// Elements for each.
    pub stride: usize,
    /// What the integer is below: whoever runs the program has seen to it.
    pub below: usize,
}

/// One instruction.
#[derive(Clone, PartialEq, Debug)]
pub enum Instruction {
    /// The same bits in all lanes.
    Constant {
        /// Written.
        to: Register,
        /// The bits.
        bits: u32,
    },
    /// Another register's lanes.
    Copy {
        /// Written.
        to: Register,
        /// Read.
        from: Register,
    },
    /// Lane `i` from element `i · stride` on. A stride of 0 puts one element
    /// in all lanes, and then `lanes` is all of them.
    Load {
        /// Written.
        to: Register,
        /// The first lane's element.
        from: Address,
        /// Elements from lane to lane.
        lane_stride: usize,
        /// How many lanes are read from memory: beyond, nothing is touched.
        lanes: usize,
    },
    /// Element `i` from lane `i`.
    Store {
        /// The first lane's element.
        to: Address,
        /// Read.
        from: Register,
        /// Elements from lane to lane; at least 1.
        lane_stride: usize,
        /// How many lanes are written to memory: beyond, nothing is touched.
        lanes: usize,
    },
    /// Says that a cache line will be needed soon. Changes nothing.
    Prefetch {
        /// An element in the line.
        at: Address,
        /// Whether into the nearest cache, or the one behind it.
        near: bool,
    },
    /// Integers: lane `i` holds `offset + Σ counter · step + i · stride`,
    /// wrapping.
    Iota {
        /// Written.
        to: Register,
        /// The first.
        offset: usize,
        /// More for every iteration of some loops.
        strides: Vec<(Counter, usize)>,
        /// From lane to lane.
        lane_stride: usize,
    },
    /// An operation on each lane.
    Apply {
        /// Written.
        to: Register,
        /// The operation.
        scalar: Scalar,
        /// Read.
        operands: Operands,
    },
    /// The first lanes of a register, and the same bits in the others.
    Blend {
        /// Written.
        to: Register,
        /// Read.
        from: Register,
        /// How many lanes are kept.
        lanes: usize,
        /// The others.
        bits: u32,
    },
    /// Lane `i` is lane `(i + by) mod lanes` of another register.
    Rotate {
        /// Written.
        to: Register,
        /// Read.
        from: Register,
        /// How far.
        by: usize,
    },
    /// Lanes of two registers in turn, from their lower or their upper halves:
    /// lane `2i` is the first one's lane `i` of that half, lane `2i + 1` the
    /// second one's. There are at least two lanes.
    Interleave {
        /// Written.
        to: Register,
        /// Read.
        from: [Register; 2],
        /// Whether from the upper halves.
        upper: bool,
    },
}

impl Instruction {
    /// The register that it writes.
    pub fn written(&self) -> Option<Register> {
        match self {
            Instruction::Constant { to, .. }
            | Instruction::Copy { to, .. }
            | Instruction::Load { to, .. }
            | Instruction::Iota { to, .. }
            | Instruction::Apply { to, .. }
            | Instruction::Blend { to, .. }
            | Instruction::Interleave { to, .. }
            | Instruction::Rotate { to, .. } => Some(*to),
            Instruction::Store { .. } | Instruction::Prefetch { .. } => None,
        }
    }

    /// The registers that it reads.
    pub fn read(&self) -> &[Register] {
        match self {
            Instruction::Constant { .. }
            | Instruction::Load { .. }
            | Instruction::Prefetch { .. }
            | Instruction::Iota { .. } => &[],
            Instruction::Copy { from, .. }
            | Instruction::Store { from, .. }
            | Instruction::Blend { from, .. }
            | Instruction::Rotate { from, .. } => std::slice::from_ref(from),
            Instruction::Apply { operands, .. } => operands,
            Instruction::Interleave { from, .. } => from,
        }
    }
}

/// The operands of an operation, in the instruction itself: most instructions
/// are operations, and memory for each would be a good part of lowering.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Operands {
    registers: [Register; MOST_OPERANDS],
    count: usize,
}

/// No operation has more.
const MOST_OPERANDS: usize = 3;

impl Operands {
    /// # Panics
    /// Where there are as many as any operation has.
    pub(crate) fn push(&mut self, register: Register) {
        self.registers[self.count] = register;
        self.count += 1;
    }
}

impl FromIterator<Register> for Operands {
    /// # Panics
    /// Where there are more than any operation has.
    fn from_iter<I: IntoIterator<Item = Register>>(from: I) -> Operands {
        let mut operands = Operands::default();
        from.into_iter().for_each(|register| operands.push(register));
        operands
    }
}

impl<const N: usize> From<[Register; N]> for Operands {
    fn from(registers: [Register; N]) -> Operands {
        registers.into_iter().collect()
    }
}

impl std::ops::Deref for Operands {
    type Target = [Register];

    fn deref(&self) -> &[Register] {
        &self.registers[..self.count]
    }
}

impl fmt::Debug for Operands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self[..].fmt(f)
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "program {} ({} lanes, {} parallel)", self.name, self.lanes, self.parallel)?;
        for (i, buffer) in self.buffers.iter().enumerate() {
            writeln!(f, "  b{i} = buffer {buffer}")?;
        }
        print(f, &self.body, 1)
    }
}

fn print(f: &mut fmt::Formatter<'_>, body: &[Statement], depth: usize) -> fmt::Result {
    for statement in body {
        write!(f, "{:1$}", "", 2 * depth)?;
        match statement {
            Statement::Loop(l) => {
                match l.count {
                    Count::Fixed(n) => writeln!(f, "for i{} in 0..{n}", l.counter.0)?,
                    Count::Parallel { first, count } => {
                        writeln!(f, "for i{} in 0..{count} parallel from {first}", l.counter.0)?;
                    }
                }
                print(f, &l.body, depth + 1)?;
            }
            Statement::Do(instruction) => writeln!(f, "{instruction}")?,
        }
    }
    Ok(())
}

impl fmt::Display for Instruction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Instruction::Constant { to, bits } => {
                write!(f, "r{} = {:?} ({bits:#x})", to.0, f32::from_bits(*bits))
            }
            Instruction::Copy { to, from } => write!(f, "r{} = r{}", to.0, from.0),
            Instruction::Load { to, from, lane_stride: stride, lanes } => {
                write!(f, "r{} = load {from} × {lanes} by {stride}", to.0)
            }
            Instruction::Store { to, from, lane_stride: stride, lanes } => {
                write!(f, "store {to} × {lanes} by {stride} = r{}", from.0)
            }
            Instruction::Prefetch { at, near } => {
                write!(f, "prefetch {at}{}", if *near { " near" } else { "" })
            }
            Instruction::Iota { to, offset, strides: steps, lane_stride: stride } => {
                write!(f, "r{} = position {offset}", to.0)?;
                print_strides(f, steps)?;
                write!(f, " by {stride}")
            }
            Instruction::Apply { to, scalar, operands } => {
                write!(f, "r{} = {scalar:?}", to.0)?;
                operands.iter().try_for_each(|x| write!(f, " r{}", x.0))
            }
            Instruction::Blend { to, from, lanes, bits } => {
                write!(f, "r{} = first {lanes} of r{}, then {bits:#x}", to.0, from.0)
            }
            Instruction::Interleave { to, from: [a, b], upper } => {
                let half = if *upper { "upper" } else { "lower" };
                write!(f, "r{} = {half} halves of r{} and r{} in turn", to.0, a.0, b.0)
            }
            Instruction::Rotate { to, from, by } => {
                write!(f, "r{} = r{} rotated by {by}", to.0, from.0)
            }
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b{}[{}", self.buffer, self.offset)?;
        print_strides(f, &self.strides)?;
        if let Some(Indexed { at, stride: step, below }) = self.index.as_deref() {
            write!(f, " + {at}·{step} below {below}")?;
        }
        f.write_str("]")
    }
}

fn print_strides(f: &mut fmt::Formatter<'_>, steps: &[(Counter, usize)]) -> fmt::Result {
    steps.iter().try_for_each(|(counter, step)| write!(f, " + i{}·{step}", counter.0))
}
