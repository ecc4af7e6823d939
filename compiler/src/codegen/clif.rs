//! A program as a function in Cranelift's language, with 128-bit vectors.
//!
//! The function is `(table: *const *mut u8, begin: i64, end: i64)`: the table
//! has a pointer for each region, and the parallel loop goes from `begin` to
//! `end`. It follows the System V convention everywhere, because Windows' own
//! would have it save half of the vector registers.
//!
//! Instructions come out in the order in which the program has them: Cranelift
//! must not optimise, because it would move every sum of a product loop to the
//! loop's end, away from the loads that should be part of it. So this module
//! does what is to be done: pointers move instead of being multiplied, and what
//! is read from memory is loaded right before its first use, where it becomes
//! an operand. The constants are such operands as well: they lie in a
//! [`Pool`] and take no registers.

use std::collections::HashMap;

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::types::{F32, F32X4, I8X16, I32, I32X4, I64};
use cranelift_codegen::ir::{
    AbiParam, Block, BlockArg, Endianness, GlobalValue, InstBuilder, MemFlagsData, Signature, Type,
    Value,
};
use cranelift_codegen::isa::{CallConv, TargetFrontendConfig};
use cranelift_frontend::FunctionBuilder;

use super::liveness;
use super::pointers::{Base, Pointer, Tensors};
use crate::error::Error;
use crate::kernel::program::{Count, Instruction, Loop, Program, Register, Statement};
use crate::kernel::scalar::{Kind, Scalar};
use crate::plan::{Place, Region};

/// Lanes of a register.
const LANES: usize = 4;

/// Up to so many pointers that move alike are moved one by one. More share an
/// offset, which costs one addition for all and an index in each address.
const OWN_POINTERS: usize = 2;

/// The constants of all functions of a module, four lanes each.
#[derive(Default)]
pub struct Pool {
    lanes: Vec<[u32; LANES]>,
    known: HashMap<[u32; LANES], i32>,
}

impl Pool {
    /// What is to lie at the pool's address, which is a multiple of 16.
    pub fn bytes(&self) -> Vec<u8> {
        self.lanes.iter().flatten().flat_map(|lane| lane.to_ne_bytes()).collect()
    }

    fn offset(&mut self, lanes: [u32; LANES]) -> i32 {
        *self.known.entry(lanes).or_insert_with(|| {
            self.lanes.push(lanes);
            16 * (self.lanes.len() - 1) as i32
        })
    }
}

/// The signature of every kernel.
pub fn signature() -> Signature {
    let mut signature = Signature::new(CallConv::SystemV);
    signature.params = vec![AbiParam::new(I64); 3];
    signature
}

/// Writes a verified program of four lanes into an empty function with the
/// right [`signature`]. `places` is by number of the tensor in the plan;
/// `regions` is the order of the table; `constants` is the address of `pool`.
pub fn emit(
    program: &Program,
    places: &[Place],
    regions: &[Region],
    pool: &mut Pool,
    constants: GlobalValue,
    config: TargetFrontendConfig,
    mut builder: FunctionBuilder<'_>,
) -> Result<(), Error> {
    if program.lanes != LANES {
        let message = format!("`{}` has {} lanes, not 4", program.name, program.lanes);
        return Err(Error::Codegen(message));
    }
    let tensors = Tensors::new(&program.tensors, places, regions);
    let entry = builder.create_block();
    builder.append_block_params_for_function_params(entry);
    builder.switch_to_block(entry);
    let [table, begin, end] = *builder.block_params(entry) else {
        return Err(Error::Codegen("a kernel takes three arguments".into()));
    };

    let mut pointers = HashMap::new();
    for pointer in tensors.needed(&program.body)? {
        let value = match pointer.base {
            Base::Zero => builder.ins().iconst(I64, 0),
            Base::Region(region, bytes) => {
                let start = builder.ins().load(I64, memory(), table, 8 * region as i32);
                if bytes == 0 {
                    start
                } else {
                    let bytes = builder.ins().iconst(I64, bytes);
                    builder.ins().iadd(start, bytes)
                }
            }
        };
        pointers.insert(pointer, value);
    }
    let constants = builder.ins().symbol_value(I64, constants);
    let mut emitter = Emitter {
        program,
        tensors,
        builder,
        pool,
        constants,
        range: (begin, end),
        last_reads: liveness::last_reads(program),
        next: 0,
        held: vec![Held::Nothing; program.registers.len()],
        late: Vec::new(),
        pointers,
    };
    emitter.body(&program.body)?;
    let mut builder = emitter.builder;
    builder.ins().return_(&[]);
    builder.seal_all_blocks();
    builder.finalize(config);
    Ok(())
}

