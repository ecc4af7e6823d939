//! The verifier of programs.
//!
//! The rules of every [`Program`]:
//!
//! 1. There are 1 to 16 lanes, a power of two.
//! 2. A register is one of the program's, and is written before it is read on
//!    every path: a fixed loop runs at least once, a parallel one possibly never.
//! 3. Operands and results have the types that the operation requires; copies,
//!    stores, blends, rotations and interleaves preserve the type. Memory holds floats and
//!    integers, iotas are integers; masks stay in registers and are
//!    neither blended, interleaved nor written as constants.
//! 4. A buffer is one of the program's.
//! 5. Each loop has a counter of its own, and at least one iteration.
//! 6. No loop is around a parallel one, and each begins where the one before it
//!    ended; together, if there are any, they have all parallel iterations.
//! 7. Addresses and iotas name loops around them, each once, with strides
//!    that are not zero.
//! 8. Accesses have 1 to all lanes. A load's lane stride is 0 only with all lanes; a
//!    store's is at least 1.
//! 9. A blend takes 1 to all lanes; a rotation is by less than the number of lanes;
//!    shifts are by less than 32 bits.
//! 10. A program of several parallel iterations stores only inside of parallel
//!     loops: every thread runs the code outside of them.
//!
//! 11. An index is read by an address that has none itself, and its bound is at
//!     least 1; prefetches have no index. A store has no index that moves with a
//!     parallel loop: whether iterations overlap would depend on memory.
//!
//! [`Program::verify_bounds`] checks, with the buffers' sizes:
//!
//! 12. Every access is within its buffer, also in the last iterations, and
//!     with the largest index below its bound.
//!
//! Not checked: that indices in memory are below their bounds (the caller's duty);
//! that no two iterations of a parallel loop write the same
//! element, and none writes what another reads; that parallel loops carry no
//! registers from one iteration to the next; that no lane is used that
//! was never read (the evaluator shows it); that buffers that share memory are
//! used in a valid order; that iotas stay below 2³².

use std::collections::{BTreeSet, HashMap};

use super::{Address, Count, Counter, Instruction, Loop, Program, Register, Statement};
use crate::error::Violations;
use crate::expr::scalar::{LaneType, Scalar};

impl Program {
    /// Checks the rules 1 to 11 of the [module](super::verify), which need the program alone.
    ///
    /// # Errors
    /// The loops and instructions that break a rule.
    pub fn verify(&self) -> Result<(), Violations> {
        self.check(None)
    }

    /// Checks rule 12 as well: every access is within its buffer. `sizes` has the number of
    /// elements of each of `self.buffers`.
    ///
    /// # Errors
    /// The loops and instructions that break a rule.
    pub fn verify_bounds(&self, sizes: &[usize]) -> Result<(), Violations> {
        if sizes.len() != self.buffers.len() {
            let mut found = Violations::default();
            let message = format!("{} sizes for {} buffers", sizes.len(), self.buffers.len());
            found.push(format!("program {}", self.name), message);
            return found.into_result();
        }
        self.check(Some(sizes))
    }

    fn check(&self, sizes: Option<&[usize]>) -> Result<(), Violations> {
        let mut checker = Checker {
            program: self,
            sizes,
            found: Violations::default(),
            counters: BTreeSet::new(),
            around: HashMap::new(),
            shared: None,
            written: BTreeSet::new(),
            parallel: 0,
        };
        if !(1..=16).contains(&self.lanes) || !self.lanes.is_power_of_two() {
            checker.fail("lanes", format!("{} of them", self.lanes));
        }
        checker.body(&self.body);
        if checker.parallel > 0 && checker.parallel != self.parallel {
            let (loops, all) = (checker.parallel, self.parallel);
            checker.fail("loops", format!("{loops} parallel iterations of {all}"));
        }
        checker.found.into_result()
    }
}

struct Checker<'a> {
    program: &'a Program,
    sizes: Option<&'a [usize]>,
    /// The violations so far.
    found: Violations,
    /// The counters of all loops so far.
    counters: BTreeSet<Counter>,
    /// The enclosing loops, and their numbers of iterations.
    around: HashMap<Counter, usize>,
    /// The enclosing parallel loop, if there is one.
    shared: Option<Counter>,
    written: BTreeSet<Register>,
    /// Iterations of the parallel loops so far.
    parallel: usize,
}

