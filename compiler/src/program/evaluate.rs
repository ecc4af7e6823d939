//! The evaluator of programs: runs a [`Program`] lane by lane, as the reference semantics that
//! emitters are tested against.

use std::collections::HashMap;
use std::ops::Range;

use super::{Address, Check, Count, Counter, Instruction, Program, Register, Statement};

/// The content of lanes that a load does not read: a NaN that no arithmetic produces,
/// so that a use of such a lane shows in the result.
pub const UNREAD: u32 = 0x7FA0_DEAD;

impl Program {
    /// Runs the program. `memory` has the buffers in the order of `buffers`, as
    /// bits; `range` are the iterations of the parallel loops.
    ///
    /// # Panics
    ///
    /// On a program that [`Self::verify`] rejects, on an access outside of its
    /// buffer, and on an index that is not below its bound.
    pub fn evaluate(&self, memory: &mut [Vec<u32>], range: Range<usize>) {
        self.evaluate_checked(memory, range, &mut |_, _, _| true);
    }

    /// Runs the program as [`Self::evaluate`] does, and calls `check` for each [`Check`], with the
    /// number of its element in its buffer, and the integer there, if the buffer has it: the
    /// program ends where `check` returns false.
    pub fn evaluate_checked(
        &self,
        memory: &mut [Vec<u32>],
        range: Range<usize>,
        check: &mut dyn FnMut(&Check, usize, Option<u32>) -> bool,
    ) {
        let registers = vec![vec![UNREAD; self.lanes]; self.registers.len()];
        let (lanes, counters) = (self.lanes, HashMap::new());
        let mut machine =
            Machine { lanes, range, registers, counters, memory, check, has_ended: false };
        machine.body(&self.body);
    }
}

struct Machine<'a> {
    lanes: usize,
    range: Range<usize>,
    registers: Vec<Vec<u32>>,
    counters: HashMap<Counter, usize>,
    memory: &'a mut [Vec<u32>],
    check: &'a mut dyn FnMut(&Check, usize, Option<u32>) -> bool,
    /// Whether a check has failed.
    has_ended: bool,
}

impl Machine<'_> {
    fn body(&mut self, body: &[Statement]) {
        for statement in body {
            if self.has_ended {
                return;
            }
            match statement {
                Statement::Loop(l) => {
                    let range = match l.count {
                        Count::Fixed(n) => 0..n,
                        Count::Parallel { first, count } => {
                            let (begin, end) = (self.range.start, self.range.end);
                            begin.clamp(first, first + count) - first
                                ..end.clamp(first, first + count) - first
                        }
                    };
                    for i in range {
                        self.counters.insert(l.counter, i);
                        self.body(&l.body);
                    }
                }
                Statement::Do(instruction) => self.instruction(instruction),
            }
        }
    }

    fn instruction(&mut self, instruction: &Instruction) {
        let lanes = self.lanes;
        let result = match instruction {
            Instruction::Constant { bits, .. } => vec![*bits; lanes],
            Instruction::Copy { from, .. } => self.read(*from).to_vec(),
            Instruction::Load { from, lane_stride: stride, lanes: read, .. } => {
                let (buffer, first) = self.element(from);
                let element = |i| self.memory[buffer][moved(first, i, *stride)];
                (0..lanes).map(|i| if i < *read { element(i) } else { UNREAD }).collect()
            }
            Instruction::Store { to, from, lane_stride: stride, lanes: written } => {
                let (buffer, first) = self.element(to);
                for i in 0..*written {
                    self.memory[buffer][moved(first, i, *stride)] = self.read(*from)[i];
                }
                return;
            }
            Instruction::Prefetch { .. } => return,
            Instruction::Check(check) => {
                let (buffer, element) = self.element(&check.at);
                let found = self.memory[buffer].get(element).copied();
                self.has_ended = !(self.check)(check, element, found);
                return;
            }
            Instruction::Iota { offset, strides, lane_stride: stride, .. } => {
                let first = offset.wrapping_add_signed(self.sum(strides));
                (0..lanes).map(|i| moved(first, i, *stride) as u32).collect()
            }
            Instruction::Apply { scalar, operands, .. } => (0..lanes)
                .map(|i| {
                    let x: Vec<u32> = operands.iter().map(|r| self.read(*r)[i]).collect();
                    scalar.evaluate(&x)
                })
                .collect(),
            Instruction::Blend { from, lanes: blended, bits, .. } => {
                let from = self.read(*from);
                (0..lanes).map(|i| if i < *blended { from[i] } else { *bits }).collect()
            }
            Instruction::Interleave { from, upper, .. } => {
                let first = if *upper { lanes / 2 } else { 0 };
                (0..lanes).map(|i| self.read(from[i % 2])[first + i / 2]).collect()
            }
            Instruction::Rotate { from, by, .. } => {
                let from = self.read(*from);
                (0..lanes).map(|i| from[(i + by) % lanes]).collect()
            }
        };
        if let Some(to) = instruction.written() {
            self.registers[to.0 as usize] = result;
        }
    }

    fn read(&self, r: Register) -> &[u32] {
        &self.registers[r.0 as usize]
    }

    fn element(&self, address: &Address) -> (usize, usize) {
        let indexed = address.index.as_ref().map_or(0, |index| {
            let (buffer, element) = self.element(&index.at);
            let found = self.memory[buffer][element] as usize;
            assert!(found < index.below, "an index of {found} in {address}");
            found as isize * index.stride
        });
        let moved = self.sum(&address.strides) + indexed;
        (address.buffer, address.offset.wrapping_add_signed(moved))
    }

    /// How far the loops have moved an address.
    fn sum(&self, strides: &[(Counter, isize)]) -> isize {
        strides.iter().map(|(counter, stride)| self.counters[counter] as isize * stride).sum()
    }
}

/// The element of a lane; one outside of all memory, which has no such index, wraps.
fn moved(first: usize, lane: usize, stride: isize) -> usize {
    first.wrapping_add_signed(lane as isize * stride)
}
