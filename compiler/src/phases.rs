//! Phases: serial and parallel kernels between barriers of the threads. Takes kernels in
//! execution order, decides which of them run in parallel, returns phases.
//!
//! Threads have a cost. Each phase ends with a barrier, and values that one core
//! has written move to the core that reads them, a cache line at a time: in a
//! step on small batches that takes as long as computing. So a kernel is
//! parallel if its estimated time on two threads is less than on one, a phase
//! has as many kernels as are independent of each other, and a step that
//! gains little runs on one thread.

use crate::buffer::Storage;
use crate::error::Violations;
use crate::faults::{self, Fault};
use crate::fuse::Fused;
use crate::kernel::{Access, Kernel};
use crate::plan::{Allocation, Region, verify_allocations};
use crate::program::Program;
use crate::target::CACHE_LINE;

/// Kernels between two barriers.
///
/// Parallel kernels do not conflict in memory with any other kernel of the phase; serial ones
/// run on one thread, in order. So threads may run their shares at any time between the
/// barriers.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Phase {
    /// Kernels that one thread runs, in this order.
    pub serial: Vec<usize>,
    /// Kernels whose parallel iterations are split across threads.
    pub parallel: Vec<usize>,
    /// Whether it comes after the guard of a step: then it runs only if the
    /// guard's value is 0.
    pub guarded: bool,
}

impl Phase {
    /// The number of shares in which this number of threads runs it.
    pub fn shares(&self, threads: usize) -> usize {
        if self.parallel.is_empty() { 1 } else { threads }
    }
}

/// The cost of a barrier, in nanoseconds.
const BARRIER: usize = 500;

/// The least gain of a step by a second thread, in nanoseconds: waking a sleeping
/// thread takes about as long.
const GAIN: usize = 10_000;

/// The cost of fetching a cache line that another core has written, in
/// nanoseconds, with many fetches in flight.
const FETCH: usize = 3;

/// The phases of fused kernels, in order; none if one thread is faster.
/// Every kernel is in exactly one phase.
pub fn assign_phases(
    fused: &Fused,
    allocations: &[Allocation],
    programs: &[Program],
) -> Vec<Phase> {
    let memory = Memory { fused, allocations };
    let written = memory.written();
    let moves = |t: &usize| memory.overlaps_any(*t, &written);
    let (mut one_thread, mut two_threads) = (0, 0);
    let mut phases: Vec<Phase> = Vec::new();
    let mut open = Phase::default();
    let guard = fused.guard().map(|guard| guard.kernel);
    for (i, (kernel, program)) in fused.kernels.iter().zip(programs).enumerate() {
        let time = kernel.estimated_ns(program.lanes);
        // Each of two threads runs half of the iterations, rounded up, and
        // fetches half of the lines.
        let half = program.parallel.div_ceil(2);
        let lines: usize = memory
            .touched(kernel)
            .iter()
            .filter(|t| moves(t))
            .map(|t| memory.elements(kernel, *t).div_ceil(CACHE_LINE))
            .sum();
        let halved = time * half / program.parallel.max(1) + lines * FETCH / 2;
        let is_guard = guard == Some(i);
        let is_parallel = !is_guard && program.parallel > 1 && halved + 2 * BARRIER < time;
        one_thread += time;
        two_threads += if is_parallel { halved } else { time };

        let conflicts = |others: &[usize]| others.iter().any(|other| memory.conflict(*other, i));
        // Serial kernels run in order anyway.
        if conflicts(&open.parallel) || (is_parallel && conflicts(&open.serial)) {
            let guarded = open.guarded;
            phases.push(std::mem::replace(&mut open, Phase { guarded, ..Phase::default() }));
        }
        if is_parallel {
            open.parallel.push(i)
        } else {
            open.serial.push(i)
        }
        if is_guard {
            phases.push(std::mem::replace(&mut open, Phase { guarded: true, ..Phase::default() }));
        }
    }
    phases.push(open);
    two_threads += phases.len() * BARRIER;
    postpone(&mut phases, &memory, programs, guard);
    if two_threads + GAIN < one_thread { phases } else { Vec::new() }
}