impl Checker<'_> {
    fn fail(&mut self, at: &str, message: String) {
        self.found.push(format!("program {}: {at}", self.program.name), message);
    }

    fn body(&mut self, body: &[Statement]) {
        for statement in body {
            match statement {
                Statement::Loop(l) => self.repeat(l),
                Statement::Do(instruction) => self.instruction(instruction),
            }
        }
    }

    fn repeat(&mut self, l: &Loop) {
        let at = format!("the loop of i{}", l.counter.0);
        if !self.counters.insert(l.counter) {
            self.fail(&at, "its counter has another loop".into());
        }
        let iterations = match l.count {
            Count::Fixed(n) => {
                if n == 0 {
                    self.fail(&at, "it has no iteration".into());
                }
                n
            }
            Count::Parallel { first, count } => {
                if !self.around.is_empty() {
                    self.fail(&at, "it is parallel and inside another".into());
                } else if first != self.parallel || count == 0 {
                    self.fail(&at, "it does not begin where the last parallel one ended".into());
                }
                self.parallel = self.parallel.saturating_add(count);
                count
            }
        };
        let before = self.written.clone();
        // Of two loops with one counter, the inner one hides the outer.
        let outer = self.around.insert(l.counter, iterations);
        let parallel = matches!(l.count, Count::Parallel { .. });
        let shared = self.shared;
        if parallel {
            self.shared = Some(l.counter);
        }
        self.body(&l.body);
        match outer {
            Some(outer) => self.around.insert(l.counter, outer),
            None => self.around.remove(&l.counter),
        };
        if parallel {
            self.shared = shared;
            self.written = before;
        }
    }

    fn instruction(&mut self, instruction: &Instruction) {
        let mut broken = Vec::new();
        self.rules(instruction, &mut broken);
        if !broken.is_empty() {
            let at = format!("`{instruction}`");
            broken.into_iter().for_each(|message| self.fail(&at, message));
        }
        // Also where it is wrong: reading what it writes is not another mistake.
        self.written.extend(instruction.written());
    }

    /// The rules that an instruction breaks.
    fn rules(&self, instruction: &Instruction, broken: &mut Vec<String>) {
        if self.program.parallel > 1
            && self.around.is_empty()
            && matches!(instruction, Instruction::Store { .. })
        {
            broken.push("every thread would store it".into());
        }
        let registers = self.program.registers.len();
        let all = instruction.read().iter().copied().chain(instruction.written());
        let unknown: Vec<Register> = all.filter(|r| r.0 as usize >= registers).collect();
        broken.extend(unknown.iter().map(|r| format!("there is no r{}", r.0)));
        for r in instruction.read() {
            if !unknown.contains(r) && !self.written.contains(r) {
                broken.push(format!("r{} may be read before it is written", r.0));
            }
        }
        if !unknown.is_empty() {
            return;
        }
        let lanes = self.program.lanes;
        let kind = |r: &Register| self.program.registers[r.0 as usize];
        match instruction {
            Instruction::Constant { to, .. } => {
                self.is_number(*to, broken);
            }
            Instruction::Copy { to, from } => {
                self.is(*to, kind(from), broken);
            }
            Instruction::Load { to, from, lane_stride: stride, lanes: read } => {
                self.is_number(*to, broken);
                if !(1..=lanes).contains(read) || (*stride == 0 && *read != lanes) {
                    broken.push(format!("{read} of {lanes} lanes by {stride}"));
                }
                self.address(from, reached(*read, *stride), broken);
            }
            Instruction::Store { to, from, lane_stride: stride, lanes: written } => {
                self.is_number(*from, broken);
                if !(1..=lanes).contains(written) || *stride < 1 {
                    broken.push(format!("{written} of {lanes} lanes by {stride}"));
                }
                self.address(to, reached(*written, *stride), broken);
                let moves = to.index.iter().flat_map(|index| &index.at.strides);
                if moves.into_iter().any(|(counter, _)| self.is_parallel(*counter)) {
                    broken.push("an index decides whether iterations overlap".into());
                }
            }
            // Whether it is within its buffer is what it checks.
            Instruction::Check(check) => {
                self.extent(&check.at.strides, broken);
                if let Some(index) = &check.at.index {
                    self.extent(&index.at.strides, broken);
                }
                if !(1..=lanes).contains(&check.lanes) {
                    broken.push(format!("{} of {lanes} lanes", check.lanes));
                }
                if check.at.buffer >= self.program.buffers.len() {
                    broken.push(format!("there is no b{}", check.at.buffer));
                }
            }
            // It may be out of bounds: a prefetch does not fault.
            Instruction::Prefetch { at, .. } => {
                self.extent(&at.strides, broken);
                if at.index.is_some() {
                    broken.push("a prefetch by an index".into());
                }
            }
            Instruction::Iota { to, strides, .. } => {
                self.is(*to, LaneType::Int, broken);
                self.extent(strides, broken);
            }
            Instruction::Apply { to, scalar, operands } => {
                if operands.len() != scalar.operands().len() {
                    let (found, expected) = (operands.len(), scalar.operands().len());
                    broken.push(format!("{found} operands instead of {expected}"));
                }
                for (r, kind) in operands.iter().zip(scalar.operands()) {
                    self.is(*r, *kind, broken);
                }
                self.is(*to, scalar.result(), broken);
                if let Scalar::ShiftLeft(32..)
                | Scalar::ShiftRight(32..)
                | Scalar::ShiftBitsRight(32..) = scalar
                {
                    broken.push("a shift by 32 bits or more".into());
                }
            }
            Instruction::Blend { to, from, lanes: blended, .. } => {
                self.is_number(*from, broken);
                self.is(*to, kind(from), broken);
                if !(1..=lanes).contains(blended) {
                    broken.push(format!("{blended} of {lanes} lanes"));
                }
            }
            Instruction::Interleave { to, from: [a, b], .. } => {
                self.is_number(*a, broken);
                self.is(*b, kind(a), broken);
                self.is(*to, kind(a), broken);
                if lanes < 2 {
                    broken.push("one lane has no halves".into());
                }
            }
            Instruction::Rotate { to, from, by } => {
                self.is(*to, kind(from), broken);
                if *by >= lanes {
                    broken.push(format!("{by} of {lanes} lanes"));
                }
            }
        }
    }

    fn is_parallel(&self, counter: Counter) -> bool {
        self.shared == Some(counter)
    }

    fn is(&self, r: Register, expected: LaneType, broken: &mut Vec<String>) {
        let found = self.program.registers[r.0 as usize];
        if found != expected {
            broken.push(format!("r{} is {found:?}, not {expected:?}", r.0));
        }
    }

    fn is_number(&self, r: Register, broken: &mut Vec<String>) {
        match self.program.registers[r.0 as usize] {
            LaneType::Float | LaneType::Int => {}
            LaneType::Mask => broken.push(format!("r{} is Mask", r.0)),
        }
    }

    /// Checks an address whose lanes reach `more` elements from it.
    fn address(&self, address: &Address, more: Option<isize>, broken: &mut Vec<String>) {
        let mut extent = self.extent(&address.strides, broken);
        if let Some(index) = &address.index {
            match index.at.index.is_some() || index.below == 0 {
                true => broken.push(format!("an index below {} in {}", index.below, index.at)),
                false => self.address(&index.at, Some(0), broken),
            }
            extent = extent.and_then(|extent| extent.with(reached(index.below, index.stride)?));
        }
        if address.buffer >= self.program.buffers.len() {
            broken.push(format!("there is no b{}", address.buffer));
            return;
        }
        let Some(sizes) = self.sizes else { return };
        let size = sizes[address.buffer] as isize;
        let offset = isize::try_from(address.offset).ok();
        let reached = extent.zip(more).and_then(|(extent, more)| {
            let Extent { least, most } = extent.with(more)?;
            Some((offset?.checked_add(least)?, offset?.checked_add(most)?))
        });
        match reached {
            Some((first, last)) if first >= 0 && last < size => {}
            Some((first, _)) if first < 0 => {
                broken.push(format!("reaches element {first} of {size}"));
            }
            Some((_, last)) => broken.push(format!("reaches element {last} of {size}")),
            None => broken.push("reaches beyond all memory".into()),
        }
    }

    /// The offsets by some strides, if they can be represented.
    fn extent(&self, strides: &[(Counter, isize)], broken: &mut Vec<String>) -> Option<Extent> {
        let mut extent = Some(Extent { least: 0, most: 0 });
        let mut seen = BTreeSet::new();
        for (counter, stride) in strides {
            let Some(iterations) = self.around.get(counter) else {
                broken.push(format!("i{} counts no enclosing loop", counter.0));
                continue;
            };
            if *stride == 0 || !seen.insert(*counter) {
                broken.push(format!("i{} has stride 0, or appears twice", counter.0));
            }
            extent = extent.and_then(|extent| extent.with(reached(*iterations, *stride)?));
        }
        extent
    }
}

