//! Loops for x86-64: counters, ranges of parallel loops, residency at their ends.

use iced_x86::{Code, Register as Reg};

use super::Emitter;
use super::assembler::{Label, Memory, Operand};
use crate::codegen::liveness;
use crate::error::Error;
use crate::program::{Count, Loop, Statement};

impl Emitter<'_> {
    /// Emits a loop. The test is at its end; only a parallel loop may have no iteration,
    /// and is then skipped.
    pub(super) fn repeat(&mut self, l: &Loop) -> Result<(), Error> {
        let outermost = self.locations.is_empty();
        if outermost {
            // Before pointers have locations, which are not initialised yet.
            self.flush();
            self.settle(l);
        }
        if l.count == Count::Fixed(1) {
            if outermost {
                self.start_pointers(l.counter, None);
            }
            self.body(&l.body)?;
            if outermost {
                self.flush();
                self.locations.clear();
            }
            return Ok(());
        }

        self.flush();
        let range = self.next..self.next + liveness::count(&l.body);
        let mut written = vec![false; self.held.len()];
        for r in self.instructions[range.clone()].iter().filter_map(|i| i.written()) {
            written[r.0 as usize] = true;
        }
        self.prepare(range.clone(), &written);
        let residency = self.residency();

        let (start, iterations) = (self.frame(8), self.frame(8));
        let skip = self.asm.label();
        match l.count {
            Count::Parallel { first, count } => {
                self.share(first, count, start, iterations, skip);
                self.start_pointers(l.counter, Some(start));
            }
            Count::Fixed(_) if outermost => self.start_pointers(l.counter, None),
            Count::Fixed(_) => {}
        }
        let inner = |s: &Statement| matches!(s, Statement::Loop(_));
        let borrowed = if l.body.iter().any(inner) { Vec::new() } else { self.borrow(l) };
        self.start_counter(l.counter, l.count, iterations);

        let again = self.asm.label();
        self.asm.place(again);
        self.around.push(range);
        self.body(&l.body)?;
        self.flush();
        self.around.pop();
        self.restore(&residency);
        self.advance_pointers(l.counter, 1, &[]);
        self.count_down(l.counter);
        self.asm.jump(Code::Jne_rel32_64, again);
        if let (Count::Fixed(n), false) = (l.count, outermost) {
            self.advance_pointers(l.counter, -(n as i64), &borrowed);
        }
        self.return_borrowed(borrowed);
        self.asm.place(skip);
        if outermost {
            self.locations.clear();
        }
        Ok(())
    }

    /// Intersects the caller's range with a loop: stores the first iteration, relative to the
    /// loop's, and the number of iterations; jumps to `skip` if there are none.
    fn share(&mut self, first: usize, count: usize, start: i64, iterations: i64, skip: Label) {
        let all = first == 0 && count == self.program.parallel;
        let (begin, end) = self.range;
        let low = Operand::Register(Reg::RCX);
        let high = Operand::Register(Reg::R11);
        if !all {
            self.asm.rl(Code::Mov_r64_imm64, Reg::RCX, first as i64);
            self.asm.rl(Code::Mov_r64_imm64, Reg::R11, (first + count) as i64);
        }
        for (from, to) in [(begin, start), (end, iterations)] {
            let from = Operand::Memory(Memory::at(Reg::RSP, from));
            self.asm.ro(Code::Mov_r64_rm64, Reg::RAX, from);
            if !all {
                self.asm.ro(Code::Cmp_r64_rm64, Reg::RAX, low);
                self.asm.ro(Code::Cmovl_r64_rm64, Reg::RAX, low);
                self.asm.ro(Code::Cmp_r64_rm64, Reg::RAX, high);
                self.asm.ro(Code::Cmovg_r64_rm64, Reg::RAX, high);
                self.asm.ro(Code::Sub_r64_rm64, Reg::RAX, low);
            }
            if to == iterations {
                let start = Operand::Memory(Memory::at(Reg::RSP, start));
                self.asm.ro(Code::Sub_r64_rm64, Reg::RAX, start);
            }
            self.asm.mr(Code::Mov_rm64_r64, Memory::at(Reg::RSP, to), Reg::RAX);
        }
        // The flags are those of the last subtraction.
        self.asm.jump(Code::Jle_rel32_64, skip);
    }
}
