//! Which kernels of a step several threads share, and where the threads must
//! have met: takes kernels in their order, produces phases.
//!
//! Threads cost something: each phase ends with a meeting, and what one core
//! has written another has to fetch. So only kernels that take some
//! microseconds are shared, a phase has as many kernels as do not need each
//! other's results, and a step that would not gain much is not shared at all.
//! Times are estimated, from sizes and the width of vectors.

use crate::fuse::Fused;
use crate::kernel::program::Program;
use crate::plan::{Place, Region};

/// Kernels between two meetings.
///
/// Shared kernels need nothing of any other kernel in the phase, nor overwrite
/// what another needs; what is not shared runs on one thread, in order. So
/// threads are free to run their parts at any time between the meetings.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Phase {
    /// Kernels that one thread runs, in this order.
    pub alone: Vec<usize>,
    /// Kernels whose parallel iterations are split across threads.
    pub shared: Vec<usize>,
}

impl Phase {
    /// In how many shares so many threads run it.
    pub fn shares(&self, threads: usize) -> usize {
        if self.shared.is_empty() { 1 } else { threads }
    }
}

/// A kernel is shared from so many nanoseconds on: some times what it takes
/// to meet after it.
const SHARED: usize = 3_000;

/// What a meeting costs, in nanoseconds, with the lines of the cache that
/// move from core to core.
const MEETING: usize = 500;

/// What a step must gain by a second thread, in nanoseconds: waking a thread
/// that sleeps takes about as long.
const GAIN: usize = 10_000;

/// The phases of fused kernels, in order; none where threads would not help.
/// Every kernel is in one phase once.
pub fn schedule(fused: &Fused, places: &[Place], programs: &[Program]) -> Vec<Phase> {
    let times = fused.kernels.iter().zip(programs).map(|(k, p)| k.nanoseconds(p.lanes));
    let times: Vec<usize> = times.collect();
    let mut phases = Phases { fused, places, done: Vec::new(), open: Phase::default() };
    // What the step takes on two threads.
    let mut together = 0;
    for (i, (time, program)) in times.iter().zip(programs).enumerate() {
        let shared = *time >= SHARED && program.parallel > 1;
        phases.push(i, shared);
        let larger = program.parallel.div_ceil(2);
        together += if shared { time * larger / program.parallel } else { *time };
    }
    let phases = phases.finish();
    together += phases.len() * MEETING;
    let alone: usize = times.iter().sum();
    if alone > together + GAIN { phases } else { Vec::new() }
}

struct Phases<'a> {
    fused: &'a Fused,
    places: &'a [Place],
    done: Vec<Phase>,
    open: Phase,
}

impl Phases<'_> {
    /// Adds the next kernel, to the phase that is open if it may.
    fn push(&mut self, kernel: usize, shared: bool) {
        let meets = |others: &[usize]| others.iter().any(|other| self.meet(*other, kernel));
        // Those that are not shared run one after the other anyway.
        if meets(&self.open.shared) || (shared && meets(&self.open.alone)) {
            self.done.push(std::mem::take(&mut self.open));
        }
        match shared {
            true => self.open.shared.push(kernel),
            false => self.open.alone.push(kernel),
        }
    }

    fn finish(mut self) -> Vec<Phase> {
        if self.open != Phase::default() {
            self.done.push(self.open);
        }
        self.done
    }

    /// Whether one of two kernels writes what the other reads or writes.
    fn meet(&self, a: usize, b: usize) -> bool {
        let (a, b) = (&self.fused.kernels[a], &self.fused.kernels[b]);
        let overlap = |writes: &[usize], touches: &[usize]| {
            writes.iter().any(|w| touches.iter().any(|t| self.overlap(*w, *t)))
        };
        let (a_writes, b_writes) = (a.writes(), b.writes());
        overlap(&a_writes, &b.reads())
            || overlap(&a_writes, &b_writes)
            || overlap(&b_writes, &a.reads())
    }

    /// Whether two tensors have memory in common.
    fn overlap(&self, a: usize, b: usize) -> bool {
        let span = |t: usize| -> (Region, usize, usize) {
            let Place { region, offset } = self.places[t];
            (region, offset, offset + self.fused.tensors[t].layout.elements)
        };
        let (a, b) = (span(a), span(b));
        a.0 == b.0 && a.1 < b.2 && b.1 < a.2
    }
}

/// Checks that every kernel has its phase, none runs before what it needs, and
/// none beside what it meets in memory.
pub fn verify(
    fused: &Fused,
    places: &[Place],
    programs: &[Program],
    phases: &[Phase],
) -> Result<(), String> {
    if phases.is_empty() {
        return Ok(());
    }
    // For each kernel: its phase, whether it is shared, its place among those
    // that are not.
    let mut found = vec![None; fused.kernels.len()];
    for (i, phase) in phases.iter().enumerate() {
        let shared = phase.shared.iter().map(|k| (*k, None));
        let alone = phase.alone.iter().enumerate().map(|(place, k)| (*k, Some(place)));
        for (kernel, place) in shared.chain(alone) {
            if found[kernel].replace((i, place)).is_some() {
                return Err(format!("{} runs twice", fused.kernels[kernel].name));
            }
            if place.is_none() && programs[kernel].parallel == 0 {
                return Err(format!("{} cannot be shared", fused.kernels[kernel].name));
            }
        }
    }
    let memory = Phases { fused, places, done: Vec::new(), open: Phase::default() };
    for (b, second) in found.iter().enumerate() {
        let Some((phase_b, place_b)) = *second else {
            return Err(format!("{} never runs", fused.kernels[b].name));
        };
        for (a, first) in found[..b].iter().enumerate() {
            let Some((phase_a, place_a)) = *first else { continue };
            let in_order = phase_a < phase_b
                || (phase_a == phase_b
                    && matches!((place_a, place_b), (Some(x), Some(y)) if x < y));
            if !in_order && memory.meet(a, b) {
                let names = [a, b].map(|k| &fused.kernels[k].name);
                return Err(format!("{} and {} run at once", names[0], names[1]));
            }
        }
    }
    Ok(())
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "shared {:?}, on one thread {:?}", self.shared, self.alone)
    }
}