/// The offsets that an address may have.
#[derive(Clone, Copy)]
struct Extent {
    least: isize,
    most: isize,
}

impl Extent {
    /// With further steps that reach `offset`; `None` if it cannot be represented.
    fn with(self, offset: isize) -> Option<Extent> {
        Some(Extent {
            least: self.least.checked_add(offset.min(0))?,
            most: self.most.checked_add(offset.max(0))?,
        })
    }
}

/// The offset of the last of some elements with a stride; `None` if it cannot be represented.
fn reached(count: usize, stride: isize) -> Option<isize> {
    stride.checked_mul(isize::try_from(count.saturating_sub(1)).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::Indexed;

    fn load(to: u32, strides: &[(u32, isize)], lane_stride: isize, lanes: usize) -> Statement {
        let strides = strides.iter().map(|(c, stride)| (Counter(*c), *stride)).collect();
        let from = Address { buffer: 0, offset: 1, strides, index: None };
        Statement::Do(Instruction::Load { to: Register(to), from, lane_stride, lanes })
    }

    fn negate(to: u32, from: u32) -> Statement {
        let operands = [Register(from)].into();
        Statement::Do(Instruction::Apply { to: Register(to), scalar: Scalar::Neg, operands })
    }

    fn repeat(counter: u32, count: Count, body: Vec<Statement>) -> Statement {
        Statement::Loop(Loop { counter: Counter(counter), count, body })
    }

    fn program(body: Vec<Statement>) -> Program {
        use LaneType::{Float, Int, Mask};
        Program {
            name: "test".into(),
            lanes: 4,
            buffers: vec![0],
            registers: vec![Float, Float, Int, Mask],
            parallel: 3,
            body,
        }
    }

    #[test]
    fn violations_are_rejected() {
        use Count::Fixed;
        let parallel = Count::Parallel { first: 0, count: 3 };
        let all = Count::Parallel { first: 3, count: usize::MAX };
        let cases = [
            (vec![negate(0, 1)], "before it is written"),
            (vec![repeat(0, parallel, vec![load(0, &[], 1, 4)]), negate(1, 0)], "before it is"),
            (vec![load(2, &[], 1, 4), negate(0, 2)], "r2 is Int, not Float"),
            (vec![load(3, &[], 1, 4)], "r3 is Mask"),
            (vec![load(9, &[], 1, 4)], "there is no r9"),
            (vec![load(0, &[(0, 1)], 1, 4)], "counts no enclosing loop"),
            (vec![repeat(0, Fixed(2), vec![load(0, &[(0, 0)], 1, 4)])], "has stride 0"),
            (vec![repeat(0, Fixed(2), vec![load(0, &[(0, 1), (0, 1)], 1, 4)])], "or appears twice"),
            (vec![load(0, &[], 0, 3)], "3 of 4 lanes by 0"),
            (vec![load(0, &[], 1, 5)], "5 of 4 lanes"),
            (vec![repeat(0, Fixed(0), vec![])], "it has no iteration"),
            (vec![repeat(0, Fixed(1), vec![]), repeat(0, Fixed(1), vec![])], "has another loop"),
            (vec![repeat(0, parallel, vec![]), repeat(1, parallel, vec![])], "does not begin"),
            (vec![repeat(0, Fixed(2), vec![repeat(1, parallel, vec![])])], "and inside another"),
            (vec![repeat(0, parallel, vec![]), repeat(1, all, vec![])], "parallel iterations of"),
        ];
        for (body, expected) in cases {
            let message = program(body).verify().unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
        let fine = vec![repeat(0, Fixed(2), vec![load(0, &[(0, 1)], 1, 4)]), negate(1, 0)];
        assert_eq!(program(fine).verify(), Ok(()));
    }

    #[test]
    fn accesses_before_and_behind_a_buffer_are_rejected() {
        let found = |body, size| {
            let found = program(vec![body]).verify_bounds(&[size]);
            found.map_err(|error| error.to_string()).err().unwrap_or_default()
        };
        // From element 1 on, backwards.
        assert!(found(load(0, &[], -1, 4), 9).contains("reaches element -2 of 9"));
        let moved = |stride| repeat(0, Count::Fixed(3), vec![load(0, &[(0, stride)], 1, 4)]);
        assert!(found(moved(-1), 9).contains("reaches element -1 of 9"));
        assert!(found(moved(2), 8).contains("reaches element 8 of 8"));
        assert_eq!(found(moved(2), 9), "");
        // Two directions: the loop forwards, lanes backwards.
        let both = repeat(0, Count::Fixed(3), vec![load(0, &[(0, 3)], -1, 2)]);
        assert_eq!(found(both.clone(), 8), "");
        assert!(found(both, 7).contains("reaches element 7 of 7"));
        assert!(found(load(0, &[], isize::MAX, 4), 9).contains("beyond all memory"));
    }

    #[test]
    fn all_violations_are_reported() {
        let body = vec![
            load(9, &[], 1, 4),
            repeat(0, Count::Fixed(0), vec![negate(0, 1), load(2, &[(7, 0)], 0, 3)]),
            // The result of a wrong instruction counts as written.
            load(0, &[], 1, 5),
            negate(1, 0),
        ];
        let found = program(body).verify_bounds(&[3]).unwrap_err();
        let expected = [
            "program test: `r9 = load b0[1] × 4 by 1`: there is no r9",
            "program test: the loop of i0: it has no iteration",
            "program test: `r0 = Neg r1`: r1 may be read before it is written",
            "program test: `r2 = load b0[1 + i7·0] × 3 by 0`: 3 of 4 lanes by 0",
            "program test: `r2 = load b0[1 + i7·0] × 3 by 0`: i7 counts no enclosing loop",
            "program test: `r0 = load b0[1] × 5 by 1`: 5 of 4 lanes by 1",
            "program test: `r0 = load b0[1] × 5 by 1`: reaches element 5 of 3",
        ];
        assert_eq!(found.to_string(), expected.join("\n"));
    }

    /// An element of buffer 0, at ten times an integer in it.
    fn by_index(strides: &[(u32, isize)], below: usize) -> Address {
        let strides = strides.iter().map(|(c, stride)| (Counter(*c), *stride)).collect();
        let at = Address { buffer: 0, offset: 2, strides, index: None };
        let index = Some(Box::new(Indexed { at, stride: 10, below }));
        Address { buffer: 0, offset: 1, strides: Vec::new(), index }
    }

    #[test]
    fn indices_follow_their_rules() {
        let parallel = Count::Parallel { first: 0, count: 3 };
        let load = |from: &Address| {
            let from = from.clone();
            Statement::Do(Instruction::Load { to: Register(0), from, lane_stride: 1, lanes: 4 })
        };
        let store = |to| {
            Statement::Do(Instruction::Store { to, from: Register(0), lane_stride: 1, lanes: 4 })
        };
        let indexed = by_index(&[], 3);
        let mut nested = indexed.clone();
        nested.index.as_mut().unwrap().at.index = indexed.index.clone();
        let moving = vec![load(&indexed), store(by_index(&[(0, 1)], 3))];
        let cases = [
            (vec![load(&nested)], "an index below 3"),
            (vec![load(&by_index(&[], 0))], "an index below 0"),
            (vec![load(&by_index(&[(0, 1)], 3))], "counts no enclosing loop"),
            (vec![repeat(0, parallel, moving.clone())], "iterations overlap"),
            (
                vec![Statement::Do(Instruction::Prefetch { at: indexed.clone(), near: true })],
                "a prefetch by an index",
            ),
        ];
        for (body, expected) in cases {
            let message = program(body).verify().unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
        // Within an iteration of the parallel loop it may move.
        let inside = vec![repeat(1, parallel, vec![repeat(0, Count::Fixed(3), moving)])];
        assert_eq!(program(inside).verify(), Ok(()));
        // From 1, twice ten further on, four lanes: the last is 24.
        let within = program(vec![load(&indexed)]);
        assert_eq!(within.verify_bounds(&[25]), Ok(()));
        let message = within.verify_bounds(&[24]).unwrap_err().to_string();
        assert!(message.contains("reaches element 24 of 24"), "{message}");
    }

    #[test]
    fn accesses_must_be_within_their_buffer() {
        // From 1, by 10 in three iterations, three lanes by 2: the last is 25.
        let body = vec![repeat(
            0,
            Count::Parallel { first: 0, count: 3 },
            vec![load(0, &[(0, 10)], 2, 3)],
        )];
        assert_eq!(program(body.clone()).verify_bounds(&[26]), Ok(()));
        let message = program(body).verify_bounds(&[25]).unwrap_err().to_string();
        assert!(message.contains("reaches element 25 of 25"), "{message}");
    }
}
