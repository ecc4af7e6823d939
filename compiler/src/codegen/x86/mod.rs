//! Emits a program as x86-64 machine code, with 256-bit (AVX2 and FMA) or 512-bit
//! vectors (AVX-512 F and DQ).
//!
//! The function has the signature of [`clif`](super::clif): `(table, begin,
//! end)` by the System V convention. Instructions are emitted in program order, without
//! scheduling. The modules:
//!
//! - `registers`: allocation of vector and mask registers, spills and
//!   reloads. A loop begins and ends with the same residency.
//! - `addresses`: one induction pointer for all elements with the same strides; pointers and
//!   the loops' counters are in the general registers, those of inner loops
//!   first.
//! - `instructions`: instruction selection. Loads are deferred to their first use, where they
//!   become a memory operand. Constants are always memory operands.
//! - `checks`: the checks of sanitised programs.
//! - `assembler`: encoding; the constants follow the code.
//!
//! `rdi` holds the table; `rax` and `r11` are scratch registers.

mod addresses;
mod assembler;
mod checks;
mod instructions;
mod loops;
mod memory;
mod opcodes;
mod registers;
mod residency;

use std::collections::BTreeMap;
use std::ops::Range;

use iced_x86::{Code, Register as Reg};
use rustc_hash::FxHashMap;

use self::addresses::{Item, Location, Reach};
use self::assembler::{Assembler, Memory, Operand};
use self::checks::Targets;
use self::instructions::{Constant, mask_of};
use self::opcodes::Width;
use self::registers::{ALL, Held, Occupant};
use super::liveness::{self, Liveness};
use super::pointers::{Buffers, Pointer};
use crate::error::Error;
use crate::plan::{Allocation, Region};
use crate::program::{Instruction, Program, Register, Statement};

/// A function's position-independent bytes.
pub(super) struct Function {
    pub bytes: Vec<u8>,
    /// The number of bytes of code; constants follow.
    pub code: usize,
    /// The code as text, if requested.
    pub text: Option<String>,
}

/// The alignment of the bytes.
pub(super) const ALIGNMENT: u64 = 64;

/// The number of constant masks with a fixed register, the most used ones;
/// the four other mask registers are allocated.
const FIXED_MASKS: usize = 3;

/// The machine code of a verified program of 8 or 16 lanes. `allocations` is indexed by the
/// buffers' numbers in the plan; `regions` is the order of the table.
pub(super) fn emit(
    program: &Program,
    allocations: &[Allocation],
    regions: &[Region],
    with_text: bool,
) -> Result<Function, Error> {
    let Some(width) = Width::of(program.lanes) else {
        let message = format!("`{}` has {} lanes, not 8 or 16", program.name, program.lanes);
        return Err(Error::Codegen(message));
    };
    let mut instructions = Vec::new();
    flatten(&program.body, &mut instructions);
    let registers = program.registers.len();
    let buffers = Buffers::new(&program.buffers, allocations, regions);
    let (pointers, addresses) = Emitter::addresses(&buffers, &instructions)?;
    let mut writes = vec![0usize; registers];
    for r in instructions.iter().filter_map(|i| i.written()) {
        writes[r.0 as usize] += 1;
    }
    let mut constants = vec![None; registers];
    let mut masks: BTreeMap<u16, usize> = BTreeMap::new();
    for instruction in &instructions {
        if let Some(to) = instruction.written()
            && writes[to.0 as usize] == 1
        {
            constants[to.0 as usize] = Constant::of(instruction);
        }
        if let Some(mask) = mask_of(instruction, width) {
            *masks.entry(mask).or_default() += 1;
        }
    }
    let mut masks: Vec<(usize, u16)> = masks.into_iter().map(|(mask, n)| (n, mask)).collect();
    masks.sort_unstable();
    let fixed_masks = masks.iter().rev().take(FIXED_MASKS).map(|(_, mask)| *mask).collect();

    let mut emitter = Emitter {
        program,
        width,
        asm: Assembler::with_capacity(instructions.len()),
        liveness: liveness::liveness(program),
        reads: Reads::new(&instructions, registers),
        instructions,
        next: 0,
        around: Vec::new(),
        constants,
        held: vec![Held::Nothing; registers],
        deferred: Vec::new(),
        owners: [Occupant::Free; ALL],
        locked: 0,
        fixed_masks,
        slots: vec![None; registers],
        frame: 0,
        locations: FxHashMap::default(),
        pointers,
        addresses,
        moving: Vec::new(),
        used: Vec::new(),
        range: (0, 0),
        checks: None,
        monitor: regions.iter().position(|region| *region == Region::Monitor),
        mistake: None,
    };
    emitter.range = (emitter.frame(8), emitter.frame(8));
    emitter.body(&program.body)?;
    emitter.finish(with_text)
}

fn flatten<'a>(body: &'a [Statement], instructions: &mut Vec<&'a Instruction>) {
    for statement in body {
        match statement {
            Statement::Loop(l) => flatten(&l.body, instructions),
            Statement::Do(instruction) => instructions.push(instruction),
        }
    }
}

/// For each register, the numbers of the instructions that read it.
struct Reads {
    all: Vec<u32>,
    /// For each register, the start of its numbers in `all`; and the end of the last.
    starts: Vec<u32>,
}