/// Moves serial kernels that no later kernel of their phase depends on to the parallel kernels
/// of the next phase, where threads synchronise anyway: the
/// updates of small weights beside that of a large one.
fn postpone(
    phases: &mut Vec<Phase>,
    memory: &Memory<'_>,
    programs: &[Program],
    guard: Option<usize>,
) {
    for i in 1..phases.len() {
        let (before, after) = phases.split_at_mut(i);
        let (from, into) = (&mut before[i - 1], &mut after[0]);
        if into.parallel.is_empty() {
            continue;
        }
        for index in (0..from.serial.len()).rev() {
            let kernel = from.serial[index];
            let later = from.serial[index + 1..].iter().chain(&into.serial).chain(&into.parallel);
            if guard != Some(kernel)
                && programs[kernel].parallel > 1
                && !later.into_iter().any(|k| memory.conflict(kernel, *k))
            {
                from.serial.remove(index);
                into.parallel.push(kernel);
            }
        }
    }
    // Independent serial kernels of a parallel phase as well.
    for phase in phases.iter_mut().filter(|phase| !phase.parallel.is_empty()) {
        for index in (0..phase.serial.len()).rev() {
            let kernel = phase.serial[index];
            let mut others = phase.serial.iter().chain(&phase.parallel).filter(|k| **k != kernel);
            if guard != Some(kernel)
                && programs[kernel].parallel > 1
                && !others.any(|k| memory.conflict(kernel, *k))
            {
                phase.serial.remove(index);
                phase.parallel.push(kernel);
            }
        }
    }
    phases.retain(|phase| !(phase.serial.is_empty() && phase.parallel.is_empty()));
    phases.iter_mut().for_each(|phase| phase.parallel.sort_unstable());
}

/// A range of elements of a region: the first, and the end.
type Span = (Region, usize, usize);

/// The memory that kernels touch, to find conflicts.
struct Memory<'a> {
    fused: &'a Fused,
    allocations: &'a [Allocation],
}

impl Memory<'_> {
    /// Whether one of two kernels writes what the other reads or writes.
    fn conflict(&self, a: usize, b: usize) -> bool {
        let [a, b] = [a, b].map(|k| &self.fused.kernels[k]);
        let overlap = |writes: &[&Access], touches: &[&Access]| {
            writes.iter().any(|w| touches.iter().any(|t| self.overlap(w, t)))
        };
        if faults::is(Fault::PhaseConflict) {
            return false;
        }
        overlap(&a.stored(), &b.loaded())
            || overlap(&a.stored(), &b.stored())
            || overlap(&b.stored(), &a.loaded())
    }

    /// Whether two accesses may touch the same element.
    fn overlap(&self, a: &Access, b: &Access) -> bool {
        if a.buffer == b.buffer {
            return !self.fused.are_disjoint(a.part, b.part);
        }
        let [(r, x, x_end), (s, y, y_end)] = [a, b].map(|access| self.span(access.buffer));
        r == s && x < y_end && y < x_end
    }

    /// The memory that kernels write: sorted, disjoint spans.
    fn written(&self) -> Vec<Span> {
        let mut spans: Vec<Span> =
            self.fused.kernels.iter().flat_map(Kernel::writes).map(|t| self.span(t)).collect();
        spans.sort_unstable();
        spans.dedup_by(|next, (region, _, end)| {
            let overlaps = next.0 == *region && next.1 <= *end;
            if overlaps {
                *end = next.2.max(*end);
            }
            overlaps
        });
        spans
    }

    /// Whether a buffer overlaps any of some sorted spans.
    fn overlaps_any(&self, buffer: usize, spans: &[Span]) -> bool {
        let (region, start, end) = self.span(buffer);
        let next = spans.partition_point(|(r, _, until)| (*r, *until) <= (region, start));
        spans.get(next).is_some_and(|(r, from, _)| *r == region && *from < end)
    }

    fn span(&self, buffer: usize) -> Span {
        let Allocation { region, offset } = self.allocations[buffer];
        (region, offset, offset + self.fused.buffers[buffer].layout.elements)
    }

    /// The most elements of a buffer that a kernel touches: of a table whose
    /// rows it gathers, only those rows.
    fn elements(&self, kernel: &Kernel, buffer: usize) -> usize {
        let all = self.fused.buffers[buffer].layout.elements;
        if kernel.gathers(buffer) { all.min(kernel.points()) } else { all }
    }

    /// The buffers that a kernel touches, one for each allocation.
    fn touched(&self, kernel: &Kernel) -> Vec<usize> {
        let mut buffers = kernel.reads();
        buffers.extend(kernel.writes());
        let allocation = |t: &usize| (self.allocations[*t].region, self.allocations[*t].offset);
        buffers.sort_unstable_by_key(allocation);
        buffers.dedup_by_key(|t| allocation(t));
        buffers
    }
}

