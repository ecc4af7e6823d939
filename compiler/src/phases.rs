//! Phases: serial and parallel kernels between barriers of the threads.
//!
//! Which kernels of a step several threads share, and where the threads must
//! have met: takes kernels in their order, produces phases.
//!
//! Threads cost something. Each phase ends with a meeting, and what one core
//! has written moves to the other that needs it, a cache line at a time: of a
//! step on small batches that is as much work as computing. So a kernel is
//! shared where what is estimated for two threads is less than for one, a phase
//! has as many kernels as do not need each other's results, and a step that
//! gains little is not shared at all.

use crate::buffer::Storage;
use crate::error::Violations;
use crate::fuse::Fused;
use crate::kernel::Kernel;
use crate::plan::{Allocation, Region, verify_places};
use crate::program::Program;
use crate::target::CACHE_LINE;

/// Kernels between two meetings.
///
/// Shared kernels need nothing of any other kernel in the phase, nor overwrite
/// what another needs; what is not shared runs on one thread, in order. So
/// threads are free to run their parts at any time between the meetings.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Phase {
    /// Kernels that one thread runs, in this order.
    pub serial: Vec<usize>,
    /// Kernels whose parallel iterations are split across threads.
    pub parallel: Vec<usize>,
    /// Whether it comes after the guard of a step: then it is run only where the
    /// guard lets it.
    pub guarded: bool,
}

impl Phase {
    /// In how many shares so many threads run it.
    pub fn shares(&self, threads: usize) -> usize {
        if self.parallel.is_empty() { 1 } else { threads }
    }
}

/// What a meeting costs, in nanoseconds.
const BARRIER: usize = 500;

/// What a step must gain by a second thread, in nanoseconds: waking a thread
/// that sleeps takes about as long.
const GAIN: usize = 10_000;

/// What it takes a core to fetch a line that another has written, in
/// nanoseconds, where it fetches many at once.
const FETCH: usize = 3;

/// The phases of fused kernels, in order; none where threads would not help.
/// Every kernel is in one phase once.
pub fn assign_phases(
    fused: &Fused,
    allocations: &[Allocation],
    programs: &[Program],
) -> Vec<Phase> {
    let memory = Memory { fused, allocations };
    let written = memory.written();
    let moves = |t: &usize| memory.overlaps_any(*t, &written);
    let (mut alone, mut together) = (0, 0);
    let mut phases: Vec<Phase> = Vec::new();
    let mut open = Phase::default();
    let guard = fused.guard().map(|guard| guard.kernel);
    for (i, (kernel, program)) in fused.kernels.iter().zip(programs).enumerate() {
        let time = kernel.estimated_ns(program.lanes);
        // Of two threads, each has half of the iterations, or one more, and
        // fetches half of what it touches.
        let most = program.parallel.div_ceil(2);
        let lines: usize = memory
            .touched(kernel)
            .iter()
            .filter(|t| moves(t))
            .map(|t| memory.elements(kernel, *t).div_ceil(CACHE_LINE))
            .sum();
        let halved = time * most / program.parallel.max(1) + lines * FETCH / 2;
        let is_guard = guard == Some(i);
        let shared = !is_guard && program.parallel > 1 && halved + 2 * BARRIER < time;
        alone += time;
        together += if shared { halved } else { time };

        let meets = |others: &[usize]| others.iter().any(|other| memory.meet(*other, i));
        // Those that are not shared run one after the other anyway.
        if meets(&open.parallel) || (shared && meets(&open.serial)) {
            let guarded = open.guarded;
            phases.push(std::mem::replace(&mut open, Phase { guarded, ..Phase::default() }));
        }
        if shared {
            open.parallel.push(i)
        } else {
            open.serial.push(i)
        }
        if is_guard {
            phases.push(std::mem::replace(&mut open, Phase { guarded: true, ..Phase::default() }));
        }
    }
    phases.push(open);
    together += phases.len() * BARRIER;
    postpone(&mut phases, &memory, programs, guard);
    if together + GAIN < alone { phases } else { Vec::new() }
}

/// Kernels that were to run alone, of which the others of their phase do not
/// need anything, are shared in the next phase, where threads meet anyway: the
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
                && !later.into_iter().any(|k| memory.meet(kernel, *k))
            {
                from.serial.remove(index);
                into.parallel.push(kernel);
            }
        }
    }
    // Those of the phase itself as well.
    for phase in phases.iter_mut().filter(|phase| !phase.parallel.is_empty()) {
        for index in (0..phase.serial.len()).rev() {
            let kernel = phase.serial[index];
            let mut others = phase.serial.iter().chain(&phase.parallel).filter(|k| **k != kernel);
            if guard != Some(kernel)
                && programs[kernel].parallel > 1
                && !others.any(|k| memory.meet(kernel, *k))
            {
                phase.serial.remove(index);
                phase.parallel.push(kernel);
            }
        }
    }
    phases.retain(|phase| !(phase.serial.is_empty() && phase.parallel.is_empty()));
    phases.iter_mut().for_each(|phase| phase.parallel.sort_unstable());
}

/// A part of a region: its first element, and the one behind its last.
type Span = (Region, usize, usize);

/// Which kernels meet in memory.
struct Memory<'a> {
    fused: &'a Fused,
    allocations: &'a [Allocation],
}

