//! Residency of registers in loops: which machine register or stack slot holds each
//! value at a loop's start, restored at its end.

use std::ops::Range;

use super::Emitter;
use super::registers::{ALL, Held, Occupant};
use crate::program::Register;

/// Where registers were at some point: each with its machine register, or on
/// the stack.
pub(super) type Residency = Vec<(Register, Option<u8>, bool)>;

impl Emitter<'_> {
    /// Where all registers are.
    pub(super) fn residency(&self) -> Residency {
        let held = self.held.iter().enumerate();
        held.filter_map(|(r, held)| match held {
            Held::Here { register, saved } => Some((Register(r as u32), *register, *saved)),
            _ => None,
        })
        .collect()
    }

    /// Before a loop: makes room for what it needs by sending away what only
    /// stands through it, and brings what it reads.
    pub(super) fn prepare(&mut self, range: Range<usize>, written: &[bool]) {
        let mut accessed = vec![false; self.held.len()];
        for instruction in &self.text[range.clone()] {
            for r in instruction.read().iter().copied().chain(instruction.written()) {
                accessed[r.0 as usize] = true;
            }
        }
        for mask in [false, true] {
            let most = self.most_at_once(range.clone(), &accessed, mask);
            let free = self.class(mask).len().saturating_sub(1);
            let mut through: Vec<(usize, Register)> = Vec::new();
            for n in self.class(mask) {
                if let Occupant::Register(r) = self.owners[n as usize]
                    && !accessed[r.0 as usize]
                {
                    through.push((self.next_use(r), r));
                }
            }
            through.sort_unstable();
            while most + through.len() > free
                && let Some((_, r)) = through.pop()
            {
                self.spill(r);
            }
            if most + through.len() <= free {
                for (r, accessed) in accessed.iter().enumerate() {
                    let register = Register(r as u32);
                    if *accessed
                        && self.is_mask(register) == mask
                        && matches!(self.held[r], Held::Here { register: None, .. })
                        && self.has_empty(mask, 1)
                    {
                        let n = self.empty(mask);
                        self.reload(register, n);
                    }
                }
            }
        }
        for (r, written) in written.iter().enumerate() {
            if *written && let Held::Here { register: Some(_), saved } = &mut self.held[r] {
                *saved = false;
            }
        }
    }

    /// How many of a loop's registers are needed at the same time.
    fn most_at_once(&self, range: Range<usize>, accessed: &[bool], mask: bool) -> usize {
        let counts = |r: usize| {
            accessed[r] && self.constants[r].is_none() && self.is_mask(Register(r as u32)) == mask
        };
        let mut live: Vec<bool> = (0..self.held.len())
            .map(|r| counts(r) && !matches!(self.held[r], Held::Nothing))
            .collect();
        let mut now = live.iter().filter(|live| **live).count();
        let mut most = now;
        for at in range {
            if let Some(to) = self.text[at].written()
                && counts(to.0 as usize)
                && !self.liveness.unread[at]
                && !std::mem::replace(&mut live[to.0 as usize], true)
            {
                now += 1;
            }
            most = most.max(now);
            for r in self.liveness.last_reads[at].iter() {
                if self.text[at].written() != Some(*r)
                    && std::mem::replace(&mut live[r.0 as usize], false)
                {
                    now -= 1;
                }
            }
        }
        most
    }

    /// At the end of a loop: everything back where it was at its start.
    pub(super) fn restore(&mut self, places: &Residency) {
        let mut at_start = vec![None; self.held.len()];
        let mut claimed = [false; ALL];
        for (r, register, _) in places {
            at_start[r.0 as usize] = Some(*register);
            if let Some(n) = register {
                claimed[*n as usize] = true;
            }
        }
        for (n, claimed) in claimed.into_iter().enumerate() {
            let Occupant::Register(r) = self.owners[n] else { continue };
            let moves = match at_start[r.0 as usize] {
                Some(Some(start)) => start as usize != n,
                Some(None) => true,
                None => claimed,
            };
            if moves {
                self.spill(r);
            }
        }
        for (r, register, was_saved) in places {
            if let (Held::Here { register: None, .. }, Some(n)) =
                (&self.held[r.0 as usize], register)
            {
                self.reload(*r, *n);
            }
            if let Held::Here { register: Some(_), saved } = &mut self.held[r.0 as usize] {
                *saved &= *was_saved;
            }
        }
    }
}
