//! Register allocation in program order: spills the value whose next use is
//! furthest (L. Belady 1966), and reloads it where it is used.

use iced_x86::{Code, Register as Reg};

use super::Emitter;
use super::addresses::Reach;
use super::assembler::{Memory, Operand};
use super::opcodes::{Op, Width};
use crate::expr::scalar::LaneType;
use crate::faults::{self, Fault};
use crate::program::Register;

/// The location of a virtual register's value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Held {
    /// Nowhere: it is dead.
    Nothing,
    /// In memory: its load has not been emitted yet.
    Deferred(Load),
    /// In a machine register, on the stack, or both.
    Here {
        register: Option<u8>,
        /// Whether its stack slot has the value.
        saved: bool,
    },
}

/// A deferred load.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub from: Reach,
    /// Bytes from lane to lane.
    pub lane_stride: i64,
    pub lanes: usize,
}

/// The owner of a machine register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Occupant {
    Free,
    Instruction,
    Register(Register),
}

/// The number of the first mask register: vectors are numbered before masks. k0 cannot mask.
pub(super) const MASKS: u8 = 32;
/// The number of machine registers.
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

    /// A register's stack slot.
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

    /// A new stack slot, aligned to its size.
    pub(super) fn frame(&mut self, size: i64) -> i64 {
        let at = (self.frame + size - 1) / size * size;
        self.frame = at + size;
        at
    }

    /// A free machine register; spills a value if there is none.
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

    /// Spills a register: stores it in its slot, unless it is saved, and frees its machine
    /// register.
    pub(super) fn spill(&mut self, r: Register) {
        let Held::Here { register: Some(n), saved } = self.held[r.0 as usize] else { return };
        if !saved && !faults::is(Fault::StaleSpill) {
            let slot = self.slot(r);
            let name = self.name(n);
            let code = if n >= MASKS { Code::VEX_Kmovw_m16_kr } else { Op::Store.code(self.width) };
            self.asm.mr(code, slot, name);
        }
        self.owners[n as usize] = Occupant::Free;
        self.held[r.0 as usize] = Held::Here { register: None, saved: true };
    }

    /// Loads a register from its slot into a machine register.
    pub(super) fn reload(&mut self, r: Register, n: u8) {
        let slot = self.slot(r);
        let name = self.name(n);
        let code = if n >= MASKS { Code::VEX_Kmovw_kr_km16 } else { Op::Load.code(self.width) };
        self.asm.ro(code, name, Operand::Memory(slot));
        self.owners[n as usize] = Occupant::Register(r);
        self.held[r.0 as usize] = Held::Here { register: Some(n), saved: true };
    }

    /// The number of the next instruction that reads a register. A register that the
    /// innermost loop reads only before this point is read again in the next iteration.
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

    /// A scratch vector register until the end of the current instruction.
    pub(super) fn temporary(&mut self) -> u8 {
        self.temporary_of(false)
    }

    /// Like [`Self::temporary`], a vector or mask register.
    pub(super) fn temporary_of(&mut self, mask: bool) -> u8 {
        let n = self.empty(mask);
        self.owners[n as usize] = Occupant::Instruction;
        self.locked |= 1 << n;
        n
    }

    /// The machine register of a register; loads it if it is not in one.
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

    /// A vector as a last operand: a memory operand if the value is in memory.
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
                let is_full = load.lanes == self.width.lanes() && load.lane_stride == 4;
                last && (is_full || (load.lane_stride == 0 && self.width == Width::Zmm))
            }
            Held::Here { register: None, .. } => last || !self.has_empty(false, 2),
            _ => false,
        }
    }

    pub(super) fn in_register(&self, r: Register) -> bool {
        matches!(self.held[r.0 as usize], Held::Here { register: Some(_), .. })
    }

    /// Frees the registers that the current instruction reads for the last time.
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

    /// The machine register for writing a register.
    pub(super) fn define(&mut self, to: Register) -> u8 {
        let n = match self.held[to.0 as usize] {
            Held::Here { register: Some(n), .. } => n,
            _ => self.empty(self.is_mask(to)),
        };
        self.assign(to, n);
        self.locked |= 1 << n;
        n
    }

    /// Assigns a free machine register to a register.
    pub(super) fn assign(&mut self, to: Register, n: u8) {
        if let Held::Here { register: Some(old), .. } = self.held[to.0 as usize] {
            self.owners[old as usize] = Occupant::Free;
        }
        self.owners[n as usize] = Occupant::Register(to);
        self.held[to.0 as usize] = Held::Here { register: Some(n), saved: false };
    }

    /// Unlocks all machine registers except these, and frees scratch registers among them.
    pub(super) fn unlock_except(&mut self, locked: u64) {
        let mut unlocked = self.locked & !locked;
        self.locked = locked;
        // Scratch registers are always locked.
        while unlocked != 0 {
            let owner = &mut self.owners[unlocked.trailing_zeros() as usize];
            if *owner == Occupant::Instruction {
                *owner = Occupant::Free;
            }
            unlocked &= unlocked - 1;
        }
    }

    /// Emits all deferred loads.
    pub(super) fn flush(&mut self) {
        let locked = self.locked;
        for r in std::mem::take(&mut self.deferred) {
            if matches!(self.held[r.0 as usize], Held::Deferred(_)) {
                self.read(r);
                self.unlock_except(locked);
            }
        }
    }
}