/// Checks that every kernel is in one phase, that none runs before kernels that it depends on
/// or in parallel with kernels that it conflicts with, and that exactly the phases after the
/// guard are guarded.
///
/// # Errors
/// The kernels and phases that break a rule.
pub fn verify(
    fused: &Fused,
    allocations: &[Allocation],
    programs: &[Program],
    phases: &[Phase],
) -> Result<(), Violations> {
    if phases.is_empty() {
        return Ok(());
    }
    verify_allocations(fused, allocations)?;
    let mut found = Violations::default();
    if programs.len() != fused.kernels.len() {
        let message = format!("{} of them for {} kernels", programs.len(), fused.kernels.len());
        found.push("programs", message);
        return found.into_result();
    }
    let label = |k: usize| format!("kernel {k} ({})", fused.kernels[k].name);
    // For each kernel, its phase, and its index among the serial kernels.
    let mut runs = vec![None; fused.kernels.len()];
    for (i, phase) in phases.iter().enumerate() {
        let parallel = phase.parallel.iter().map(|k| (*k, None));
        let serial = phase.serial.iter().enumerate().map(|(index, k)| (*k, Some(index)));
        for (kernel, index) in parallel.chain(serial) {
            if kernel >= runs.len() {
                found.push(format!("phase {i}"), format!("there is no kernel {kernel}"));
                continue;
            }
            if runs[kernel].replace((i, index)).is_some() {
                found.push(label(kernel), "runs twice");
            }
            if index.is_none() && programs[kernel].parallel == 0 {
                found.push(label(kernel), "is parallel, but has no parallel loop");
            }
        }
    }
    for kernel in (0..runs.len()).filter(|k| runs[*k].is_none()) {
        found.push(label(kernel), "never runs");
    }
    if let Some(guard) = fused.guard() {
        let index = runs[guard.kernel].map(|(phase, _)| phase);
        let guarded = |phase: usize| index.is_some_and(|index| index < phase);
        for i in (0..phases.len()).filter(|i| phases[*i].guarded != guarded(*i)) {
            let message = "is not on its side of the guard";
            found.push(format!("phase {i} ({})", phases[i]), message);
        }
        let is_parameter = |t: &usize| matches!(fused.buffers[*t].storage, Storage::Parameter(_));
        let overwrites = |k: usize| fused.kernels[k].writes().iter().any(is_parameter);
        let early = |k: &usize| runs[*k].is_some_and(|(phase, _)| !guarded(phase));
        for k in (0..runs.len()).filter(|k| overwrites(*k) && early(k)) {
            found.push(label(k), "overwrites before the guard");
        }
    }
    let memory = Memory { fused, allocations };
    for (b, second) in runs.iter().enumerate() {
        let Some((phase_b, index_b)) = *second else { continue };
        for (a, first) in runs[..b].iter().enumerate() {
            let Some((phase_a, index_a)) = *first else { continue };
            let in_order = phase_a < phase_b
                || (phase_a == phase_b
                    && matches!((index_a, index_b), (Some(x), Some(y)) if x < y));
            if !in_order && memory.conflict(a, b) {
                found.push(label(b), format!("does not wait for {}", label(a)));
            }
        }
    }
    found.into_result()
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut separator = "";
        for (label, kernels) in [("parallel", &self.parallel), ("serial", &self.serial)] {
            if !kernels.is_empty() {
                write!(f, "{separator}{label}")?;
                kernels.iter().try_for_each(|kernel| write!(f, " {kernel}"))?;
                separator = ", ";
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;
    use crate::plan::ParameterLayout;
    use crate::shape::Shape;

    #[test]
    fn all_violations_are_reported() {
        let text = "graph for batches of 4
%0 = input(0) : f32 batch×[16]
%1 = parameter(0) : f32 [16, 16]
%2 = contract(%0, %1, contracted = [(0, 0)])
%3 = contract(%2, %1, contracted = [(0, 0)])
%4 = contract(%3, %1, contracted = [(0, 0)])
%5 = contract(%4, %1, contracted = [(0, 0)])
output y = %5
";
        let graph: Graph = text.parse().unwrap();
        let fused = crate::fuse::fuse(&graph, true).unwrap();
        let weight = Shape::unbatched([16usize, 16]);
        let parameters = ParameterLayout::new(&[]).followed_by_shapes(0, std::iter::once(&weight));
        let allocations = crate::plan::plan(&fused, &parameters).allocations;
        let lower = |kernel| crate::lower::lower(kernel, &crate::target::host::baseline());
        let programs: Vec<Program> = fused.kernels.iter().map(lower).collect();
        let phase = |serial: &[usize], parallel: &[usize]| Phase {
            serial: serial.into(),
            parallel: parallel.into(),
            guarded: false,
        };
        let right = [phase(&[0, 1], &[]), phase(&[2], &[]), phase(&[], &[3])];
        assert_eq!(verify(&fused, &allocations, &programs, &right), Ok(()));
        let wrong = [phase(&[1, 0], &[]), phase(&[], &[2]), phase(&[0, 9], &[])];
        let expected = [
            "kernel 0 (product: contract %2): runs twice",
            "phase 2: there is no kernel 9",
            "kernel 3 (product: contract %5): never runs",
            "kernel 1 (product: contract %3): does not wait for kernel 0 (product: contract %2)",
            "kernel 2 (product: contract %4): does not wait for kernel 0 (product: contract %2)",
        ];
        let found = verify(&fused, &allocations, &programs, &wrong).unwrap_err();
        assert_eq!(found.to_string(), expected.join("\n"));
        let found = verify(&fused, &allocations, &programs[1..], &right).unwrap_err();
        assert_eq!(found.to_string(), "programs: 3 of them for 4 kernels");
        let found = verify(&fused, &allocations[1..], &programs, &right).unwrap_err();
        assert!(found.to_string().contains("allocations for"), "{found}");
    }

    #[test]
    fn phases_on_the_wrong_side_of_the_guard_are_reported() {
        let text = "graph for batches of 4
%0 = input(0) : f32 batch×[16]
%1 = parameter(0) : f32 [16]
%2 = reduce(%0, sum, axis = batch)
%3 = sub(%1, %2)
%4 = reduce(%2, sum, axis = 0)
%5 = reshape(%4) : f32 []
%6 = all_finite(%5, direct = 1)
loss = %5
next parameter 0 = %3
guard = %6
";
        let graph: Graph = text.parse().unwrap();
        let fused = crate::fuse::fuse(&graph, true).unwrap();
        let parameter = Shape::unbatched([16usize]);
        let parameters =
            ParameterLayout::new(&[]).followed_by_shapes(0, std::iter::once(&parameter));
        let allocations = crate::plan::plan(&fused, &parameters).allocations;
        let lower = |kernel| crate::lower::lower(kernel, &crate::target::host::baseline());
        let programs: Vec<Program> = fused.kernels.iter().map(lower).collect();
        let last = fused.kernels.len() - 1;
        assert_eq!(fused.guard().unwrap().kernel, last - 1);
        let phase = |serial: std::ops::Range<usize>, guarded| Phase {
            serial: serial.collect(),
            guarded,
            ..Phase::default()
        };
        let right = [phase(0..last, false), phase(last..last + 1, true)];
        assert_eq!(verify(&fused, &allocations, &programs, &right), Ok(()));
        let wrong = [phase(0..1, true), phase(1..last + 1, true)];
        let found = verify(&fused, &allocations, &programs, &wrong).unwrap_err().to_string();
        let expected = [
            "phase 0 (serial 0): is not on its side of the guard",
            &format!("phase 1 ({}): is not on its side of the guard", wrong[1]),
            &format!("kernel {last} ({}): overwrites before the guard", fused.kernels[last].name),
        ];
        assert_eq!(found, expected.join("\n"));
    }
}
