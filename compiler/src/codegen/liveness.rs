//! Liveness: live ranges of registers, last reads, values that loops carry.
//!
//! Takes a verified [`Program`]. Instructions are numbered in program order; an emitter
//! counts along.

use crate::program::{Count, Loop, Operands, Program, Register, Statement};

/// For each instruction, the live ranges that end there.
#[derive(Default)]
pub(super) struct Liveness {
    /// The registers whose last read it is.
    pub last_reads: Vec<Operands>,
    /// Whether its result is never read.
    pub unread: Vec<bool>,
}

/// The ends of live ranges.
pub(super) fn liveness(program: &Program) -> Liveness {
    let count = count(&program.body);
    let mut lives =
        Liveness { last_reads: vec![Operands::default(); count], unread: vec![false; count] };
    walk(&program.body, count, &mut vec![false; program.registers.len()], &mut lives);
    lives
}

/// For each instruction, the registers whose last read it is.
pub(super) fn last_reads(program: &Program) -> Vec<Operands> {
    liveness(program).last_reads
}

/// The registers that a loop carries from one iteration to the next: its body reads them before
/// it writes them, and writes them.
pub(super) fn carried(program: &Program, body: &[Statement]) -> Vec<Register> {
    let (written, exposed) = scan(program, body);
    where_set(written.into_iter().zip(exposed).map(|(written, exposed)| written && exposed))
}

/// The registers that some statements of a program write.
pub(super) fn written(program: &Program, body: &[Statement]) -> Vec<Register> {
    where_set(scan(program, body).0.into_iter())
}

fn where_set(bits: impl Iterator<Item = bool>) -> Vec<Register> {
    bits.enumerate().filter(|(_, set)| *set).map(|(r, _)| Register(r as u32)).collect()
}

/// For each register, whether some statements of a program write it, and whether they
/// read it before that.
fn scan(program: &Program, body: &[Statement]) -> (Vec<bool>, Vec<bool>) {
    let registers = program.registers.len();
    let (mut written, mut exposed) = (vec![false; registers], vec![false; registers]);
    expose(body, &mut written, &mut exposed);
    (written, exposed)
}

/// The number of instructions in some statements.
pub(super) fn count(body: &[Statement]) -> usize {
    body.iter()
        .map(|statement| match statement {
            Statement::Loop(l) => count(&l.body),
            Statement::Do(_) => 1,
        })
        .sum()
}

/// Walks `body` backwards. `live` is, for each register, whether it is
/// live after `body`, and is updated to whether it is live before; `end`
/// is the number of the first instruction after it. Returns the number of its first.
fn walk(body: &[Statement], mut end: usize, live: &mut Vec<bool>, lives: &mut Liveness) -> usize {
    for statement in body.iter().rev() {
        match statement {
            Statement::Loop(Loop { count: iterations, body, .. }) => {
                let parallel = matches!(iterations, Count::Parallel { .. });
                let after = parallel.then(|| live.clone());
                // Registers that the body reads from before it are live at its end.
                expose(body, &mut vec![false; live.len()], live);
                end = walk(body, end, live, lives);
                for (live, after) in live.iter_mut().zip(after.unwrap_or_default()) {
                    *live |= after;
                }
            }
            Statement::Do(instruction) => {
                end -= 1;
                if let Some(written) = instruction.written() {
                    let read = std::mem::replace(&mut live[written.0 as usize], false);
                    lives.unread[end] = !read;
                }
                for r in instruction.read() {
                    if !std::mem::replace(&mut live[r.0 as usize], true) {
                        lives.last_reads[end].push(*r);
                    }
                }
            }
        }
    }
    end
}

/// Adds the registers that `body` reads before it writes them.
fn expose(body: &[Statement], written: &mut [bool], exposed: &mut [bool]) {
    for statement in body {
        match statement {
            Statement::Loop(l) => expose(&l.body, written, exposed),
            Statement::Do(instruction) => {
                for r in instruction.read() {
                    exposed[r.0 as usize] |= !written[r.0 as usize];
                }
                if let Some(r) = instruction.written() {
                    written[r.0 as usize] = true;
                }
            }
        }
    }
}