/// What a register holds.
#[derive(Clone, Copy, Debug)]
enum Held {
    /// Nothing yet, or nothing that is needed.
    Nothing,
    /// These bits.
    Constant([u32; LANES]),
    /// What is still to be loaded.
    Late(Load),
    /// A value.
    Value(Value),
}

#[derive(Clone, Copy, Debug)]
struct Load {
    kind: Kind,
    pointer: Value,
    displacement: i32,
    stride: i32,
    lanes: usize,
}

struct Emitter<'a, 'b> {
    program: &'a Program,
    tensors: Tensors<'a>,
    builder: FunctionBuilder<'b>,
    pool: &'a mut Pool,
    constants: Value,
    range: (Value, Value),
    last_reads: Vec<Vec<Register>>,
    /// The number of the next instruction.
    next: usize,
    held: Vec<Held>,
    /// The registers that are [`Held::Late`], and some that were.
    late: Vec<Register>,
    /// The pointers as they are in this iteration of the loops around.
    pointers: HashMap<Pointer, Value>,
}

/// The memory is there, at any multiple of four bytes.
fn memory() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}

fn vector(kind: Kind) -> Type {
    match kind {
        Kind::Float => F32X4,
        Kind::Int | Kind::Mask => I32X4,
    }
}

impl Emitter<'_, '_> {
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

    /// A loop. The test is at its end; only a parallel one may run no time at
    /// all, and then is tested before.
    fn repeat(&mut self, l: &Loop) -> Result<(), Error> {
        self.flush();
        let parallel = l.count == Count::Parallel;
        if l.count == Count::Fixed(1) {
            for pointer in self.tensors.needed(&l.body)? {
                let start = self.pointers[&pointer.outside(l.counter)];
                self.pointers.insert(pointer, start);
            }
            self.body(&l.body)?;
            self.flush();
            return Ok(());
        }

        let inductions = self.inductions(l)?;
        let carried = liveness::carried(&l.body);
        let mut initial: Vec<Value> = inductions.moving.iter().map(|m| m.start).collect();
        for r in &carried {
            let value = self.read(*r);
            initial.push(value);
        }
        // A parallel loop may be skipped: what it changes meets what was before.
        let mut kept = Vec::new();
        if parallel {
            for r in liveness::written(&l.body) {
                if !matches!(self.held[r.0 as usize], Held::Nothing) {
                    kept.push((r, self.read(r)));
                }
            }
        }

        let body = self.builder.create_block();
        let exit = self.builder.create_block();
        let skip: Vec<Value> = kept.iter().map(|(_, value)| *value).collect();
        if parallel {
            let (begin, end) = self.range;
            let some = self.builder.ins().icmp(IntCC::SignedLessThan, begin, end);
            self.builder.ins().brif(some, body, &args(&initial), exit, &args(&skip));
        } else {
            self.builder.ins().jump(body, &args(&initial));
        }

        self.builder.switch_to_block(body);
        let inside: Vec<Value> =
            inductions.moving.iter().map(|_| self.builder.append_block_param(body, I64)).collect();
        for r in &carried {
            let ty = vector(self.program.registers[r.0 as usize]);
            self.held[r.0 as usize] = Held::Value(self.builder.append_block_param(body, ty));
        }
        let outer = self.pointers.clone();
        for (pointer, at) in &inductions.pointers {
            let value = match *at {
                At::Fixed(value) => value,
                At::Moving(i) => inside[i],
                At::Offset(start, i) => self.builder.ins().iadd(start, inside[i]),
            };
            self.pointers.insert(pointer.clone(), value);
        }
        self.body(&l.body)?;
        self.flush();

        let mut again = Vec::new();
        for (moving, value) in inductions.moving.iter().zip(&inside) {
            let step = self.builder.ins().iconst(I64, moving.step);
            again.push(self.builder.ins().iadd(*value, step));
        }
        let (tested, limit) = (again[inductions.tested], inductions.limit);
        for r in &carried {
            let value = self.read(*r);
            again.push(value);
        }
        let last: Vec<Value> = kept.iter().map(|(r, _)| self.read(*r)).collect();
        let limit = match limit {
            Limit::Value(value) => value,
            Limit::Number(n) => self.builder.ins().iconst(I64, n),
        };
        let more = self.builder.ins().icmp(IntCC::NotEqual, tested, limit);
        self.builder.ins().brif(more, body, &args(&again), exit, &args(&last));
        self.builder.switch_to_block(exit);
        self.pointers = outer;
        if parallel {
            self.after_parallel(l, &kept, exit);
        }
        Ok(())
    }