impl Reads {
    fn new(instructions: &[&Instruction], registers: usize) -> Reads {
        let mut starts = vec![0; registers + 1];
        for r in instructions.iter().flat_map(|i| i.read()) {
            starts[r.0 as usize + 1] += 1;
        }
        for r in 0..registers {
            starts[r + 1] += starts[r];
        }
        let mut next = starts.clone();
        let mut all = vec![0; starts[registers] as usize];
        for (at, instruction) in instructions.iter().enumerate() {
            for r in instruction.read() {
                let next = &mut next[r.0 as usize];
                all[*next as usize] = at as u32;
                *next += 1;
            }
        }
        Reads { all, starts }
    }

    fn of(&self, r: Register) -> &[u32] {
        let [begin, end] = [0, 1].map(|i| self.starts[r.0 as usize + i] as usize);
        &self.all[begin..end]
    }
}

struct Emitter<'a> {
    program: &'a Program,
    width: Width,
    asm: Assembler,
    liveness: Liveness,
    /// All instructions, in program order.
    instructions: Vec<&'a Instruction>,
    /// The number of the next instruction.
    next: usize,
    /// The enclosing loops, as ranges of instructions.
    around: Vec<Range<usize>>,
    reads: Reads,
    /// The registers that are constants: they are never allocated.
    constants: Vec<Option<Constant>>,
    held: Vec<Held>,
    /// All registers that are [`Held::Deferred`], and some that no longer are.
    deferred: Vec<Register>,
    owners: [Occupant; ALL],
    /// The machine registers that the current instruction uses, as bits.
    locked: u64,
    fixed_masks: Vec<u16>,
    /// The registers' stack slots.
    slots: Vec<Option<i64>>,
    /// The size of the stack frame in bytes.
    frame: i64,
    /// The locations of pointers and counters; empty outside of all loops.
    locations: FxHashMap<Item, Location>,
    /// All pointers of the program.
    pointers: Vec<Pointer>,
    /// For each instruction, the address of its element.
    addresses: Vec<Option<Reach>>,
    /// The pointers that have locations.
    moving: Vec<usize>,
    /// The general registers that the function writes.
    used: Vec<Reg>,
    /// The stack slots of the caller's range.
    range: (i64, i64),
    /// The jump targets of checks, in a sanitised program.
    checks: Option<Targets>,
    /// The index of the monitor in the table.
    monitor: Option<usize>,
    /// The first internal error.
    mistake: Option<&'static str>,
}

impl Emitter<'_> {
    fn body(&mut self, body: &[Statement]) -> Result<(), Error> {
        for statement in body {
            match statement {
                Statement::Loop(l) => self.repeat(l)?,
                Statement::Do(instruction) => {
                    self.instruction(instruction)?;
                    self.next += 1;
                }
            }
        }
        Ok(())
    }

    /// Adds the prologue and epilogue, and encodes the function.
    fn finish(mut self, with_text: bool) -> Result<Function, Error> {
        if let Some(mistake) = self.mistake {
            return Err(Error::Codegen(format!("`{}`: {mistake}", self.program.name)));
        }
        let saved: Vec<Reg> = [Reg::RBX, Reg::R12, Reg::R13, Reg::R14, Reg::R15]
            .into_iter()
            .filter(|r| self.used.contains(r))
            .collect();
        let mut prologue = Assembler::default();
        prologue.one(Code::Push_r64, Reg::RBP);
        prologue.ro(Code::Mov_r64_rm64, Reg::RBP, Operand::Register(Reg::RSP));
        for r in &saved {
            prologue.one(Code::Push_r64, *r);
        }
        let frame = i32::try_from((self.frame + 63) / 64 * 64)
            .map_err(|_| Error::Codegen("more than 2 GiB of stack".into()))?;
        prologue.ri(Code::Sub_rm64_imm32, Reg::RSP, frame);
        prologue.ri(Code::And_rm64_imm8, Reg::RSP, -64);
        prologue.mr(Code::Mov_rm64_r64, Memory::at(Reg::RSP, self.range.0), Reg::RSI);
        prologue.mr(Code::Mov_rm64_r64, Memory::at(Reg::RSP, self.range.1), Reg::RDX);
        for (i, mask) in self.fixed_masks.iter().enumerate() {
            prologue.ri(Code::Mov_r32_imm32, Reg::EAX, i32::from(*mask));
            prologue.rr(Code::VEX_Kmovw_kr_r32, Reg::K7 - i as u32, Reg::EAX);
        }
        let mut epilogue = Assembler::default();
        let saved_registers = Memory::at(Reg::RBP, -8 * saved.len() as i64);
        epilogue.ro(Code::Lea_r64_m, Reg::RSP, Operand::Memory(saved_registers));
        for r in saved.iter().rev() {
            epilogue.one(Code::Pop_r64, *r);
        }
        epilogue.one(Code::Pop_r64, Reg::RBP);
        epilogue.none(Code::VEX_Vzeroupper);
        epilogue.none(Code::Retnq);
        self.finish_checks(&mut epilogue)?;
        let text = with_text.then(|| prologue.text() + &self.asm.text() + &epilogue.text());
        let (bytes, code) = self.asm.assemble(prologue, epilogue)?;
        Ok(Function { bytes, code, text })
    }
}