impl Memory<'_> {
    /// Whether one of two kernels writes what the other reads or writes.
    fn meet(&self, a: usize, b: usize) -> bool {
        let [a, b] = [a, b].map(|k| &self.fused.kernels[k]);
        let overlap = |writes: &[usize], touches: &[usize]| {
            writes.iter().any(|w| touches.iter().any(|t| self.overlap(*w, *t)))
        };
        overlap(&a.writes(), &b.reads())
            || overlap(&a.writes(), &b.writes())
            || overlap(&b.writes(), &a.reads())
    }

    /// Whether two buffers have memory in common.
    fn overlap(&self, a: usize, b: usize) -> bool {
        let [(r, x, x_end), (s, y, y_end)] = [a, b].map(|t| self.span(t));
        r == s && x < y_end && y < x_end
    }

    /// The memory that kernels write: spans in order, of which none meets the next.
    fn written(&self) -> Vec<Span> {
        let mut spans: Vec<Span> =
            self.fused.kernels.iter().flat_map(Kernel::writes).map(|t| self.span(t)).collect();
        spans.sort_unstable();
        spans.dedup_by(|next, (region, _, end)| {
            let meet = next.0 == *region && next.1 <= *end;
            if meet {
                *end = next.2.max(*end);
            }
            meet
        });
        spans
    }

    /// Whether a buffer has memory in common with spans that are in order.
    fn overlaps_any(&self, buffer: usize, spans: &[Span]) -> bool {
        let (region, start, end) = self.span(buffer);
        let next = spans.partition_point(|(r, _, until)| (*r, *until) <= (region, start));
        spans.get(next).is_some_and(|(r, from, _)| *r == region && *from < end)
    }

    fn span(&self, buffer: usize) -> Span {
        let Allocation { region, offset } = self.allocations[buffer];
        (region, offset, offset + self.fused.buffers[buffer].layout.elements)
    }

    /// How many elements of a buffer a kernel touches at most: of a table whose
    /// rows it gathers, those rows.
    fn elements(&self, kernel: &Kernel, buffer: usize) -> usize {
        let all = self.fused.buffers[buffer].layout.elements;
        if kernel.gathers(buffer) { all.min(kernel.points()) } else { all }
    }

    /// The buffers that a kernel touches, of those in the same memory one.
    fn touched(&self, kernel: &Kernel) -> Vec<usize> {
        let mut buffers = kernel.reads();
        buffers.extend(kernel.writes());
        let allocation = |t: &usize| (self.allocations[*t].region, self.allocations[*t].offset);
        buffers.sort_unstable_by_key(allocation);
        buffers.dedup_by_key(|t| allocation(t));
        buffers
    }
}

/// Checks that every kernel has its phase, none runs before what it needs, none
/// beside what it meets in memory, and that phases come after the guard that have
/// to, and no others.
///
/// # Errors
/// All kernels and phases that break a rule.
pub fn verify(
    fused: &Fused,
    allocations: &[Allocation],
    programs: &[Program],
    phases: &[Phase],
) -> Result<(), Violations> {
    if phases.is_empty() {
        return Ok(());
    }
    verify_places(fused, allocations)?;
    let mut found = Violations::default();
    if programs.len() != fused.kernels.len() {
        let message = format!("{} of them for {} kernels", programs.len(), fused.kernels.len());
        found.push("programs", message);
        return found.into_result();
    }
    let label = |k: usize| format!("kernel {k} ({})", fused.kernels[k].name);
    // For each kernel: its phase, and its index among those that are not shared.
    let mut runs = vec![None; fused.kernels.len()];
    for (i, phase) in phases.iter().enumerate() {
        let shared = phase.parallel.iter().map(|k| (*k, None));
        let alone = phase.serial.iter().enumerate().map(|(index, k)| (*k, Some(index)));
        for (kernel, index) in shared.chain(alone) {
            if kernel >= runs.len() {
                found.push(format!("phase {i}"), format!("there is no kernel {kernel}"));
                continue;
            }
            if runs[kernel].replace((i, index)).is_some() {
                found.push(label(kernel), "runs twice");
            }
            if index.is_none() && programs[kernel].parallel == 0 {
                found.push(label(kernel), "is shared, but has no parallel loop");
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
        let Some((phase_b, place_b)) = *second else { continue };
        for (a, first) in runs[..b].iter().enumerate() {
            let Some((phase_a, place_a)) = *first else { continue };
            let in_order = phase_a < phase_b
                || (phase_a == phase_b
                    && matches!((place_a, place_b), (Some(x), Some(y)) if x < y));
            if !in_order && memory.meet(a, b) {
                found.push(label(b), format!("does not wait for {}", label(a)));
            }
        }
    }
    found.into_result()
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut separator = "";
        for (what, kernels) in [("shared", &self.parallel), ("alone", &self.serial)] {
            if !kernels.is_empty() {
                write!(f, "{separator}{what}")?;
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
    fn all_broken_rules_are_found() {
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
        let phase = |alone: &[usize], shared: &[usize]| Phase {
            serial: alone.into(),
            parallel: shared.into(),
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
    fn all_that_is_on_the_wrong_side_of_the_guard_is_found() {
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
        let phase = |alone: std::ops::Range<usize>, guarded| Phase {
            serial: alone.collect(),
            guarded,
            ..Phase::default()
        };
        let right = [phase(0..last, false), phase(last..last + 1, true)];
        assert_eq!(verify(&fused, &allocations, &programs, &right), Ok(()));
        let wrong = [phase(0..1, true), phase(1..last + 1, true)];
        let found = verify(&fused, &allocations, &programs, &wrong).unwrap_err().to_string();
        let expected = [
            "phase 0 (alone 0): is not on its side of the guard",
            &format!("phase 1 ({}): is not on its side of the guard", wrong[1]),
            &format!("kernel {last} ({}): overwrites before the guard", fused.kernels[last].name),
        ];
        assert_eq!(found, expected.join("\n"));
    }
}
