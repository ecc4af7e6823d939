//! Emits a program as a function in Cranelift IR, with 128-bit vectors.
//!
//! The function is `(table: *const *mut u8, begin: i64, end: i64)`: the table
//! has a pointer for each region, and the parallel loop runs from `begin` to
//! `end`. It uses the System V calling convention everywhere: with that of Windows it would have
//! to save half of the vector registers.
//!
//! Instructions are emitted in program order: Cranelift
//! must not optimise, because it would move every sum of a product loop to the
//! loop's end, away from the loads that should be folded into it. So this module
//! optimises itself: loops increment pointers instead of multiplying, and loads
//! are deferred to their first use, where they become a memory
//! operand. Constants are memory operands as well: they are in a
//! [`Pool`] and take no registers.

mod checks;
mod instructions;
mod loops;

use cranelift_codegen::ir::types::{F32, F32X4, I32X4, I64};
use cranelift_codegen::ir::{
    AbiParam, Endianness, GlobalValue, InstBuilder, MemFlagsData, Signature, Type, Value,
};
use cranelift_codegen::isa::{CallConv, TargetFrontendConfig};
use cranelift_frontend::FunctionBuilder;
use rustc_hash::FxHashMap;

use self::checks::Checks;
use super::liveness;
use super::pointers::{Base, Buffers, Pointer};
use crate::error::Error;
use crate::expr::scalar::LaneType;
use crate::plan::{Allocation, Region};
use crate::program::{Operands, Program, Register, Statement};

/// Lanes of a register.
pub(super) const LANES: usize = 4;

/// The constants of all functions of a module, four lanes each.
#[derive(Default)]
pub struct Pool {
    lanes: Vec<[u32; LANES]>,
    known: FxHashMap<[u32; LANES], i32>,
}

impl Pool {
    /// The contents of the pool; its address must be a multiple of 16.
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

/// Writes a verified program of four lanes into an empty function with this
/// [`signature`]. `allocations` is indexed by the buffers' numbers in the plan;
/// `regions` is the order of the table; `constants` is the address of `pool`.
pub fn emit(
    program: &Program,
    allocations: &[Allocation],
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
    let buffers = Buffers::new(&program.buffers, allocations, regions);
    let entry = builder.create_block();
    builder.append_block_params_for_function_params(entry);
    builder.switch_to_block(entry);
    let [table, begin, end] = *builder.block_params(entry) else {
        return Err(Error::Codegen("a kernel takes three arguments".into()));
    };

    let mut pointers = FxHashMap::default();
    for pointer in buffers.needed(&program.body)? {
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
    let monitor = regions.iter().position(|region| *region == Region::Monitor);
    let checks = monitor.map(|slot| {
        let monitor = builder.ins().load(I64, memory(), table, 8 * slot as i32);
        Checks::new(&mut builder, monitor)
    });
    let mut emitter = Emitter {
        program,
        checks,
        buffers,
        builder,
        pool,
        constants,
        range: (begin, end),
        last_reads: liveness::last_reads(program),
        next: 0,
        held: vec![Held::Nothing; program.registers.len()],
        deferred: Vec::new(),
        pointers,
    };
    emitter.body(&program.body)?;
    let mut builder = emitter.builder;
    builder.ins().return_(&[]);
    if let Some(checks) = checks {
        checks.finish(&mut builder);
    }
    builder.seal_all_blocks();
    builder.finalize(config);
    Ok(())
}

/// The content of a virtual register.
#[derive(Clone, Copy, Debug)]
enum Held {
    /// Nothing, or a dead value.
    Nothing,
    /// These bits.
    Constant([u32; LANES]),
    /// A load that has not been emitted yet.
    Deferred(Load),
    /// A value.
    Value(Value),
}

#[derive(Clone, Copy, Debug)]
struct Load {
    kind: LaneType,
    pointer: Value,
    displacement: i32,
    stride: i32,
    lanes: usize,
}

struct Emitter<'a, 'b> {
    program: &'a Program,
    buffers: Buffers<'a>,
    builder: FunctionBuilder<'b>,
    pool: &'a mut Pool,
    constants: Value,
    /// In a sanitised program.
    checks: Option<Checks>,
    range: (Value, Value),
    last_reads: Vec<Operands>,
    /// The number of the next instruction.
    next: usize,
    held: Vec<Held>,
    /// All registers that are [`Held::Deferred`], and some that no longer are.
    deferred: Vec<Register>,
    /// The pointers in the current iteration of the enclosing loops.
    pointers: FxHashMap<Pointer, Value>,
}

/// Accesses do not trap; addresses are aligned to four bytes only.
fn memory() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}

fn vector(kind: LaneType) -> Type {
    match kind {
        LaneType::Float => F32X4,
        LaneType::Int | LaneType::Mask => I32X4,
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
            Held::Deferred(load) => {
                let value = self.load(load);
                self.hold(r, Held::Value(value));
                value
            }
            // A new load for each use: a memory operand has one user.
            Held::Constant(lanes) => {
                self.constant(lanes, vector(self.program.registers[r.0 as usize]))
            }
            Held::Nothing => unreachable!("r{} is read before it is written", r.0),
        }
    }

    /// Emits all deferred loads.
    fn flush(&mut self) {
        for r in std::mem::take(&mut self.deferred) {
            if matches!(self.held[r.0 as usize], Held::Deferred(_)) {
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
        // The byte order matters where the lanes' sizes differ.
        let order = MemFlagsData::new().with_endianness(Endianness::Little);
        self.builder.ins().bitcast(to, order, value)
    }
}
