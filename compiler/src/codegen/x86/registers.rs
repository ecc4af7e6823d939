//! Who is in which register. Instructions come in the order of the text; a
//! value that has to go goes to the stack, and the one that goes is the one
//! that is needed last.

use iced_x86::{Code, Register as Reg};

use super::Emitter;
use super::assembler::{Memory, Operand};
use super::opcodes::{Op, Width};
use crate::codegen::pointers::Pointer;
use crate::kernel::program::{Instruction, Register};
use crate::kernel::scalar::Kind;

/// Where a register of the program is.
#[derive(Clone, Debug)]
pub(super) enum Held {
    /// Nowhere: nobody needs it.
    Nothing,
    /// Still to be loaded.
    Late(Load),
    /// In a machine register, on the stack, or both.
    Here {
        register: Option<u8>,
        /// Whether the stack has it.
        saved: bool,
    },
}

/// A load that has not happened yet.
#[derive(Clone, Debug)]
pub(super) struct Load {
    pub pointer: Pointer,
    pub displacement: i64,
    /// Bytes from lane to lane.
    pub stride: i64,
    pub lanes: usize,
}

/// What a machine register is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Owner {
    Nobody,
    Instruction,
    Register(Register),
}

/// Where registers were at some point: each with its machine register, or on
/// the stack.
pub(super) type Places = Vec<(Register, Option<u8>, bool)>;

/// Machine registers are numbered through: vectors, then masks. k0 cannot mask.
pub(super) const MASKS: u8 = 32;
/// All of them.
pub(super) const ALL: usize = MASKS as usize + 8;

