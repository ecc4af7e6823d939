//! Instruction selection for x86-64: one instruction of a program at a time.

use iced_x86::{Code, Register as Reg};

use super::Emitter;
use super::assembler::{Memory, Operand};
use super::opcodes::{Op, Width};
use super::registers::{Held, Load};
use crate::error::Error;
use crate::expr::scalar::Scalar;
use crate::faults::{self, Fault};
use crate::program::{Instruction, Register};

/// The value of a register that is constant in the entire program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Constant {
    /// The same bits in all lanes.
    Bits(u32),
    /// Integers: that of lane 0, and the increment from lane to lane.
    From(u32, u32),
}

impl Constant {
    /// The result of an instruction, if it is a constant.
    pub fn of(instruction: &Instruction) -> Option<Constant> {
        match instruction {
            Instruction::Constant { bits, .. } => Some(Constant::Bits(*bits)),
            Instruction::Iota { offset, strides, lane_stride, .. } if strides.is_empty() => {
                Some(Constant::iota(*offset, *lane_stride))
            }
            _ => None,
        }
    }

    fn iota(offset: usize, stride: isize) -> Constant {
        match stride {
            0 => Constant::Bits(offset as u32),
            _ => Constant::From(offset as u32, stride as u32),
        }
    }
}

/// The mask of the first lanes.
pub(super) fn first(lanes: usize) -> u16 {
    ((1u32 << lanes) - 1) as u16
}

/// The mask that an instruction needs, where masks have registers.
pub(super) fn mask_of(instruction: &Instruction, width: Width) -> Option<u16> {
    let all = width.lanes();
    match instruction {
        Instruction::Load { lane_stride: 1, lanes, .. }
        | Instruction::Store { lane_stride: 1, lanes, .. }
            if width == Width::Zmm && *lanes > 1 && *lanes < all =>
        {
            Some(first(*lanes))
        }
        Instruction::Blend { lanes, bits, .. } if width == Width::Zmm && *lanes < all => {
            Some(if *bits == 0 { first(*lanes) } else { !first(*lanes) })
        }
        _ => None,
    }
}

/// Comparisons of `vcmpps`: ordered, quiet.
const EQUAL: i32 = 0x00;
const GREATER_EQUAL: i32 = 0x1D;
const GREATER: i32 = 0x1E;