    fn after_parallel(&mut self, l: &Loop, kept: &[(Register, Value)], exit: Block) {
        for r in liveness::written(&l.body) {
            self.held[r.0 as usize] = Held::Nothing;
        }
        for (r, _) in kept {
            let ty = vector(self.program.registers[r.0 as usize]);
            self.held[r.0 as usize] = Held::Value(self.builder.append_block_param(exit, ty));
        }
    }

    /// Decides what a loop moves, and computes before it where that starts and
    /// where one of them ends.
    fn inductions(&mut self, l: &Loop) -> Result<Inductions, Error> {
        let needed = self.tensors.needed(&l.body)?;
        let mut steps: HashMap<i64, usize> = HashMap::new();
        for pointer in &needed {
            *steps.entry(pointer.step(l.counter)).or_default() += 1;
        }
        let mut moving: Vec<Moving> = Vec::new();
        let mut shared: HashMap<i64, usize> = HashMap::new();
        let mut pointers = Vec::new();
        for pointer in needed {
            let start = self.pointers[&pointer.outside(l.counter)];
            let step = pointer.step(l.counter);
            let at = if step == 0 {
                At::Fixed(start)
            } else if steps[&step] <= OWN_POINTERS {
                let start = self.advanced(Some(start), step, l.count);
                moving.push(Moving { start, step, shared: false });
                At::Moving(moving.len() - 1)
            } else {
                let i = *shared.entry(step).or_insert_with(|| {
                    let start = self.advanced(None, step, l.count);
                    moving.push(Moving { start, step, shared: true });
                    moving.len() - 1
                });
                At::Offset(start, i)
            };
            pointers.push((pointer, at));
        }
        if moving.is_empty() {
            let start = self.advanced(None, 1, l.count);
            moving.push(Moving { start, step: 1, shared: true });
        }
        let tested = moving.iter().position(|m| m.shared).unwrap_or(0);
        let Moving { start, step, shared } = moving[tested];
        let limit = match l.count {
            Count::Fixed(n) if shared => Limit::Number(n as i64 * step),
            Count::Fixed(n) => {
                let bytes = self.builder.ins().iconst(I64, n as i64 * step);
                Limit::Value(self.builder.ins().iadd(start, bytes))
            }
            Count::Parallel => {
                let (begin, end) = self.range;
                let iterations = self.builder.ins().isub(end, begin);
                let step = self.builder.ins().iconst(I64, step);
                let bytes = self.builder.ins().imul(iterations, step);
                Limit::Value(self.builder.ins().iadd(start, bytes))
            }
        };
        Ok(Inductions { moving, pointers, tested, limit })
    }

    /// `start`, or zero, as it is in a loop's first iteration.
    fn advanced(&mut self, start: Option<Value>, step: i64, count: Count) -> Value {
        match (start, count) {
            (Some(start), Count::Fixed(_)) => start,
            (None, Count::Fixed(_)) => self.builder.ins().iconst(I64, 0),
            (start, Count::Parallel) => {
                let step = self.builder.ins().iconst(I64, step);
                let offset = self.builder.ins().imul(self.range.0, step);
                start.map_or(offset, |start| self.builder.ins().iadd(start, offset))
            }
        }
    }

