//! Instruction selection for Cranelift: one instruction of a program at a time.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::types::{F32X4, I8X16, I32, I32X4, I64};
use cranelift_codegen::ir::{InstBuilder, Value};

use super::{Emitter, Held, LANES, Load, memory, vector};
use crate::codegen::pointers::Pointer;
use crate::error::Error;
use crate::expr::scalar::Scalar;
use crate::faults::{self, Fault};
use crate::program::{Address, Instruction, Operands, Register};

impl Emitter<'_, '_> {
    pub(super) fn instruction(&mut self, instruction: &Instruction) -> Result<(), Error> {
        match instruction {
            Instruction::Constant { to, bits } => self.hold(*to, Held::Constant([*bits; LANES])),
            Instruction::Copy { to, from } => {
                let value = match self.held[from.0 as usize] {
                    held @ Held::Constant(_) => held,
                    _ => Held::Value(self.read(*from)),
                };
                self.hold(*to, value);
            }
            Instruction::Load { to, from, lane_stride: stride, lanes } => {
                let (pointer, displacement) = self.address(from)?;
                let load = Load {
                    kind: self.program.registers[to.0 as usize],
                    pointer,
                    displacement,
                    stride: stride_bytes(*stride)?,
                    lanes: *lanes,
                };
                self.hold(*to, Held::Deferred(load));
                self.deferred.push(*to);
            }
            Instruction::Store { to, from, lane_stride: stride, lanes } => {
                let value = self.read(*from);
                // The store may overwrite elements of deferred loads.
                if !faults::is(Fault::ClifLoadBehindStore) {
                    self.flush();
                }
                let (pointer, displacement) = self.address(to)?;
                let is_cut = *lanes < LANES && !faults::is(Fault::StoreMask);
                if !is_cut && *stride == 1 {
                    self.builder.ins().store(memory(), value, pointer, displacement);
                } else {
                    let value = self.cast(value, F32X4);
                    let stride = stride_bytes(*stride)?;
                    for lane in 0..*lanes {
                        let x = self.builder.ins().extractlane(value, lane as u8);
                        let at = displacement + lane as i32 * stride;
                        self.builder.ins().store(memory(), x, pointer, at);
                    }
                }
            }
            Instruction::Check(check) => self.check(check)?,
            // Cranelift has no prefetch instruction.
            Instruction::Prefetch { .. } => {}
            Instruction::Iota { to, offset, strides, lane_stride } => {
                let lanes: [u32; LANES] =
                    std::array::from_fn(|i| (*offset as isize + i as isize * lane_stride) as u32);
                if strides.is_empty() {
                    self.hold(*to, Held::Constant(lanes));
                } else {
                    let count = self.pointers[&Pointer::iota(strides)];
                    let count = self.builder.ins().ireduce(I32, count);
                    let count = self.builder.ins().splat(I32X4, count);
                    let lanes = self.constant(lanes, I32X4);
                    let value = self.builder.ins().iadd(count, lanes);
                    self.hold(*to, Held::Value(value));
                }
            }
            Instruction::Apply { to, scalar, operands } => {
                let value = self.apply(*scalar, operands);
                self.hold(*to, Held::Value(value));
            }
            Instruction::Blend { to, from, lanes, bits } => {
                let value = self.read(*from);
                let ty = vector(self.program.registers[from.0 as usize]);
                let value = self.cast(value, I32X4);
                let mask = std::array::from_fn(|i| if i < *lanes { !0 } else { 0 });
                let mask = self.constant(mask, I32X4);
                let mut value = self.builder.ins().band(value, mask);
                if *bits != 0 && *lanes < LANES {
                    let filler = std::array::from_fn(|i| if i < *lanes { 0 } else { *bits });
                    let filler = self.constant(filler, I32X4);
                    value = self.builder.ins().bor(value, filler);
                }
                let value = self.cast(value, ty);
                self.hold(*to, Held::Value(value));
            }
            Instruction::Interleave { to, from, upper } => {
                let ty = vector(self.program.registers[to.0 as usize]);
                let [a, b] = from.map(|r| {
                    let value = self.read(r);
                    self.cast(value, I8X16)
                });
                // Cranelift selects one instruction for each of these two shuffles.
                let first: u8 = if *upper { 8 } else { 0 };
                let bytes: Vec<u8> =
                    (0..16).map(|i| first + i / 8 * 4 + i % 4 + (i / 4 % 2) * 16).collect();
                let bytes = self.builder.func.dfg.immediates.push(bytes.into());
                let value = self.builder.ins().shuffle(a, b, bytes);
                let value = self.cast(value, ty);
                self.hold(*to, Held::Value(value));
            }
            Instruction::Rotate { to, from, by } => {
                let value = self.read(*from);
                let ty = vector(self.program.registers[from.0 as usize]);
                let value = self.cast(value, I8X16);
                let bytes: Vec<u8> = (0..16).map(|i| ((i + 4 * by) % 16) as u8).collect();
                let bytes = self.builder.func.dfg.immediates.push(bytes.into());
                let value = self.builder.ins().shuffle(value, value, bytes);
                let value = self.cast(value, ty);
                self.hold(*to, Held::Value(value));
            }
        }
        Ok(())
    }