impl Emitter<'_> {
    pub(super) fn instruction(&mut self, instruction: &Instruction) -> Result<(), Error> {
        let written = instruction.written();
        let constant = written.is_some_and(|to| self.constants[to.0 as usize].is_some());
        if constant || (written.is_some() && self.liveness.unread[self.next]) {
            // Its result is dead, or a constant that each use loads.
            self.release_last();
            if let (Some(to), false) = (written, constant) {
                self.release(to);
            }
            return Ok(());
        }
        match instruction {
            Instruction::Constant { to, bits } => {
                let n = self.define(*to);
                self.load_constant(n, Constant::Bits(*bits));
            }
            Instruction::Copy { to, from } => self.copy(*to, *from),
            Instruction::Load { to, lane_stride: stride, lanes, .. } => {
                let from = self.address()?;
                let (stride, lanes) = (stride_bytes(*stride)?, *lanes);
                self.release(*to);
                let load = Load { from, lane_stride: stride, lanes };
                self.held[to.0 as usize] = Held::Deferred(load);
                self.deferred.push(*to);
            }
            Instruction::Store { from, lane_stride: stride, lanes, .. } => {
                let from = self.read(*from);
                // The store may overwrite elements of deferred loads.
                if !faults::is(Fault::LoadBehindStore) {
                    self.flush();
                }
                let to = self.address()?;
                let to = self.memory(&to);
                let is_cut = !faults::is(Fault::StoreMask) || *stride != 1;
                let lanes = if is_cut { *lanes } else { self.width.lanes() };
                self.store(to, from, stride_bytes(*stride)?, lanes);
                self.release_last();
            }
            Instruction::Prefetch { near, .. } => {
                let at = self.address()?;
                let at = self.memory(&at);
                let code = if *near { Code::Prefetcht0_m8 } else { Code::Prefetcht1_m8 };
                self.asm.m(code, at);
            }
            Instruction::Check(check) => {
                let at = self.address()?;
                self.check(check.number, &at);
            }
            Instruction::Iota { to, offset, strides, lane_stride } => {
                let n = self.define(*to);
                let constant = Constant::iota(*offset, *lane_stride);
                if strides.is_empty() {
                    self.load_constant(n, constant);
                } else {
                    let pointer = self.address()?.pointer;
                    self.iota(n, pointer, constant);
                }
            }
            Instruction::Apply { to, scalar, operands } => self.apply(*to, *scalar, operands),
            Instruction::Blend { to, from, lanes, bits } => self.blend(*to, *from, *lanes, *bits),
            Instruction::Interleave { to, from, upper } => self.interleave(*to, *from, *upper),
            Instruction::Rotate { to, from, by } => self.rotate(*to, *from, *by),
        }
        self.unlock_except(0);
        Ok(())
    }

    pub(super) fn three(&mut self, op: Op, to: u8, a: u8, b: Operand) {
        let (to, a) = (self.name(to), self.name(a));
        self.asm.rro(op.code(self.width), to, a, b);
    }

    pub(super) fn two(&mut self, op: Op, to: u8, a: Operand) {
        let to = self.name(to);
        self.asm.ro(op.code(self.width), to, a);
    }

    /// A constant as an operand.
    pub(super) fn constant_operand(&mut self, constant: Constant) -> Memory {
        match constant {
            Constant::Bits(bits) => self.all_lanes(bits),
            Constant::From(first, increment) => {
                let lanes = self.width.lanes() as u32;
                let lanes = (0..lanes).map(|i| first.wrapping_add(i.wrapping_mul(increment)));
                let lanes: Vec<u32> = lanes.collect();
                self.asm.constant(&lanes)
            }
        }
    }

    /// The same bits in all lanes, as an operand.
    fn all_lanes(&mut self, bits: u32) -> Memory {
        match self.width {
            Width::Ymm => self.asm.constant(&[bits; 8]),
            Width::Zmm => Memory { broadcast: true, ..self.asm.constant(&[bits]) },
        }
    }

    pub(super) fn load_constant(&mut self, to: u8, constant: Constant) {
        if constant == Constant::Bits(0) {
            let to = self.name(to);
            self.asm.rro(Op::Xor.code(self.width), to, to, Operand::Register(to));
            return;
        }
        let memory = self.constant_operand(constant);
        let op = if memory.broadcast { Op::Broadcast } else { Op::Load };
        self.two(op, to, Operand::Memory(Memory { broadcast: false, ..memory }));
    }

    /// A mask register with these bits.
    pub(super) fn mask(&mut self, bits: u16) -> Reg {
        if let Some(i) = self.fixed_masks.iter().position(|mask| *mask == bits) {
            return Reg::K7 - i as u32;
        }
        self.fresh_mask(bits)
    }

    /// A mask register with these bits that the instruction may overwrite.
    pub(super) fn fresh_mask(&mut self, bits: u16) -> Reg {
        let n = self.temporary_mask();
        self.asm.ri(Code::Mov_r32_imm32, Reg::R11D, i32::from(bits));
        let name = self.name(n);
        self.asm.rr(Code::VEX_Kmovw_kr_r32, name, Reg::R11D);
        name
    }

    fn copy(&mut self, to: Register, from: Register) {
        if to == from {
            return;
        }
        if let Some(constant) = self.constants[from.0 as usize] {
            let n = self.define(to);
            self.load_constant(n, constant);
            return;
        }
        let n = self.read(from);
        let last = self.liveness.last_reads[self.next].contains(&from);
        self.release_last();
        if last {
            self.assign(to, n);
            return;
        }
        let to = self.define(to);
        let (to_name, from) = (self.name(to), self.name(n));
        let is_mask = from >= Reg::K0 && from <= Reg::K7;
        let code = if is_mask { Code::VEX_Kmovw_kr_km16 } else { Op::Move.code(self.width) };
        self.asm.rr(code, to_name, from);
    }

    fn blend(&mut self, to: Register, from: Register, lanes: usize, bits: u32) {
        if lanes == self.width.lanes() {
            return self.copy(to, from);
        }
        let from = self.read(from);
        match self.width {
            Width::Zmm => {
                let mask = self.mask(if bits == 0 { first(lanes) } else { !first(lanes) });
                let filler = (bits != 0).then(|| self.all_lanes(bits));
                self.release_last();
                let to = self.define(to);
                let (to, from) = (self.name(to), self.name(from));
                match filler {
                    Some(filler) => {
                        let code = Code::EVEX_Vblendmps_zmm_k1z_zmm_zmmm512b32;
                        self.asm.rro(code, to, from, Operand::Memory(filler)).set_op_mask(mask);
                    }
                    None => {
                        let instruction = self.asm.rr(Op::Move.code(self.width), to, from);
                        instruction.set_op_mask(mask);
                        instruction.set_zeroing_masking(true);
                    }
                }
            }
            Width::Ymm => {
                let filler = Operand::Memory(self.all_lanes(bits));
                self.release_last();
                let to = self.define(to);
                let (to, from) = (self.name(to), self.name(from));
                let lane_mask = i32::from(!first(lanes) & 0xFF);
                self.asm.rroi(Code::VEX_Vblendps_ymm_ymm_ymmm256_imm8, to, from, filler, lane_mask);
            }
        }
    }

    fn rotate(&mut self, to: Register, from: Register, by: usize) {
        if by == 0 {
            return self.copy(to, from);
        }
        let n = self.read(from);
        let from = self.name(n);
        match self.width {
            Width::Zmm if from >= Reg::K0 && from <= Reg::K7 => {
                self.release_last();
                let to = self.define(to);
                let to = self.name(to);
                self.asm.rr(Code::VEX_Kmovw_r32_kr, Reg::EAX, from);
                self.asm.ri(Code::Ror_rm16_imm8, Reg::AX, by as i32);
                self.asm.rr(Code::VEX_Kmovw_kr_r32, to, Reg::EAX);
            }
            Width::Zmm => {
                self.release_last();
                let to = self.define(to);
                let to = self.name(to);
                let code = Code::EVEX_Valignd_zmm_k1z_zmm_zmmm512b32_imm8;
                self.asm.rroi(code, to, from, Operand::Register(from), by as i32);
            }
            Width::Ymm => {
                let index = self.temporary();
                let lanes: [u32; 8] = std::array::from_fn(|i| ((i + by) % 8) as u32);
                let lanes = self.asm.constant(&lanes);
                self.two(Op::Load, index, Operand::Memory(lanes));
                self.release_last();
                let to = self.define(to);
                let from = Operand::Register(from);
                let (to, index) = (self.name(to), self.name(index));
                self.asm.rro(Code::VEX_Vpermd_ymm_ymm_ymmm256, to, index, from);
            }
        }
    }

    fn interleave(&mut self, to: Register, from: [Register; 2], upper: bool) {
        let [a, b] = from.map(|r| {
            let n = self.read(r);
            self.locked |= 1 << n;
            self.name(n)
        });
        match self.width {
            Width::Zmm => {
                let first = if upper { 8 } else { 0 };
                let lanes: [u32; 16] =
                    std::array::from_fn(|i| first + i as u32 / 2 + i as u32 % 2 * 16);
                let lanes = self.asm.constant(&lanes);
                // The result overwrites the vector of lane indices.
                let n = self.temporary();
                self.two(Op::Load, n, Operand::Memory(lanes));
                let name = self.name(n);
                let code = Code::EVEX_Vpermi2ps_zmm_k1z_zmm_zmmm512b32;
                self.asm.rro(code, name, a, Operand::Register(b));
                self.release_last();
                self.assign(to, n);
            }
            Width::Ymm => {
                // Interleaves within 128-bit halves, then combines the halves.
                let (low, high) = (self.temporary(), self.temporary());
                let (low, high) = (self.name(low), self.name(high));
                let b = Operand::Register(b);
                self.asm.rro(Code::VEX_Vunpcklps_ymm_ymm_ymmm256, low, a, b);
                self.asm.rro(Code::VEX_Vunpckhps_ymm_ymm_ymmm256, high, a, b);
                self.release_last();
                let to = self.define(to);
                let to = self.name(to);
                let halves = if upper { 0x31 } else { 0x20 };
                let high = Operand::Register(high);
                self.asm.rroi(Code::VEX_Vperm2f128_ymm_ymm_ymmm256_imm8, to, low, high, halves);
            }
        }
    }

    fn apply(&mut self, to: Register, scalar: Scalar, x: &[Register]) {
        match scalar {
            Scalar::Add => self.binary(to, Op::Add, x, true),
            Scalar::Sub => self.binary(to, Op::Sub, x, false),
            Scalar::Mul => self.binary(to, Op::Mul, x, true),
            Scalar::Div => self.binary(to, Op::Div, x, false),
            // x86 also returns the second operand if one is NaN.
            Scalar::Max => self.binary(to, Op::Max, x, faults::is(Fault::MaximumOperands)),
            Scalar::Min => self.binary(to, Op::Min, x, false),
            Scalar::IntAdd => self.binary(to, Op::IntAdd, x, true),
            Scalar::IntSub => self.binary(to, Op::IntSub, x, false),
            Scalar::And => self.binary(to, Op::And, x, true),
            Scalar::Or => self.binary(to, Op::Or, x, true),
            Scalar::Xor => self.binary(to, Op::Xor, x, true),
            Scalar::IntEqual => self.binary(to, Op::IntEqual, x, true),
            Scalar::IntGreater => self.binary(to, Op::IntGreater, x, false),
            Scalar::Greater => self.compare(to, GREATER, x, false),
            Scalar::GreaterEqual => self.compare(to, GREATER_EQUAL, x, false),
            Scalar::Equal => self.compare(to, EQUAL, x, true),
            Scalar::Neg => self.with_bits(to, Op::Xor, x[0], 0x8000_0000),
            Scalar::Abs => self.with_bits(to, Op::And, x[0], 0x7FFF_FFFF),
            Scalar::Sqrt => self.unary(to, Op::Sqrt, x[0]),
            Scalar::ToFloat => self.unary(to, Op::ToFloat, x[0]),
            Scalar::ToBits | Scalar::FromBits => self.copy(to, x[0]),
            Scalar::ShiftLeft(by) => self.shift(to, Op::ShiftLeft, x[0], by),
            Scalar::ShiftRight(by) => self.shift(to, Op::ShiftRight, x[0], by),
            Scalar::ShiftBitsRight(by) => self.shift(to, Op::ShiftBitsRight, x[0], by),
            Scalar::Select => self.select(to, x),
            Scalar::MulAdd => self.mul_add(to, x),
        }
    }

    /// Two operands, the second possibly in memory; swapped if they
    /// are commutative and only the first is in memory.
    fn operands(&mut self, x: &[Register], is_commutative: bool) -> (u8, Operand) {
        let swap = is_commutative && self.is_in_memory(x[0]) && !self.is_in_memory(x[1]);
        let (a, b) = if swap { (x[1], x[0]) } else { (x[0], x[1]) };
        let a = self.read(a);
        (a, self.operand(b))
    }

    fn binary(&mut self, to: Register, op: Op, x: &[Register], is_commutative: bool) {
        let (a, b) = self.operands(x, is_commutative);
        self.release_last();
        let to = self.define(to);
        self.three(op, to, a, b);
    }

    fn compare(&mut self, to: Register, predicate: i32, x: &[Register], is_commutative: bool) {
        let (a, b) = self.operands(x, is_commutative);
        self.release_last();
        let to = self.define(to);
        let (to, a) = (self.name(to), self.name(a));
        self.asm.rroi(Op::Compare.code(self.width), to, a, b, predicate);
    }

    fn unary(&mut self, to: Register, op: Op, x: Register) {
        let x = self.operand(x);
        self.release_last();
        let to = self.define(to);
        self.two(op, to, x);
    }

    fn with_bits(&mut self, to: Register, op: Op, x: Register, bits: u32) {
        let x = self.read(x);
        let bits = Operand::Memory(self.all_lanes(bits));
        self.release_last();
        let to = self.define(to);
        self.three(op, to, x, bits);
    }

    fn shift(&mut self, to: Register, op: Op, x: Register, by: u8) {
        let x = self.read(x);
        self.release_last();
        let to = self.define(to);
        let (to, x) = (self.name(to), self.name(x));
        self.asm.rri(op.code(self.width), to, x, i32::from(by));
    }

    fn select(&mut self, to: Register, x: &[Register]) {
        let mask = self.read(x[0]);
        let no = self.read(x[2]);
        let yes = self.operand(x[1]);
        self.release_last();
        let to = self.define(to);
        let (to, no, mask) = (self.name(to), self.name(no), self.name(mask));
        match self.width {
            Width::Zmm => {
                let code = Code::EVEX_Vblendmps_zmm_k1z_zmm_zmmm512b32;
                self.asm.rro(code, to, no, yes).set_op_mask(mask);
            }
            Width::Ymm => {
                self.asm.rror(Code::VEX_Vblendvps_ymm_ymm_ymmm256_ymm, to, no, yes, mask);
            }
        }
    }

    /// Overwrites one of the operands: the addend if it is dead afterwards,
    /// as in products; else a factor that is, or a copy of the addend.
    fn mul_add(&mut self, to: Register, x: &[Register]) {
        let is_last_read = |this: &Self, r: Register| {
            this.constants[r.0 as usize].is_none()
                && this.liveness.last_reads[this.next].contains(&r)
        };
        let (mut a, mut b, c) = (x[0], x[1], x[2]);
        let factor = |this: &Self, r: Register| is_last_read(this, r) && this.in_register(r);
        if !is_last_read(self, c) && (factor(self, a) || factor(self, b)) {
            if !factor(self, a) {
                std::mem::swap(&mut a, &mut b);
            }
            let n = self.read(a);
            let (op, second, third) = match self.is_in_memory(c) || !self.is_in_memory(b) {
                true => (Op::MulAdd213, b, c),
                false => (Op::MulAdd132, c, b),
            };
            let second = self.read(second);
            let third = self.operand(third);
            self.release_last();
            self.assign(to, n);
            self.three(op, n, second, third);
            return;
        }
        if self.is_in_memory(a) && !self.is_in_memory(b) {
            std::mem::swap(&mut a, &mut b);
        }
        if is_last_read(self, c) {
            let n = self.read(c);
            let first = self.read(a);
            let second = self.operand(b);
            self.release_last();
            self.assign(to, n);
            self.three(Op::MulAdd231, n, first, second);
            return;
        }
        // Into a copy of the addend.
        let sum = self.temporary();
        match self.constants[c.0 as usize] {
            Some(constant) => self.load_constant(sum, constant),
            None => {
                let c = self.read(c);
                let c = self.name(c);
                self.two(Op::Move, sum, Operand::Register(c));
            }
        }
        let first = self.read(a);
        let second = self.operand(b);
        self.release_last();
        self.assign(to, sum);
        self.three(Op::MulAdd231, sum, first, second);
    }

    /// A scratch mask register until the end of the current instruction.
    fn temporary_mask(&mut self) -> u8 {
        self.temporary_of(true)
    }
}

/// A lane stride in bytes, so small that all lanes are within reach of one displacement.
fn stride_bytes(stride: isize) -> Result<i64, Error> {
    i64::try_from(stride)
        .ok()
        .filter(|stride| stride.abs() <= i64::from(i32::MAX) / 128)
        .map(|stride| 4 * stride)
        .ok_or_else(|| Error::Codegen(format!("a lane stride of {stride} elements is too large")))
}
