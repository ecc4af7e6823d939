//! Residency of registers in loops: which machine register or stack slot holds each
//! value at a loop's start, restored at its end.

use std::ops::Range;

use super::Emitter;
use super::registers::{ALL, Held, Occupant};
use crate::program::Register;

/// The locations of registers at some point: each register with its machine register, if it has
/// one, and whether its stack slot has the value.
pub(super) type Residency = Vec<(Register, Option<u8>, bool)>;

impl Emitter<'_> {
    /// The current locations of all registers.
    pub(super) fn residency(&self) -> Residency {
        let held = self.held.iter().enumerate();
        held.filter_map(|(r, held)| match held {
            Held::Here { register, saved } => Some((Register(r as u32), *register, *saved)),
            _ => None,
        })
        .collect()
    }

    /// Before a loop: spills values that are live through the loop but not used in it, as far as
    /// the loop needs registers, and reloads values that it uses.
    pub(super) fn prepare(&mut self, range: Range<usize>, written: &[bool]) {
        let mut accessed = vec![false; self.held.len()];
        for instruction in &self.instructions[range.clone()] {
            for r in instruction.read().iter().copied().chain(instruction.written()) {
                accessed[r.0 as usize] = true;
            }
        }
        for mask in [false, true] {
            let pressure = self.register_pressure(range.clone(), &accessed, mask);
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
            while pressure + through.len() > free
                && let Some((_, r)) = through.pop()
            {
                self.spill(r);
            }
            if pressure + through.len() <= free {
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

    /// The largest number of a loop's registers that are live at the same time.
    fn register_pressure(&self, range: Range<usize>, accessed: &[bool], mask: bool) -> usize {
        let counts = |r: usize| {
            accessed[r] && self.constants[r].is_none() && self.is_mask(Register(r as u32)) == mask
        };
        let mut live: Vec<bool> = (0..self.held.len())
            .map(|r| counts(r) && !matches!(self.held[r], Held::Nothing))
            .collect();
        let mut live_count = live.iter().filter(|live| **live).count();
        let mut largest = live_count;
        for at in range {
            if let Some(to) = self.instructions[at].written()
                && counts(to.0 as usize)
                && !self.liveness.unread[at]
                && !std::mem::replace(&mut live[to.0 as usize], true)
            {
                live_count += 1;
            }
            largest = largest.max(live_count);
            for r in self.liveness.last_reads[at].iter() {
                if self.instructions[at].written() != Some(*r)
                    && std::mem::replace(&mut live[r.0 as usize], false)
                {
                    live_count -= 1;
                }
            }
        }
        largest
    }

    /// At the end of a loop: moves all values back to their locations at its start.
    pub(super) fn restore(&mut self, residency: &Residency) {
        let mut at_start = vec![None; self.held.len()];
        let mut claimed = [false; ALL];
        for (r, register, _) in residency {
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
        for (r, register, was_saved) in residency {
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
