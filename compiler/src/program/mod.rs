//! Programs: kernels lowered for a target, as loops and vector instructions over
//! virtual registers. Plain data: a program can be printed, verified, run by a slow
//! evaluator, and handed to any emitter.
//!
//! All elements are 32 bits wide. Every register has the program's number of
//! lanes and one [`LaneType`]; registers may be written more than once (accumulators
//! are). Loops count from zero in increments of one; addresses have a stride for each
//! loop, so an emitter may use induction pointers instead of multiplications.
//!
//! Lanes beyond those that a load names are undefined: before a reduction over lanes, an
//! [`Instruction::Blend`] must set them.

pub mod evaluate;
pub mod verify;

use std::fmt;

use crate::expr::scalar::{LaneType, Scalar};

/// A kernel lowered for one instruction set: loops and vector instructions over
/// virtual registers. The [module](self) has its rules.
#[derive(Clone, PartialEq, Debug)]
pub struct Program {
    /// The kernel's name, for printouts and profiles.
    pub name: String,
    /// Lanes of every register.
    pub lanes: usize,
    /// Its buffers, by their numbers in the plan.
    pub buffers: Vec<usize>,
    /// The type of each virtual register.
    pub registers: Vec<LaneType>,
    /// The number of iterations that may be split across threads.
    pub parallel: usize,
    /// Its statements.
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

/// A loop: its counter runs through all numbers below `count`.
#[derive(Clone, PartialEq, Debug)]
pub struct Loop {
    /// The counter; each loop has its own.
    pub counter: Counter,
    /// The number of iterations.
    pub count: Count,
    /// The repeated statements.
    pub body: Vec<Statement>,
}

/// The number of iterations of a loop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Count {
    /// A constant, at least one.
    Fixed(usize),
    /// The caller's range of the program's `parallel` iterations,
    /// as far as it is in `first..first + count`; the counter starts at zero
    /// for `first`. Such loops are outermost, and together they have every
    /// iteration once.
    Parallel {
        /// The program's iteration at which this loop starts.
        first: usize,
        /// The number of iterations of this loop; at least one.
        count: usize,
    },
}

/// The address of an element: a buffer, an offset in elements, and a stride for each of some
/// loops.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Address {
    /// An index into the program's `buffers`.
    pub buffer: usize,
    /// Elements from the buffer's start.
    pub offset: usize,
    /// Elements for each iteration of the loops around; none is zero.
    pub strides: Vec<(Counter, isize)>,
    /// A further offset, by an integer in memory.
    pub index: Option<Box<Indexed>>,
}

/// The dynamic offset of an [`Address`]: a stride times an integer that is read from memory
/// at each access.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Indexed {
    /// The address of the integer; it has no index itself.
    pub at: Address,
    /// Elements by which each increment of the integer moves.
    pub stride: isize,
    /// The bound that the integer is below: the caller guarantees it.
    pub below: usize,
}

/// A check of an access before it happens, in a sanitised program.
#[derive(Clone, PartialEq, Debug)]
pub struct Check {
    /// Its number in the program, from 0 in program order.
    pub number: u32,
    /// The kind of the access.
    pub access: Access,
    /// The first lane's element.
    pub at: Address,
    /// Elements from lane to lane.
    pub lane_stride: isize,
    /// The number of lanes that are accessed.
    pub lanes: usize,
}

