//! Which registers a program still needs.
//!
//! Takes a verified [`Program`]. Instructions are numbered as they stand in the
//! text; an emitter that walks the text in order counts along.

use std::collections::BTreeSet;

use crate::kernel::program::{Count, Loop, Operands, Program, Register, Statement};

/// What each instruction ends.
#[derive(Default)]
pub(super) struct Lives {
    /// The registers that it is the last to read.
    pub last_reads: Vec<Operands>,
    /// Whether nobody reads what it writes.
    pub unread: Vec<bool>,
}

/// Where the lives of registers end.
pub(super) fn lives(program: &Program) -> Lives {
    let count = count(&program.body);
    let mut lives =
        Lives { last_reads: vec![Operands::default(); count], unread: vec![false; count] };
    walk(&program.body, count, &mut vec![false; program.registers.len()], &mut lives);
    lives
}

/// For each instruction, the registers that it is the last to read.
pub(super) fn last_reads(program: &Program) -> Vec<Operands> {
    lives(program).last_reads
}

/// The registers that a loop's body reads before it writes them and also
/// writes: what an iteration takes over from the one before.
pub(super) fn carried(body: &[Statement]) -> Vec<Register> {
    let (mut written, mut exposed) = (BTreeSet::new(), BTreeSet::new());
    scan(body, &mut written, &mut exposed);
    exposed.intersection(&written).copied().collect()
}

/// The registers that are written somewhere in `body`.
pub(super) fn written(body: &[Statement]) -> BTreeSet<Register> {
    let (mut written, mut exposed) = (BTreeSet::new(), BTreeSet::new());
    scan(body, &mut written, &mut exposed);
    written
}

fn scan(body: &[Statement], written: &mut BTreeSet<Register>, exposed: &mut BTreeSet<Register>) {
    for statement in body {
        match statement {
            Statement::Loop(l) => scan(&l.body, written, exposed),
            Statement::Do(instruction) => {
                exposed.extend(instruction.read().iter().filter(|r| !written.contains(r)));
                written.extend(instruction.written());
            }
        }
    }
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
fn walk(body: &[Statement], mut end: usize, live: &mut Vec<bool>, lives: &mut Lives) -> usize {
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
