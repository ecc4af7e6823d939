//! Liveness: live ranges of registers, last reads, values that loops carry.
//!
//! Takes a verified [`Program`]. Instructions are numbered as they stand in the
//! text; an emitter that walks the text in order counts along.

use crate::program::{Count, Loop, Operands, Program, Register, Statement};

/// What each instruction ends.
#[derive(Default)]
pub(super) struct Liveness {
    /// The registers that it is the last to read.
    pub last_reads: Vec<Operands>,
    /// Whether nobody reads what it writes.
    pub unread: Vec<bool>,
}

/// Where the lives of registers end.
pub(super) fn liveness(program: &Program) -> Liveness {
    let count = count(&program.body);
    let mut lives =
        Liveness { last_reads: vec![Operands::default(); count], unread: vec![false; count] };
    walk(&program.body, count, &mut vec![false; program.registers.len()], &mut lives);
    lives
}

/// For each instruction, the registers that it is the last to read.
pub(super) fn last_reads(program: &Program) -> Vec<Operands> {
    liveness(program).last_reads
}

/// The registers that a loop's body, of a program, reads before it writes them and also
/// writes: what an iteration takes over from the one before.
pub(super) fn carried(program: &Program, body: &[Statement]) -> Vec<Register> {
    let (written, exposed) = scan(program, body);
    where_set(written.into_iter().zip(exposed).map(|(written, exposed)| written && exposed))
}

/// The registers that are written somewhere in a part of a program.
pub(super) fn written(program: &Program, body: &[Statement]) -> Vec<Register> {
    where_set(scan(program, body).0.into_iter())
}

fn where_set(bits: impl Iterator<Item = bool>) -> Vec<Register> {
    bits.enumerate().filter(|(_, set)| *set).map(|(r, _)| Register(r as u32)).collect()
}

/// For each register, whether a part of a program writes it, and whether it
/// reads it before that.
fn scan(program: &Program, body: &[Statement]) -> (Vec<bool>, Vec<bool>) {
    let registers = program.registers.len();
    let (mut written, mut exposed) = (vec![false; registers], vec![false; registers]);
    expose(body, &mut written, &mut exposed);
    (written, exposed)
}

/// How many instructions there are in the text.
pub(super) fn count(body: &[Statement]) -> usize {
    body.iter()
        .map(|statement| match statement {
            Statement::Loop(l) => count(&l.body),
            Statement::Do(_) => 1,
        })
        .sum()
}

/// Goes through `body` backwards. `live` says of each register whether it is
/// needed after it, and comes to say whether it is needed before it; `end`
/// numbers the first instruction after it. Gives the number of its first.
fn walk(body: &[Statement], mut end: usize, live: &mut Vec<bool>, lives: &mut Liveness) -> usize {
    for statement in body.iter().rev() {
        match statement {
            Statement::Loop(Loop { count: iterations, body, .. }) => {
                let parallel = matches!(iterations, Count::Parallel { .. });
                let after = parallel.then(|| live.clone());
                // What the body reads from before it is needed again after it.
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

/// Adds what `body` reads before it writes it.
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
