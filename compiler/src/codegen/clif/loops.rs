//! Loops for Cranelift: induction variables and the pointers that move with them.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{Block, BlockArg, InstBuilder, Value};
use rustc_hash::FxHashMap;

use super::{Emitter, Held, vector};
use crate::codegen::liveness;
use crate::codegen::pointers::Pointer;
use crate::error::Error;
use crate::program::{Count, Loop, Register};

/// Up to this number of pointers with equal strides are incremented separately. More share an
/// offset, which costs one addition for all and an index in each address.
const OWN_POINTERS: usize = 2;

impl Emitter<'_, '_> {
    /// Emits a loop. The test is at its end; only a parallel loop may have no iteration,
    /// and is also tested before it.
    pub(super) fn repeat(&mut self, l: &Loop) -> Result<(), Error> {
        self.flush();
        let outer_range = self.range;
        let parallel = matches!(l.count, Count::Parallel { .. });
        if let Count::Parallel { first, count } = l.count {
            self.range = self.share(outer_range, first, count);
        }
        if l.count == Count::Fixed(1) {
            for pointer in self.buffers.needed(&l.body)? {
                let start = self.pointers[&pointer.outside(l.counter)];
                self.pointers.insert(pointer, start);
            }
            self.body(&l.body)?;
            self.flush();
            return Ok(());
        }

        let inductions = self.inductions(l)?;
        let carried = liveness::carried(self.program, &l.body);
        let mut initial: Vec<Value> = inductions.moving.iter().map(|m| m.start).collect();
        for r in &carried {
            let value = self.read(*r);
            initial.push(value);
        }
        // A parallel loop may be skipped: registers that it writes are merged with their values
        // before it.
        let mut merged = Vec::new();
        if parallel {
            for r in liveness::written(self.program, &l.body) {
                if !matches!(self.held[r.0 as usize], Held::Nothing) {
                    merged.push((r, self.read(r)));
                }
            }
        }

        let body = self.builder.create_block();
        let exit = self.builder.create_block();
        let skip: Vec<Value> = merged.iter().map(|(_, value)| *value).collect();
        if parallel {
            let (begin, end) = self.range;
            let is_entered = self.builder.ins().icmp(IntCC::SignedLessThan, begin, end);
            self.builder.ins().brif(is_entered, body, &args(&initial), exit, &args(&skip));
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

        let mut next_values = Vec::new();
        for (moving, value) in inductions.moving.iter().zip(&inside) {
            let stride = self.builder.ins().iconst(I64, moving.stride);
            next_values.push(self.builder.ins().iadd(*value, stride));
        }
        let (tested, limit) = (next_values[inductions.tested], inductions.limit);
        for r in &carried {
            let value = self.read(*r);
            next_values.push(value);
        }
        let last: Vec<Value> = merged.iter().map(|(r, _)| self.read(*r)).collect();
        let limit = match limit {
            Limit::Value(value) => value,
            Limit::Number(n) => self.builder.ins().iconst(I64, n),
        };
        let is_running = self.builder.ins().icmp(IntCC::NotEqual, tested, limit);
        self.builder.ins().brif(is_running, body, &args(&next_values), exit, &args(&last));
        self.builder.switch_to_block(exit);
        self.pointers = outer;
        self.range = outer_range;
        if parallel {
            self.after_parallel(l, &merged, exit);
        }
        Ok(())
    }

    fn after_parallel(&mut self, l: &Loop, merged: &[(Register, Value)], exit: Block) {
        for r in liveness::written(self.program, &l.body) {
            self.held[r.0 as usize] = Held::Nothing;
        }
        for (r, _) in merged {
            let ty = vector(self.program.registers[r.0 as usize]);
            self.held[r.0 as usize] = Held::Value(self.builder.append_block_param(exit, ty));
        }
    }

    /// Chooses the induction variables of a loop, and emits their start values and
    /// the limit of the tested one, before the loop.
    fn inductions(&mut self, l: &Loop) -> Result<Inductions, Error> {
        let needed = self.buffers.needed(&l.body)?;
        let mut counts: FxHashMap<i64, usize> = FxHashMap::default();
        for pointer in &needed {
            *counts.entry(pointer.stride(l.counter)).or_default() += 1;
        }
        let mut moving: Vec<Moving> = Vec::new();
        let mut shared: FxHashMap<i64, usize> = FxHashMap::default();
        let mut pointers = Vec::new();
        for pointer in needed {
            let start = self.pointers[&pointer.outside(l.counter)];
            let stride = pointer.stride(l.counter);
            let at = if stride == 0 {
                At::Fixed(start)
            } else if counts[&stride] <= OWN_POINTERS {
                let start = self.advanced(Some(start), stride, l.count);
                moving.push(Moving { start, stride, shared: false });
                At::Moving(moving.len() - 1)
            } else {
                let i = *shared.entry(stride).or_insert_with(|| {
                    let start = self.advanced(None, stride, l.count);
                    moving.push(Moving { start, stride, shared: true });
                    moving.len() - 1
                });
                At::Offset(start, i)
            };
            pointers.push((pointer, at));
        }
        if moving.is_empty() {
            let start = self.advanced(None, 1, l.count);
            moving.push(Moving { start, stride: 1, shared: true });
        }
        let tested = moving.iter().position(|m| m.shared).unwrap_or(0);
        let Moving { start, stride, shared } = moving[tested];
        let limit = match l.count {
            Count::Fixed(n) if shared => Limit::Number(n as i64 * stride),
            Count::Fixed(n) => {
                let bytes = self.builder.ins().iconst(I64, n as i64 * stride);
                Limit::Value(self.builder.ins().iadd(start, bytes))
            }
            Count::Parallel { .. } => {
                let (begin, end) = self.range;
                let iterations = self.builder.ins().isub(end, begin);
                let stride = self.builder.ins().iconst(I64, stride);
                let bytes = self.builder.ins().imul(iterations, stride);
                Limit::Value(self.builder.ins().iadd(start, bytes))
            }
        };
        Ok(Inductions { moving, pointers, tested, limit })
    }

    /// The intersection of a range of the program's parallel iterations with a loop, relative
    /// to the loop's first iteration.
    fn share(
        &mut self,
        (begin, end): (Value, Value),
        first: usize,
        count: usize,
    ) -> (Value, Value) {
        if first == 0 && count == self.program.parallel {
            return (begin, end);
        }
        let low = self.builder.ins().iconst(I64, first as i64);
        let high = self.builder.ins().iconst(I64, (first + count) as i64);
        let [begin, end] = [begin, end].map(|x| {
            let x = self.builder.ins().smax(x, low);
            let x = self.builder.ins().smin(x, high);
            self.builder.ins().isub(x, low)
        });
        (begin, end)
    }

    /// `start`, or zero, advanced to the first iteration of the caller's range.
    fn advanced(&mut self, start: Option<Value>, stride: i64, count: Count) -> Value {
        match (start, count) {
            (Some(start), Count::Fixed(_)) => start,
            (None, Count::Fixed(_)) => self.builder.ins().iconst(I64, 0),
            (start, Count::Parallel { .. }) => {
                let stride = self.builder.ins().iconst(I64, stride);
                let offset = self.builder.ins().imul(self.range.0, stride);
                start.map_or(offset, |start| self.builder.ins().iadd(start, offset))
            }
        }
    }
}

/// An induction variable: a pointer, or an offset that pointers share.
#[derive(Clone, Copy)]
struct Moving {
    start: Value,
    stride: i64,
    shared: bool,
}

/// The value of a pointer in a loop's body.
enum At {
    /// Loop-invariant.
    Fixed(Value),
    /// An induction variable of its own.
    Moving(usize),
    /// Its value before the loop plus a shared offset.
    Offset(Value, usize),
}

enum Limit {
    Value(Value),
    Number(i64),
}

struct Inductions {
    moving: Vec<Moving>,
    pointers: Vec<(Pointer, At)>,
    /// The index of the induction variable in `moving` that is compared with `limit`.
    tested: usize,
    limit: Limit,
}

fn args(values: &[Value]) -> Vec<BlockArg> {
    values.iter().map(|value| BlockArg::Value(*value)).collect()
}
