//! Which registers a program still needs.
//!
//! Takes a verified [`Program`]. Instructions are numbered as they stand in the
//! text; an emitter that walks the text in order counts along.

use std::collections::BTreeSet;

use crate::kernel::program::{Count, Loop, Program, Register, Statement};

/// For each instruction, the registers that it is the last to read.
pub(super) fn last_reads(program: &Program) -> Vec<Vec<Register>> {
    let mut last = vec![Vec::new(); count(&program.body)];
    let mut live = BTreeSet::new();
    walk(&program.body, 0, &mut live, &mut last);
    last
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

fn count(body: &[Statement]) -> usize {
    body.iter()
        .map(|statement| match statement {
            Statement::Loop(l) => count(&l.body),
            Statement::Do(_) => 1,
        })
        .sum()
}

/// Goes through `body` backwards. `live` is what is needed after it, and
/// becomes what is needed before it; `first` numbers its first instruction.
fn walk(
    body: &[Statement],
    first: usize,
    live: &mut BTreeSet<Register>,
    last: &mut [Vec<Register>],
) {
    let mut end = first + count(body);
    for statement in body.iter().rev() {
        match statement {
            Statement::Loop(Loop { count: iterations, body, .. }) => {
                end -= count(body);
                // What the body reads from before it is needed again after it.
                let (mut written, mut exposed) = (BTreeSet::new(), BTreeSet::new());
                scan(body, &mut written, &mut exposed);
                let after = live.clone();
                live.extend(exposed);
                walk(body, end, live, last);
                if matches!(iterations, Count::Parallel { .. }) {
                    live.extend(after);
                }
            }
            Statement::Do(instruction) => {
                end -= 1;
                live.retain(|r| Some(*r) != instruction.written());
                last[end].clear();
                for r in instruction.read() {
                    if live.insert(r) {
                        last[end].push(r);
                    }
                }
            }
        }
    }
}