    /// The pointer of an address, and its displacement in bytes.
    pub(super) fn address(&mut self, address: &Address) -> Result<(Value, i32), Error> {
        let (pointer, displacement) = self.buffers.pointer(address)?;
        let pointer = self.pointers[&pointer];
        let Some(index) = &address.index else { return Ok((pointer, displacement)) };
        let (at, from) = self.buffers.pointer(&index.at)?;
        let found = self.builder.ins().load(I32, memory(), self.pointers[&at], from);
        let found = self.builder.ins().uextend(I64, found);
        let stride = self.builder.ins().iconst(I64, 4 * index.stride as i64);
        let bytes = self.builder.ins().imul(found, stride);
        Ok((self.builder.ins().iadd(pointer, bytes), displacement))
    }

    fn apply(&mut self, scalar: Scalar, operands: &[Register]) -> Value {
        let operands = self.ordered(scalar, operands);
        let x: Vec<Value> = operands.iter().map(|r| self.read(*r)).collect();
        match scalar {
            Scalar::Add => self.builder.ins().fadd(x[0], x[1]),
            Scalar::Sub => self.builder.ins().fsub(x[0], x[1]),
            Scalar::Mul => self.builder.ins().fmul(x[0], x[1]),
            Scalar::Div => self.builder.ins().fdiv(x[0], x[1]),
            // Cranelift selects `maxps` and `minps` for these two patterns only.
            Scalar::Max => {
                let mask = self.builder.ins().fcmp(FloatCC::LessThan, x[1], x[0]);
                let mask = self.cast(mask, F32X4);
                self.builder.ins().bitselect(mask, x[0], x[1])
            }
            Scalar::Min => {
                let mask = self.builder.ins().fcmp(FloatCC::LessThan, x[0], x[1]);
                let mask = self.cast(mask, F32X4);
                self.builder.ins().bitselect(mask, x[0], x[1])
            }
            Scalar::Neg => {
                let bits = self.cast(x[0], I32X4);
                let sign = self.constant([0x8000_0000; LANES], I32X4);
                let bits = self.builder.ins().bxor(bits, sign);
                self.cast(bits, F32X4)
            }
            Scalar::Abs => {
                let bits = self.cast(x[0], I32X4);
                let mask = self.constant([0x7FFF_FFFF; LANES], I32X4);
                let bits = self.builder.ins().band(bits, mask);
                self.cast(bits, F32X4)
            }
            Scalar::Sqrt => self.builder.ins().sqrt(x[0]),
            Scalar::MulAdd => self.builder.ins().fma(x[0], x[1], x[2]),
            Scalar::Greater => self.builder.ins().fcmp(FloatCC::GreaterThan, x[0], x[1]),
            Scalar::GreaterEqual => {
                self.builder.ins().fcmp(FloatCC::GreaterThanOrEqual, x[0], x[1])
            }
            Scalar::Equal => self.builder.ins().fcmp(FloatCC::Equal, x[0], x[1]),
            Scalar::Select => {
                let (a, b) = (self.cast(x[1], I32X4), self.cast(x[2], I32X4));
                let (a, b) = if faults::is(Fault::SelectedSide) { (b, a) } else { (a, b) };
                let bits = self.builder.ins().bitselect(x[0], a, b);
                self.cast(bits, F32X4)
            }
            Scalar::IntAdd => self.builder.ins().iadd(x[0], x[1]),
            Scalar::IntSub => self.builder.ins().isub(x[0], x[1]),
            Scalar::IntEqual => self.builder.ins().icmp(IntCC::Equal, x[0], x[1]),
            Scalar::IntGreater => self.builder.ins().icmp(IntCC::SignedGreaterThan, x[0], x[1]),
            Scalar::And => self.builder.ins().band(x[0], x[1]),
            Scalar::Or => self.builder.ins().bor(x[0], x[1]),
            Scalar::Xor => self.builder.ins().bxor(x[0], x[1]),
            Scalar::ShiftLeft(by) => {
                let by = self.builder.ins().iconst(I32, i64::from(by));
                self.builder.ins().ishl(x[0], by)
            }
            Scalar::ShiftRight(by) => {
                let by = self.builder.ins().iconst(I32, i64::from(by));
                self.builder.ins().sshr(x[0], by)
            }
            Scalar::ShiftBitsRight(by) => {
                let by = self.builder.ins().iconst(I32, i64::from(by));
                self.builder.ins().ushr(x[0], by)
            }
            Scalar::ToFloat => self.builder.ins().fcvt_from_sint(F32X4, x[0]),
            Scalar::ToBits => self.cast(x[0], I32X4),
            Scalar::FromBits => self.cast(x[0], F32X4),
        }
    }

    /// Commutative operands in the better order: a memory operand
    /// second; for a multiply-add, a factor that is read for the last time first,
    /// because x86's instruction overwrites it.
    fn ordered(&self, scalar: Scalar, operands: &[Register]) -> Operands {
        let exchange = match scalar {
            Scalar::Add
            | Scalar::Mul
            | Scalar::Equal
            | Scalar::IntAdd
            | Scalar::IntEqual
            | Scalar::And
            | Scalar::Or
            | Scalar::Xor => !self.in_register(operands[0]) && self.in_register(operands[1]),
            Scalar::MulAdd => {
                let last = &self.last_reads[self.next];
                !last.contains(&operands[0]) && last.contains(&operands[1])
            }
            _ => false,
        };
        let order = if exchange { [1, 0, 2] } else { [0, 1, 2] };
        order.into_iter().filter_map(|i| operands.get(i).copied()).collect()
    }
}

/// A lane stride in bytes, so small that all lanes are within reach of one displacement.
fn stride_bytes(stride: isize) -> Result<i32, Error> {
    i32::try_from(4 * stride)
        .ok()
        .filter(|bytes| *bytes <= i32::MAX / 8)
        .ok_or_else(|| Error::Codegen(format!("a lane stride of {stride} elements is too large")))
}