/// A kind of access to memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Reads elements.
    Load,
    /// Writes elements.
    Store,
    /// Reads the integer of an [`Indexed`] address.
    Index {
        /// The integer must be below it.
        below: usize,
    },
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
        lane_stride: isize,
        /// The number of lanes that are read from memory; nothing beyond is touched.
        lanes: usize,
    },
    /// Element `i` from lane `i`.
    Store {
        /// The first lane's element.
        to: Address,
        /// Read.
        from: Register,
        /// Elements from lane to lane; at least 1.
        lane_stride: isize,
        /// The number of lanes that are written to memory; nothing beyond is touched.
        lanes: usize,
    },
    /// Fetches a cache line that will be needed soon. Changes no value.
    Prefetch {
        /// An element in the line.
        at: Address,
        /// Whether into the first cache; else into the second.
        near: bool,
    },
    /// Ends the program, with a report, unless the access is allowed. Only in programs of
    /// `sanitize`.
    Check(Box<Check>),
    /// Consecutive integers: lane `i` holds `offset + Σ counter · stride + i · lane_stride`,
    /// wrapping.
    Iota {
        /// Written.
        to: Register,
        /// Lane 0 in the first iteration of all loops.
        offset: usize,
        /// The increment for each iteration of some loops.
        strides: Vec<(Counter, isize)>,
        /// The increment from lane to lane.
        lane_stride: isize,
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
        /// The number of lanes taken from `from`.
        lanes: usize,
        /// The bits of the others.
        bits: u32,
    },
    /// Lane `i` is lane `(i + by) mod lanes` of another register.
    Rotate {
        /// Written.
        to: Register,
        /// Read.
        from: Register,
        /// The number of lanes.
        by: usize,
    },
    /// Interleaves the lower or the upper halves of two registers:
    /// lane `2i` is the first one's lane `i` of that half, lane `2i + 1` the
    /// second one's. There are at least two lanes.
    Interleave {
        /// Written.
        to: Register,
        /// Read.
        from: [Register; 2],
        /// Whether the upper halves.
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
            Instruction::Store { .. } | Instruction::Prefetch { .. } | Instruction::Check(_) => {
                None
            }
        }
    }

    /// The address that it accesses, prefetches or checks.
    pub fn address(&self) -> Option<&Address> {
        match self {
            Instruction::Load { from: address, .. }
            | Instruction::Store { to: address, .. }
            | Instruction::Prefetch { at: address, .. } => Some(address),
            Instruction::Check(check) => Some(&check.at),
            _ => None,
        }
    }

    /// The registers that it reads.
    pub fn read(&self) -> &[Register] {
        match self {
            Instruction::Constant { .. }
            | Instruction::Load { .. }
            | Instruction::Prefetch { .. }
            | Instruction::Check(_)
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

/// The operands of an operation, stored inline: most instructions are operations, and an
/// allocation for each would be a large share of the time of lowering.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Operands {
    registers: [Register; MOST_OPERANDS],
    count: usize,
}

/// No operation has more.
const MOST_OPERANDS: usize = 3;

impl Operands {
    /// Appends an operand.
    ///
    /// # Panics
    /// Where there are [`MOST_OPERANDS`] already.
    pub(crate) fn push(&mut self, register: Register) {
        self.registers[self.count] = register;
        self.count += 1;
    }
}

impl FromIterator<Register> for Operands {
    /// # Panics
    /// Where there are more than `MOST_OPERANDS`.
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
            Instruction::Check(check) => {
                let Check { number, access, at, lane_stride: stride, lanes } = &**check;
                match access {
                    Access::Load => write!(f, "check {number}: load {at} × {lanes} by {stride}"),
                    Access::Store => write!(f, "check {number}: store {at} × {lanes} by {stride}"),
                    Access::Index { below } => {
                        write!(f, "check {number}: index {at} below {below}")
                    }
                }
            }
            Instruction::Iota { to, offset, strides, lane_stride } => {
                write!(f, "r{} = iota {offset}", to.0)?;
                print_strides(f, strides)?;
                write!(f, " by {lane_stride}")
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
                write!(f, "r{} = interleave {half} r{} r{}", to.0, a.0, b.0)
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
        if let Some(Indexed { at, stride, below }) = self.index.as_deref() {
            write!(f, " + {at}·{stride} below {below}")?;
        }
        f.write_str("]")
    }
}

fn print_strides(f: &mut fmt::Formatter<'_>, strides: &[(Counter, isize)]) -> fmt::Result {
    strides.iter().try_for_each(|(counter, stride)| write!(f, " + i{}·{stride}", counter.0))
}