impl Emitter<'_> {
    fn is_mask(&self, r: Register) -> bool {
        self.width == Width::Zmm && self.program.registers[r.0 as usize] == Kind::Mask
    }

    fn class(&self, mask: bool) -> std::ops::Range<u8> {
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
    fn empty(&mut self, mask: bool) -> u8 {
        let mut class = self.class(mask);
        if let Some(free) = class
            .clone()
            .find(|n| self.owners[*n as usize] == Owner::Nobody && self.locked >> n & 1 == 0)
        {
            return free;
        }
        let victim = class
            .clone()
            .filter(|n| self.locked >> n & 1 == 0)
            .filter_map(|n| match self.owners[n as usize] {
                Owner::Register(r) => Some((self.next_use(r), n, r)),
                _ => None,
            })
            .max();
        match victim {
            Some((_, n, r)) => {
                self.send_away(r);
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
            .filter(|n| self.owners[*n as usize] == Owner::Nobody && self.locked >> n & 1 == 0);
        free.count() >= at_least
    }

    /// To the stack, if it is not there, and out of its machine register.
    pub(super) fn send_away(&mut self, r: Register) {
        let Held::Here { register: Some(n), saved } = self.held[r.0 as usize] else { return };
        if !saved {
            let slot = self.slot(r);
            let name = self.name(n);
            let code = if n >= MASKS { Code::VEX_Kmovw_m16_kr } else { Op::Store.code(self.width) };
            self.asm.mr(code, slot, name);
        }
        self.owners[n as usize] = Owner::Nobody;
        self.held[r.0 as usize] = Held::Here { register: None, saved: true };
    }

    /// From the stack into a machine register.
    pub(super) fn bring_back(&mut self, r: Register, n: u8) {
        let slot = self.slot(r);
        let name = self.name(n);
        let code = if n >= MASKS { Code::VEX_Kmovw_kr_km16 } else { Op::Load.code(self.width) };
        self.asm.ro(code, name, Operand::Memory(slot));
        self.owners[n as usize] = Owner::Register(r);
        self.held[r.0 as usize] = Held::Here { register: Some(n), saved: true };
    }

    /// Where in the text a register is read next; what an iteration of the
    /// innermost loop reads before this point, the next one reads again.
    fn next_use(&self, r: Register) -> usize {
        let reads = &self.reads[r.0 as usize];
        let next = reads.partition_point(|at| *at < self.next);
        let found = reads.get(next).copied().unwrap_or(usize::MAX);
        match self.around.last() {
            Some(around) if found >= around.end => {
                let again = next > 0 && reads[next - 1] >= around.start;
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
        self.owners[n as usize] = Owner::Instruction;
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
            match self.held[r.0 as usize].clone() {
                Held::Here { register: Some(n), .. } => n,
                Held::Here { register: None, .. } => {
                    let n = self.empty(self.is_mask(r));
                    self.bring_back(r, n);
                    n
                }
                Held::Late(load) => {
                    let n = self.empty(false);
                    self.load(n, &load);
                    self.owners[n as usize] = Owner::Register(r);
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
            match self.held[r.0 as usize].clone() {
                Held::Late(load) => {
                    let base = self.base(&load.pointer);
                    let broadcast = load.stride == 0;
                    return Operand::Memory(Memory {
                        base,
                        displacement: load.displacement,
                        broadcast,
                    });
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
        let last = self.lives.last_reads[self.next].contains(&r);
        match &self.held[r.0 as usize] {
            Held::Late(load) => {
                let whole = load.lanes == self.width.lanes() && load.stride == 4;
                last && (whole || (load.stride == 0 && self.width == Width::Zmm))
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
        for r in std::mem::take(&mut self.lives.last_reads[self.next]) {
            self.release(r);
        }
    }

    pub(super) fn release(&mut self, r: Register) {
        if let Held::Here { register: Some(n), .. } = self.held[r.0 as usize] {
            self.owners[n as usize] = Owner::Nobody;
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
            self.owners[old as usize] = Owner::Nobody;
        }
        self.owners[n as usize] = Owner::Register(to);
        self.held[to.0 as usize] = Held::Here { register: Some(n), saved: false };
    }

    /// After an instruction, or a part of it that leaves these locked.
    pub(super) fn unlock_but(&mut self, locked: u64) {
        self.locked = locked;
        for (n, owner) in self.owners.iter_mut().enumerate() {
            if *owner == Owner::Instruction && locked >> n & 1 == 0 {
                *owner = Owner::Nobody;
            }
        }
    }

    /// Loads what is still to be loaded.
    pub(super) fn flush(&mut self) {
        let locked = self.locked;
        for r in std::mem::take(&mut self.late) {
            if matches!(self.held[r.0 as usize], Held::Late(_)) {
                self.read(r);
                self.unlock_but(locked);
            }
        }
    }

    /// Where all registers are.
    pub(super) fn places(&self) -> Places {
        let held = self.held.iter().enumerate();
        held.filter_map(|(r, held)| match held {
            Held::Here { register, saved } => Some((Register(r as u32), *register, *saved)),
            _ => None,
        })
        .collect()
    }

    /// Before a loop: makes room for what it needs by sending away what only
    /// stands through it, and brings what it reads.
    pub(super) fn prepare(&mut self, range: std::ops::Range<usize>, written: &[bool]) {
        let mut accessed = vec![false; self.held.len()];
        for instruction in &self.text[range.clone()] {
            for r in instruction.read().into_iter().chain(instruction.written()) {
                accessed[r.0 as usize] = true;
            }
        }
        for mask in [false, true] {
            let most = self.most_at_once(range.clone(), &accessed, mask);
            let free = self.class(mask).len().saturating_sub(1);
            let mut through: Vec<(usize, Register)> = Vec::new();
            for n in self.class(mask) {
                if let Owner::Register(r) = self.owners[n as usize]
                    && !accessed[r.0 as usize]
                {
                    through.push((self.next_use(r), r));
                }
            }
            through.sort_unstable();
            while most + through.len() > free
                && let Some((_, r)) = through.pop()
            {
                self.send_away(r);
            }
            if most + through.len() <= free {
                for r in 0..self.held.len() {
                    let register = Register(r as u32);
                    if accessed[r]
                        && self.is_mask(register) == mask
                        && matches!(self.held[r], Held::Here { register: None, .. })
                        && self.has_empty(mask, 1)
                    {
                        let n = self.empty(mask);
                        self.bring_back(register, n);
                    }
                }
            }
        }
        for (r, written) in written.iter().enumerate() {
            if *written && let Held::Here { register: Some(_), saved } = &mut self.held[r] {
                *saved = false;
            }
        }
    }

    /// How many of a loop's registers are needed at the same time.
    fn most_at_once(&self, range: std::ops::Range<usize>, accessed: &[bool], mask: bool) -> usize {
        let counts = |r: usize| {
            accessed[r] && self.constants[r].is_none() && self.is_mask(Register(r as u32)) == mask
        };
        let mut live: Vec<bool> = (0..self.held.len())
            .map(|r| counts(r) && !matches!(self.held[r], Held::Nothing))
            .collect();
        let mut now = live.iter().filter(|live| **live).count();
        let mut most = now;
        for at in range {
            if let Some(to) = self.text[at].written()
                && counts(to.0 as usize)
                && !self.lives.unread[at]
                && !std::mem::replace(&mut live[to.0 as usize], true)
            {
                now += 1;
            }
            most = most.max(now);
            for r in &self.lives.last_reads[at] {
                if self.text[at].written() != Some(*r)
                    && std::mem::replace(&mut live[r.0 as usize], false)
                {
                    now -= 1;
                }
            }
        }
        most
    }

    /// At the end of a loop: everything back where it was at its start.
    pub(super) fn restore(&mut self, places: &Places) {
        let mut at_start = vec![None; self.held.len()];
        let mut claimed = [false; ALL];
        for (r, register, _) in places {
            at_start[r.0 as usize] = Some(*register);
            if let Some(n) = register {
                claimed[*n as usize] = true;
            }
        }
        for n in 0..ALL {
            let Owner::Register(r) = self.owners[n] else { continue };
            let moves = match at_start[r.0 as usize] {
                Some(Some(start)) => start as usize != n,
                Some(None) => true,
                None => claimed[n],
            };
            if moves {
                self.send_away(r);
            }
        }
        for (r, register, was_saved) in places {
            if let (Held::Here { register: None, .. }, Some(n)) =
                (&self.held[r.0 as usize], register)
            {
                self.bring_back(*r, *n);
            }
            if let Held::Here { register: Some(_), saved } = &mut self.held[r.0 as usize] {
                *saved &= *was_saved;
            }
        }
    }

    /// The instructions that a program's text has, in order.
    pub(super) fn is_written_once(text: &[&Instruction], registers: usize) -> Vec<bool> {
        let mut writes = vec![0usize; registers];
        for r in text.iter().filter_map(|i| i.written()) {
            writes[r.0 as usize] += 1;
        }
        writes.into_iter().map(|n| n == 1).collect()
    }
}