    fn instruction(&mut self, instruction: &Instruction) -> Result<(), Error> {
        match instruction {
            Instruction::Constant { to, bits } => self.hold(*to, Held::Constant([*bits; LANES])),
            Instruction::Copy { to, from } => {
                let value = match self.held[from.0 as usize] {
                    held @ Held::Constant(_) => held,
                    _ => Held::Value(self.read(*from)),
                };
                self.hold(*to, value);
            }
            Instruction::Load { to, from, stride, lanes } => {
                let (pointer, displacement) = self.tensors.pointer(from)?;
                let load = Load {
                    kind: self.program.registers[to.0 as usize],
                    pointer: self.pointers[&pointer],
                    displacement,
                    stride: stride_bytes(*stride)?,
                    lanes: *lanes,
                };
                self.hold(*to, Held::Late(load));
                self.late.push(*to);
            }
            Instruction::Store { to, from, stride, lanes } => {
                let value = self.read(*from);
                // What is still to be loaded may be what this overwrites.
                self.flush();
                let (pointer, displacement) = self.tensors.pointer(to)?;
                let pointer = self.pointers[&pointer];
                if *lanes == LANES && *stride == 1 {
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
            Instruction::Position { to, offset, steps, stride } => {
                let lanes: [u32; LANES] = std::array::from_fn(|i| (offset + i * stride) as u32);
                if steps.is_empty() {
                    self.hold(*to, Held::Constant(lanes));
                } else {
                    let position = self.pointers[&Pointer::position(steps)];
                    let position = self.builder.ins().ireduce(I32, position);
                    let position = self.builder.ins().splat(I32X4, position);
                    let lanes = self.constant(lanes, I32X4);
                    let value = self.builder.ins().iadd(position, lanes);
                    self.hold(*to, Held::Value(value));
                }
            }
            Instruction::Apply { to, scalar, operands } => {
                let value = self.apply(*scalar, operands);
                self.hold(*to, Held::Value(value));
            }
            Instruction::Keep { to, from, lanes, bits } => {
                let value = self.read(*from);
                let ty = vector(self.program.registers[from.0 as usize]);
                let value = self.cast(value, I32X4);
                let mask = std::array::from_fn(|i| if i < *lanes { !0 } else { 0 });
                let mask = self.constant(mask, I32X4);
                let mut value = self.builder.ins().band(value, mask);
                if *bits != 0 && *lanes < LANES {
                    let rest = std::array::from_fn(|i| if i < *lanes { 0 } else { *bits });
                    let rest = self.constant(rest, I32X4);
                    value = self.builder.ins().bor(value, rest);
                }
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

    fn apply(&mut self, scalar: Scalar, operands: &[Register]) -> Value {
        let operands = self.ordered(scalar, operands);
        let x: Vec<Value> = operands.iter().map(|r| self.read(*r)).collect();
        match scalar {
            Scalar::Add => self.builder.ins().fadd(x[0], x[1]),
            Scalar::Sub => self.builder.ins().fsub(x[0], x[1]),
            Scalar::Mul => self.builder.ins().fmul(x[0], x[1]),
            Scalar::Div => self.builder.ins().fdiv(x[0], x[1]),
            // These two shapes, and no others, become `maxps` and `minps`.
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
                let bits = self.builder.ins().bitselect(x[0], a, b);
                self.cast(bits, F32X4)
            }
            Scalar::IntAdd => self.builder.ins().iadd(x[0], x[1]),
            Scalar::IntSub => self.builder.ins().isub(x[0], x[1]),
            Scalar::IntEqual => self.builder.ins().icmp(IntCC::Equal, x[0], x[1]),
            Scalar::IntGreater => self.builder.ins().icmp(IntCC::SignedGreaterThan, x[0], x[1]),
            Scalar::And => self.builder.ins().band(x[0], x[1]),
            Scalar::Or => self.builder.ins().bor(x[0], x[1]),
            Scalar::ShiftLeft(by) => {
                let by = self.builder.ins().iconst(I32, i64::from(by));
                self.builder.ins().ishl(x[0], by)
            }
            Scalar::ShiftRight(by) => {
                let by = self.builder.ins().iconst(I32, i64::from(by));
                self.builder.ins().sshr(x[0], by)
            }
            Scalar::ToFloat => self.builder.ins().fcvt_from_sint(F32X4, x[0]),
            Scalar::ToBits => self.cast(x[0], I32X4),
            Scalar::FromBits => self.cast(x[0], F32X4),
        }
    }

    /// Operands that may be exchanged, in the better order: what comes from
    /// memory second; first, for a sum of products, what is needed no longer,
    /// because x86's instruction overwrites it.
    fn ordered(&self, scalar: Scalar, operands: &[Register]) -> Vec<Register> {
        let mut operands = operands.to_vec();
        let exchange = match scalar {
            Scalar::Add
            | Scalar::Mul
            | Scalar::Equal
            | Scalar::IntAdd
            | Scalar::IntEqual
            | Scalar::And
            | Scalar::Or => !self.in_register(operands[0]) && self.in_register(operands[1]),
            Scalar::MulAdd => {
                let last = &self.last_reads[self.next];
                !last.contains(&operands[0]) && last.contains(&operands[1])
            }
            _ => false,
        };
        if exchange {
            operands.swap(0, 1);
        }
        operands
    }

    fn in_register(&self, r: Register) -> bool {
        matches!(self.held[r.0 as usize], Held::Value(_))
    }

    fn hold(&mut self, to: Register, held: Held) {
        self.held[to.0 as usize] = held;
    }

    /// The value of a register.
    fn read(&mut self, r: Register) -> Value {
        match self.held[r.0 as usize] {
            Held::Value(value) => value,
            Held::Late(load) => {
                let value = self.load(load);
                self.hold(r, Held::Value(value));
                value
            }
            // Another load each time: an operand in memory has one user.
            Held::Constant(lanes) => {
                self.constant(lanes, vector(self.program.registers[r.0 as usize]))
            }
            Held::Nothing => unreachable!("r{} is read before it is written", r.0),
        }
    }

    /// Loads what is still to be loaded.
    fn flush(&mut self) {
        for r in std::mem::take(&mut self.late) {
            if matches!(self.held[r.0 as usize], Held::Late(_)) {
                self.read(r);
            }
        }
    }

    fn load(&mut self, load: Load) -> Value {
        let Load { kind, pointer, displacement, stride, lanes } = load;
        let ty = vector(kind);
        if stride == 0 {
            let x = self.builder.ins().load(ty.lane_type(), memory(), pointer, displacement);
            return self.builder.ins().splat(ty, x);
        }
        if stride == 4 && lanes == LANES {
            return self.builder.ins().load(ty, memory(), pointer, displacement);
        }
        let first = self.builder.ins().load(F32, memory(), pointer, displacement);
        let mut value = self.builder.ins().scalar_to_vector(F32X4, first);
        for lane in 1..lanes {
            let at = displacement + lane as i32 * stride;
            let x = self.builder.ins().load(F32, memory(), pointer, at);
            value = self.builder.ins().insertlane(value, x, lane as u8);
        }
        self.cast(value, ty)
    }

    fn constant(&mut self, lanes: [u32; LANES], ty: Type) -> Value {
        if lanes == [0; LANES] {
            let zero = self.builder.func.dfg.constants.insert([0; 16].as_slice().into());
            return self.builder.ins().vconst(ty, zero);
        }
        let offset = self.pool.offset(lanes);
        self.builder.ins().load(ty, memory(), self.constants, offset)
    }

    fn cast(&mut self, value: Value, to: Type) -> Value {
        if self.builder.func.dfg.value_type(value) == to {
            return value;
        }
        // Which byte is which matters where the lanes' sizes differ.
        let order = MemFlagsData::new().with_endianness(Endianness::Little);
        self.builder.ins().bitcast(to, order, value)
    }
}

/// What a loop moves: a pointer, or an offset that pointers share.
#[derive(Clone, Copy)]
struct Moving {
    start: Value,
    step: i64,
    shared: bool,
}

/// Where a loop's body finds a pointer.
enum At {
    /// It does not move.
    Fixed(Value),
    /// It is moved itself.
    Moving(usize),
    /// So far from where it is before the loop.
    Offset(Value, usize),
}

enum Limit {
    Value(Value),
    Number(i64),
}

struct Inductions {
    moving: Vec<Moving>,
    pointers: Vec<(Pointer, At)>,
    /// Which of `moving` tells when the loop ends, and its value then.
    tested: usize,
    limit: Limit,
}

fn args(values: &[Value]) -> Vec<BlockArg> {
    values.iter().map(|value| BlockArg::Value(*value)).collect()
}

/// All lanes must be within reach of one pointer.
fn stride_bytes(stride: usize) -> Result<i32, Error> {
    i32::try_from(4 * stride)
        .ok()
        .filter(|bytes| *bytes <= i32::MAX / 8)
        .ok_or_else(|| Error::Codegen(format!("lanes are {stride} elements apart")))
}
