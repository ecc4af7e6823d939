//! Checks of sanitised programs for x86-64: each calls a routine at the function's end, which saves
//! all registers and calls [`sanitized::check_function`].

use iced_x86::{Code, Register as Reg};

use super::Emitter;
use super::addresses::Reach;
use super::assembler::{Assembler, Label, Memory, Operand};
use super::opcodes::{Op, Width};
use crate::codegen::sanitized;
use crate::error::Error;

/// The jump targets of a function's checks.
#[derive(Clone, Copy)]
pub(super) struct Targets {
    /// The routine that calls the check: takes an address in `rax` and the check's number in
    /// `r11`; returns a number in `rax` that is not 0 if the function must return; changes no other
    /// register but `r11` and the flags.
    routine: Label,
    /// The function's epilogue.
    epilogue: Label,
}

/// The registers that the routine saves: all that a called function may change, except `rax` and
/// `r11`. With the return address they are 64 bytes.
const SAVED: [Reg; 7] = [Reg::RCX, Reg::RDX, Reg::RSI, Reg::RDI, Reg::R8, Reg::R9, Reg::R10];

/// Bytes for the mask registers.
const MASK_BYTES: i64 = 64;

impl Emitter<'_> {
    /// Emits a check of an address.
    pub(super) fn check(&mut self, number: u32, at: &Reach) {
        let at = self.memory(at);
        self.asm.ro(Code::Lea_r64_m, Reg::RAX, Operand::Memory(at));
        self.asm.ri(Code::Mov_r32_imm32, Reg::R11D, number as i32);
        let asm = &mut self.asm;
        let targets = *self
            .checks
            .get_or_insert_with(|| Targets { routine: asm.label(), epilogue: asm.label() });
        self.asm.jump(Code::Call_rel32_64, targets.routine);
        self.asm.rr(Code::Test_rm64_r64, Reg::RAX, Reg::RAX);
        self.asm.jump(Code::Jne_rel32_64, targets.epilogue);
    }

    /// Places the targets of the checks, if there are any: the epilogue follows this point, and
    /// the routine is appended to `after`, which has the epilogue.
    pub(super) fn finish_checks(&mut self, after: &mut Assembler) -> Result<(), Error> {
        let Some(Targets { routine, epilogue }) = self.checks else { return Ok(()) };
        let monitor = self.monitor.ok_or_else(sanitized::no_monitor)?;
        self.asm.place(epilogue);
        after.place(routine);
        for r in SAVED {
            after.one(Code::Push_r64, r);
        }
        let bytes = 4 * self.width.lanes() as i64;
        let vectors = (0..self.width.registers()).map(|n| (i64::from(n) * bytes, n));
        let end = i64::from(self.width.registers()) * bytes;
        let masks = match self.width {
            Width::Zmm => 1..8,
            Width::Ymm => 0..0,
        };
        let masks = masks.map(|n: u32| (end + 8 * i64::from(n), Reg::K0 + n));
        let frame = (end + MASK_BYTES) as i32;
        after.ri(Code::Sub_rm64_imm32, Reg::RSP, frame);
        for (at, n) in vectors.clone() {
            let name = self.width.vector(n);
            after.mr(Op::Store.code(self.width), Memory::at(Reg::RSP, at), name);
        }
        for (at, name) in masks.clone() {
            after.mr(Code::VEX_Kmovw_m16_kr, Memory::at(Reg::RSP, at), name);
        }
        let table = Memory::at(Reg::RDI, 8 * monitor as i64);
        after.ro(Code::Mov_r64_rm64, Reg::RDI, Operand::Memory(table));
        after.ro(Code::Mov_r64_rm64, Reg::RSI, Operand::Register(Reg::R11));
        after.ro(Code::Mov_r64_rm64, Reg::RDX, Operand::Register(Reg::RAX));
        after.rl(Code::Mov_r64_imm64, Reg::RAX, sanitized::check_function());
        after.none(Code::VEX_Vzeroupper);
        after.one(Code::Call_rm64, Reg::RAX);
        for (at, n) in vectors {
            let name = self.width.vector(n);
            after.ro(Op::Load.code(self.width), name, Operand::Memory(Memory::at(Reg::RSP, at)));
        }
        for (at, name) in masks {
            let saved = Operand::Memory(Memory::at(Reg::RSP, at));
            after.ro(Code::VEX_Kmovw_kr_km16, name, saved);
        }
        after.ri(Code::Add_rm64_imm32, Reg::RSP, frame);
        for r in SAVED.into_iter().rev() {
            after.one(Code::Pop_r64, r);
        }
        after.none(Code::Retnq);
        Ok(())
    }
}
