//! Register allocation in program order: spills the value whose next use is
//! furthest (L. Belady 1966), and reloads it where it is used.

use iced_x86::{Code, Register as Reg};

use super::Emitter;
use super::addresses::Reach;
use super::assembler::{Memory, Operand};
use super::opcodes::{Op, Width};
use crate::expr::scalar::LaneType;
use crate::program::Register;

/// Where a register of the program is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Held {
    /// Nowhere: nobody needs it.
    Nothing,
    /// Still to be loaded.
    Deferred(Load),
    /// In a machine register, on the stack, or both.
    Here {
        register: Option<u8>,
        /// Whether the stack has it.
        saved: bool,
    },
}

/// A load that has not happened yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub from: Reach,
    /// Bytes from lane to lane.
    pub lane_stride: i64,
    pub lanes: usize,
}

/// What a machine register is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Occupant {
    Free,
    Instruction,
    Register(Register),
}

/// Machine registers are numbered through: vectors, then masks. k0 cannot mask.
pub(super) const MASKS: u8 = 32;
/// All of them.
pub(super) const ALL: usize = MASKS as usize + 8;

impl Emitter<'_> {
    pub(super) fn is_mask(&self, r: Register) -> bool {
        self.width == Width::Zmm && self.program.registers[r.0 as usize] == LaneType::Mask
    }

    pub(super) fn class(&self, mask: bool) -> std::ops::Range<u8> {
        match mask {
            true => MASKS + 1..MASKS + 8 - self.fixed_masks.len() as u8,
            false => 0..self.width.registers(),
        }
    }

    pub(super) fn name(&self, number: u8) -> Reg {
        match number.checked_sub(MASKS) {
            Some(mask) => Reg::K0 + u32::from(mask),
            None => self.width.vector(number),
        }
    }

    /// The stack's place for a register.
    fn slot(&mut self, r: Register) -> Memory {
        let at = match self.slots[r.0 as usize] {
            Some(at) => at,
            None => {
                let size = if self.is_mask(r) { 8 } else { 4 * self.width.lanes() as i64 };
                let at = self.frame(size);
                self.slots[r.0 as usize] = Some(at);
                at
            }
        };
        Memory::at(Reg::RSP, at)
    }

    /// New room on the stack, aligned to its size.
    pub(super) fn frame(&mut self, size: i64) -> i64 {
        let at = (self.frame + size - 1) / size * size;
        self.frame = at + size;
        at
    }

    /// A machine register that nobody has, after sending someone away.
    pub(super) fn empty(&mut self, mask: bool) -> u8 {
        let mut class = self.class(mask);
        if let Some(free) = class
            .clone()
            .find(|n| self.owners[*n as usize] == Occupant::Free && self.locked >> n & 1 == 0)
        {
            return free;
        }
        let victim = class
            .clone()
            .filter(|n| self.locked >> n & 1 == 0)
            .filter_map(|n| match self.owners[n as usize] {
                Occupant::Register(r) => Some((self.next_use(r), n, r)),
                _ => None,
            })
            .max();
        match victim {
            Some((_, n, r)) => {
                self.spill(r);
                n
            }
            None => {
                self.mistake = Some("an instruction needs more registers than there are");
                class.next().unwrap_or(0)
            }
        }
    }

    pub(super) fn has_empty(&self, mask: bool, at_least: usize) -> bool {
        let free = self
            .class(mask)
            .filter(|n| self.owners[*n as usize] == Occupant::Free && self.locked >> n & 1 == 0);
        free.count() >= at_least
    }

    /// To the stack, if it is not there, and out of its machine register.
    pub(super) fn spill(&mut self, r: Register) {
        let Held::Here { register: Some(n), saved } = self.held[r.0 as usize] else { return };
        if !saved {
            let slot = self.slot(r);
            let name = self.name(n);
            let code = if n >= MASKS { Code::VEX_Kmovw_m16_kr } else { Op::Store.code(self.width) };
            self.asm.mr(code, slot, name);
        }
        self.owners[n as usize] = Occupant::Free;
        self.held[r.0 as usize] = Held::Here { register: None, saved: true };
    }

    /// From the stack into a machine register.
    pub(super) fn reload(&mut self, r: Register, n: u8) {
        let slot = self.slot(r);
        let name = self.name(n);
        let code = if n >= MASKS { Code::VEX_Kmovw_kr_km16 } else { Op::Load.code(self.width) };
        self.asm.ro(code, name, Operand::Memory(slot));
        self.owners[n as usize] = Occupant::Register(r);
        self.held[r.0 as usize] = Held::Here { register: Some(n), saved: true };
    }

    /// Where in the text a register is read next; what an iteration of the
    /// innermost loop reads before this point, the next one reads again.
    pub(super) fn next_use(&self, r: Register) -> usize {
        let reads = self.reads.of(r);
        let next = reads.partition_point(|at| (*at as usize) < self.next);
        let found = reads.get(next).map_or(usize::MAX, |at| *at as usize);
        match self.around.last() {
            Some(around) if found >= around.end => {
                let again = next > 0 && reads[next - 1] as usize >= around.start;
                if again { around.end } else { found }
            }
            _ => found,
        }
    }

    /// A machine register for the rest of this instruction.
    pub(super) fn temporary(&mut self) -> u8 {
        self.temporary_of(false)
    }

    /// Like [`Self::temporary`], of either kind.
    pub(super) fn temporary_of(&mut self, mask: bool) -> u8 {
        let n = self.empty(mask);
        self.owners[n as usize] = Occupant::Instruction;
        self.locked |= 1 << n;
        n
    }

    /// The machine register in which a register is, now at the latest.
    pub(super) fn read(&mut self, r: Register) -> u8 {
        let n = if let Some(constant) = self.constants[r.0 as usize] {
            let n = self.temporary();
            self.load_constant(n, constant);
            n
        } else {
            match self.held[r.0 as usize] {
                Held::Here { register: Some(n), .. } => n,
                Held::Here { register: None, .. } => {
                    let n = self.empty(self.is_mask(r));
                    self.reload(r, n);
                    n
                }
                Held::Deferred(load) => {
                    let n = self.empty(false);
                    self.load(n, &load);
                    self.owners[n as usize] = Occupant::Register(r);
                    self.held[r.0 as usize] = Held::Here { register: Some(n), saved: false };
                    n
                }
                Held::Nothing => {
                    self.mistake = Some("a register is read before it is written");
                    0
                }
            }
        };
        self.locked |= 1 << n;
        n
    }

    /// A vector as a last operand: from memory, where it is there anyway.
    pub(super) fn operand(&mut self, r: Register) -> Operand {
        if let Some(constant) = self.constants[r.0 as usize] {
            return Operand::Memory(self.constant_operand(constant));
        }
        if self.is_in_memory(r) {
            match self.held[r.0 as usize] {
                Held::Deferred(load) => {
                    let broadcast = load.lane_stride == 0;
                    let at = self.memory(&load.from);
                    return Operand::Memory(Memory { broadcast, ..at });
                }
                Held::Here { register: None, .. } => {
                    return Operand::Memory(self.slot(r));
                }
                _ => {}
            }
        }
        let n = self.read(r);
        Operand::Register(self.name(n))
    }

    /// Whether [`Self::operand`] reads memory.
    pub(super) fn is_in_memory(&self, r: Register) -> bool {
        if self.constants[r.0 as usize].is_some() {
            return true;
        }
        let last = self.liveness.last_reads[self.next].contains(&r);
        match &self.held[r.0 as usize] {
            Held::Deferred(load) => {
                let whole = load.lanes == self.width.lanes() && load.lane_stride == 4;
                last && (whole || (load.lane_stride == 0 && self.width == Width::Zmm))
            }
            Held::Here { register: None, .. } => last || !self.has_empty(false, 2),
            _ => false,
        }
    }

    pub(super) fn in_register(&self, r: Register) -> bool {
        matches!(self.held[r.0 as usize], Held::Here { register: Some(_), .. })
    }

    /// What this instruction is the last to read is needed no longer.
    pub(super) fn release_last(&mut self) {
        for r in std::mem::take(&mut self.liveness.last_reads[self.next]).iter() {
            self.release(*r);
        }
    }

    pub(super) fn release(&mut self, r: Register) {
        if let Held::Here { register: Some(n), .. } = self.held[r.0 as usize] {
            self.owners[n as usize] = Occupant::Free;
            self.locked &= !(1 << n);
        }
        self.held[r.0 as usize] = Held::Nothing;
    }

    /// The machine register that a register is to be written to.
    pub(super) fn define(&mut self, to: Register) -> u8 {
        let n = match self.held[to.0 as usize] {
            Held::Here { register: Some(n), .. } => n,
            _ => self.empty(self.is_mask(to)),
        };
        self.take(to, n);
        self.locked |= 1 << n;
        n
    }

    /// Makes a machine register, which nobody has, that of a register.
    pub(super) fn take(&mut self, to: Register, n: u8) {
        if let Held::Here { register: Some(old), .. } = self.held[to.0 as usize] {
            self.owners[old as usize] = Occupant::Free;
        }
        self.owners[n as usize] = Occupant::Register(to);
        self.held[to.0 as usize] = Held::Here { register: Some(n), saved: false };
    }

    /// After an instruction, or a part of it that leaves these locked.
    pub(super) fn unlock_but(&mut self, locked: u64) {
        let mut unlocked = self.locked & !locked;
        self.locked = locked;
        // Whatever an instruction has is locked.
        while unlocked != 0 {
            let owner = &mut self.owners[unlocked.trailing_zeros() as usize];
            if *owner == Occupant::Instruction {
                *owner = Occupant::Free;
            }
            unlocked &= unlocked - 1;
        }
    }

    /// Loads what is still to be loaded.
    pub(super) fn flush(&mut self) {
        let locked = self.locked;
        for r in std::mem::take(&mut self.deferred) {
            if matches!(self.held[r.0 as usize], Held::Deferred(_)) {
                self.read(r);
                self.unlock_but(locked);
            }
        }
    }
}
