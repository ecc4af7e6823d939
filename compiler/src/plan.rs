//! Memory planning: takes kernels in execution order, returns the allocation of
//! each buffer and the size of the arena.
//!
//! The arena is planned ahead, so that a call allocates nothing. Buffers
//! with disjoint lifetimes share memory; every buffer begins on a cache
//! line.

mod parts;

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use crate::buffer::{Buffer, Layout, Storage};
use crate::declaration::Parameter;
use crate::error::Violations;
use crate::faults::{self, Fault};
use crate::fuse::Fused;
use crate::shape::Shape;
use crate::target::CACHE_LINE;

/// Memory that is passed to a compiled network as one pointer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Region {
    /// Values of one call: activations, gradients, outputs, losses.
    Arena,
    /// All parameters.
    Parameters,
    /// Numbers that may change between calls, one float each.
    StepScalars,
    /// An input, by its index among the network's inputs: row-major without
    /// padding, read-only.
    Input(usize),
    /// Numbers that the network declares, in the order of [`Fused::numbers`];
    /// read-only.
    Numbers,
    /// Not memory of values: the pointer to the state of a sanitised call. Only in artifacts of
    /// `sanitize`.
    Monitor,
}

/// The location of a buffer in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Allocation {
    /// The region.
    pub region: Region,
    /// Elements of 32 bits from the region's start.
    pub offset: usize,
}

/// The allocation of every buffer, and the sizes of the memory that a call needs.
#[derive(Clone, Debug)]
pub struct Plan {
    /// For every buffer, by number.
    pub allocations: Vec<Allocation>,
    /// All regions that a call passes, in the order of their pointers.
    pub regions: Vec<Region>,
    /// Elements of the arena.
    pub arena: usize,
}

/// The layout of all parameters in their region, which every
/// executable of a network shares; optimizer state follows them.
#[derive(Clone, Debug)]
pub struct ParameterLayout {
    /// For each parameter, its offset and layout.
    pub parameters: Vec<(usize, Layout)>,
    /// Elements altogether.
    pub elements: usize,
}

impl ParameterLayout {
    /// All parameters, in order.
    pub fn new(parameters: &[Parameter]) -> ParameterLayout {
        ParameterLayout { parameters: Vec::new(), elements: 0 }.followed_by(0, parameters)
    }

    /// The first `count` of its parameters, unchanged, followed by others.
    pub fn followed_by(&self, count: usize, others: &[Parameter]) -> ParameterLayout {
        self.followed_by_shapes(count, others.iter().map(|p| &p.shape))
    }

    /// The same, from the others' shapes alone.
    pub(crate) fn followed_by_shapes<'a>(
        &self,
        count: usize,
        others: impl Iterator<Item = &'a Shape>,
    ) -> ParameterLayout {
        let mut elements = self.start(count);
        let mut parameters = self.parameters[..count.min(self.parameters.len())].to_vec();
        parameters.extend(others.map(|shape| {
            let layout = Layout::padded(&shape.sizes());
            let start = elements;
            elements += layout.elements.next_multiple_of(CACHE_LINE);
            (start, layout)
        }));
        ParameterLayout { parameters, elements }
    }

    /// Requires that the kernels' parameters exist, with the layouts that the kernels
    /// assume.
    #[cfg(feature = "codegen")]
    pub(crate) fn check(&self, fused: &Fused) -> Result<(), Violations> {
        let mut found = Violations::default();
        for (t, buffer) in fused.buffers.iter().enumerate() {
            let Storage::Parameter(p) = buffer.storage else { continue };
            let layout = &buffer.layout;
            let message = match self.parameters.get(p) {
                Some((_, found)) if found == layout => continue,
                Some((_, found)) => {
                    format!("parameter {p} is {:?}, and not {:?}", found.sizes, layout.sizes)
                }
                None => format!("there is no parameter {p}"),
            };
            found.push(format!("buffer {t} ({})", buffer.name), message);
        }
        found.into_result()
    }

    /// The offset of a parameter; after the last, the end of all.
    pub fn start(&self, index: usize) -> usize {
        self.parameters.get(index).map_or(self.elements, |(start, _)| *start)
    }
}

/// For each buffer, the first and last kernel that touch it; roots live to the end.
fn lifetimes(fused: &Fused) -> Vec<(usize, usize)> {
    let mut lives = vec![(usize::MAX, 0); fused.buffers.len()];
    for (time, kernel) in fused.kernels.iter().enumerate() {
        for buffer in kernel.reads().into_iter().chain(kernel.writes()) {
            let life = &mut lives[buffer];
            *life = (life.0.min(time), life.1.max(time));
        }
    }
    for root in fused.roots.iter().filter(|_| !faults::is(Fault::ReusedResult)) {
        lives[*root].1 = usize::MAX;
    }
    lives
}

/// Plans the memory of fused kernels.
pub fn plan(fused: &Fused, parameters: &ParameterLayout) -> Plan {
    let lives = lifetimes(fused);
    // Memory in use, in order: offset, elements, last kernel.
    let mut used: Vec<(usize, usize, usize)> = Vec::new();
    let mut arena = 0;
    let mut order: Vec<usize> = (0..fused.buffers.len()).collect();
    order.sort_by_key(|t| lives[*t].0);
    let mut allocations =
        vec![Allocation { region: Region::Arena, offset: 0 }; fused.buffers.len()];
    for buffer in order {
        let Buffer { layout, storage, .. } = &fused.buffers[buffer];
        allocations[buffer] = match *storage {
            Storage::Parameter(p) => {
                Allocation { region: Region::Parameters, offset: parameters.parameters[p].0 }
            }
            Storage::StepScalar(offset) => Allocation { region: Region::StepScalars, offset },
            Storage::Input(i) => Allocation { region: Region::Input(i), offset: 0 },
            Storage::Numbers(offset) => Allocation { region: Region::Numbers, offset },
            Storage::Arena => {
                let (first, last) = lives[buffer];
                let early = usize::from(faults::is(Fault::ShortLife));
                used.retain(|(_, _, until)| *until >= first + early);
                let elements = layout.elements.next_multiple_of(CACHE_LINE);
                let (mut offset, mut index) = (0, 0);
                for (start, size, _) in &used {
                    if offset + elements <= *start {
                        break;
                    }
                    offset = start + size;
                    index += 1;
                }
                used.insert(index, (offset, elements, last));
                arena = arena.max(offset + elements);
                Allocation { region: Region::Arena, offset }
            }
        };
    }
    let mut regions: Vec<Region> = allocations.iter().map(|p| p.region).collect();
    regions.extend([Region::Arena, Region::Parameters, Region::StepScalars]);
    regions.sort_unstable();
    regions.dedup();
    Plan { allocations, regions, arena }
}

/// Checks that no buffer is read before it is written or after it is
/// overwritten, that buffers with overlapping lifetimes do not share memory, and that no
/// parameter is written before the guard, if there is one.
///
/// # Errors
/// The kernels and buffers that break a rule.
pub fn verify(fused: &Fused, plan: &Plan) -> Result<(), Violations> {
    verify_allocations(fused, &plan.allocations)?;
    parts::verify(fused)?;
    let mut found = Violations::default();
    verify_order(fused, &mut found);
    verify_arena(fused, plan, &mut found);
    found.into_result()
}

/// Checks that the buffers of kernels and roots exist and that each has an allocation, which all
/// other checks rely on.
pub(crate) fn verify_allocations(
    fused: &Fused,
    allocations: &[Allocation],
) -> Result<(), Violations> {
    let mut found = Violations::default();
    let buffers = fused.buffers.len();
    for (k, kernel) in fused.kernels.iter().enumerate() {
        let named = kernel.reads().into_iter().chain(kernel.writes());
        for t in named.filter(|t| *t >= buffers) {
            found.push(kernel_label(fused, k), format!("there is no buffer {t}"));
        }
    }
    for (i, t) in fused.roots.iter().enumerate().filter(|(_, t)| **t >= buffers) {
        found.push(format!("root {i}"), format!("there is no buffer {t}"));
    }
    if allocations.len() != buffers {
        let message = format!("{} allocations for {buffers} buffers", allocations.len());
        found.push("the plan", message);
    }
    for (t, (buffer, allocation)) in fused.buffers.iter().zip(allocations).enumerate() {
        if allocation.offset.checked_add(buffer.layout.elements).is_none() {
            found.push(buffer_label(fused, t), "ends beyond all memory");
        }
        let fits = match buffer.storage {
            Storage::Arena => allocation.region == Region::Arena,
            Storage::Parameter(_) => allocation.region == Region::Parameters,
            Storage::StepScalar(_) => allocation.region == Region::StepScalars,
            Storage::Input(i) => allocation.region == Region::Input(i),
            Storage::Numbers(_) => allocation.region == Region::Numbers,
        };
        if !fits {
            let message = format!("is in {:?}, but is {:?}", allocation.region, buffer.storage);
            found.push(buffer_label(fused, t), message);
        }
    }
    found.into_result()
}

/// Checks the order of reads and writes.
fn verify_order(fused: &Fused, found: &mut Violations) {
    let mut by_parameter: FxHashMap<usize, Vec<usize>> = FxHashMap::default();
    for (t, buffer) in fused.buffers.iter().enumerate() {
        if let Storage::Parameter(p) = buffer.storage {
            by_parameter.entry(p).or_default().push(t);
        }
    }
    let guard = fused.guard();
    // Of buffers with parts, by part.
    let mut written = vec![false; fused.buffers.len()];
    let mut written_parts = vec![false; fused.parts.len()];
    let mut overwritten = vec![false; fused.buffers.len()];
    for (k, kernel) in fused.kernels.iter().enumerate() {
        let mut fail = |message: String| found.push(kernel_label(fused, k), message);
        let mut reads: Vec<(usize, Option<usize>)> =
            kernel.loaded().iter().map(|access| (access.buffer, access.part)).collect();
        reads.sort_unstable();
        reads.dedup();
        for (t, part) in reads {
            let label = || buffer_label(fused, t);
            let is_written = match fused.innermost_parts(t, part)[..] {
                [] => written[t],
                ref parts => parts.iter().all(|part| written_parts[*part]),
            };
            if !fused.buffers[t].is_given && !is_written {
                fail(format!("reads {} before it is written", label()));
            }
            if overwritten[t] {
                fail(format!("reads {} after it is overwritten", label()));
            }
        }
        for access in kernel.stored() {
            let t = access.buffer;
            written[t] = true;
            if let Some(part) = access.part {
                written_parts[part] = true;
            }
            let Storage::Parameter(p) = fused.buffers[t].storage else { continue };
            for other in by_parameter[&p].iter().filter(|other| **other != t) {
                overwritten[*other] = true;
            }
            if guard.is_some_and(|guard| k <= guard.kernel) {
                fail(format!("overwrites {} before the guard", buffer_label(fused, t)));
            }
        }
    }
}

/// Checks the arena: a sweep through the kernels, with the live buffers sorted by
/// offset.
fn verify_arena(fused: &Fused, plan: &Plan, found: &mut Violations) {
    let lives = lifetimes(fused);
    let is_live =
        |t: &usize| fused.buffers[*t].storage == Storage::Arena && lives[*t].0 <= lives[*t].1;
    let mut begins: Vec<usize> = (0..fused.buffers.len()).filter(is_live).collect();
    begins.sort_by_key(|t| lives[*t].0);
    let mut ends = begins.clone();
    ends.sort_by_key(|t| lives[*t].1);
    let mut ends = ends.into_iter().peekable();
    // By offset; disjoint.
    let mut live: BTreeMap<usize, usize> = BTreeMap::new();
    for t in begins {
        while let Some(dead) = ends.next_if(|dead| lives[*dead].1 < lives[t].0) {
            let begin = plan.allocations[dead].offset;
            if live.get(&begin) == Some(&dead) {
                live.remove(&begin);
            }
        }
        let (begin, end) = span(fused, plan, t);
        if end > plan.arena {
            let message = format!("ends at {end}, beyond the arena of {} elements", plan.arena);
            found.push(buffer_label(fused, t), message);
        }
        let before = live.range(..end).rev();
        let overlapping = before.take_while(|(_, other)| span(fused, plan, **other).1 > begin);
        let overlapping: Vec<usize> = overlapping.map(|(_, other)| *other).collect();
        for other in &overlapping {
            let message = format!("shares memory with {}", buffer_label(fused, *other));
            found.push(buffer_label(fused, t), message);
        }
        if overlapping.is_empty() {
            live.insert(begin, t);
        }
    }
}

/// The range of elements of a buffer in its region.
fn span(fused: &Fused, plan: &Plan, buffer: usize) -> (usize, usize) {
    let begin = plan.allocations[buffer].offset;
    (begin, begin + fused.buffers[buffer].layout.elements)
}

fn kernel_label(fused: &Fused, kernel: usize) -> String {
    format!("kernel {kernel} ({})", fused.kernels[kernel].name)
}

fn buffer_label(fused: &Fused, buffer: usize) -> String {
    format!("buffer {buffer} ({})", fused.buffers[buffer].name)
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "arena of {} bytes", 4 * self.arena)?;
        for (i, allocation) in self.allocations.iter().enumerate() {
            writeln!(f, "buffer {i}: {:?} + {}", allocation.region, allocation.offset)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuse::fuse;
    use crate::graph::Graph;

    /// Four products in sequence, the last of which overwrites the weight.
    const CHAIN: &str = "graph for batches of 4
%0 = input(0) : f32 batch×[16]
%1 = parameter(0) : f32 [16, 16]
%2 = contract(%0, %1, contracted = [(0, 0)])
%3 = contract(%2, %1, contracted = [(0, 0)])
%4 = contract(%3, %1, contracted = [(0, 0)])
%5 = contract(%3, %4, over_batch = true)
output y = %4
next parameter 0 = %5
";

    fn planned() -> (Fused, Plan) {
        let graph: Graph = CHAIN.parse().unwrap();
        let fused = fuse(&graph, true).unwrap();
        let weight = Shape::unbatched([16usize, 16]);
        let parameters = ParameterLayout::new(&[]).followed_by_shapes(0, std::iter::once(&weight));
        let plan = plan(&fused, &parameters);
        assert_eq!(verify(&fused, &plan), Ok(()));
        (fused, plan)
    }

    #[test]
    fn all_overlapping_buffers_are_reported() {
        let (fused, mut plan) = planned();
        // All buffers of the arena at one offset, beyond its end: the first is dead when the third
        // is written, and the last is written after the others.
        for allocation in
            plan.allocations.iter_mut().filter(|allocation| allocation.region == Region::Arena)
        {
            allocation.offset = 32;
        }
        plan.arena = 64;
        let expected = [
            "buffer 2 (contract %2): ends at 96, beyond the arena of 64 elements",
            "buffer 3 (contract %3): ends at 96, beyond the arena of 64 elements",
            "buffer 3 (contract %3): shares memory with buffer 2 (contract %2)",
            "buffer 4 (contract %4): ends at 96, beyond the arena of 64 elements",
        ];
        assert_eq!(verify(&fused, &plan).unwrap_err().to_string(), expected.join("\n"));
    }

    #[test]
    fn missing_buffers_and_allocations_are_reported() {
        let (mut fused, mut plan) = planned();
        plan.allocations.pop();
        plan.allocations[0].region = Region::Parameters;
        plan.allocations[2].offset = usize::MAX;
        let last = fused.buffers.len();
        fused.roots[1] = last + 3;
        fused.kernels[0].loads =
            vec![crate::kernel::Access { buffer: last, ..fused.kernels[0].stores()[0].to.clone() }];
        let expected = [
            format!("kernel 0 (product: contract %2): there is no buffer {last}"),
            format!("root 1: there is no buffer {}", last + 3),
            format!("the plan: {} allocations for {last} buffers", last - 1),
            "buffer 0 (input %0): is in Parameters, but is Input(0)".into(),
            "buffer 2 (contract %2): ends beyond all memory".into(),
        ];
        assert_eq!(verify(&fused, &plan).unwrap_err().to_string(), expected.join("\n"));
    }

    #[test]
    fn all_kernels_in_a_wrong_order_are_reported() {
        let (mut fused, plan) = planned();
        fused.kernels.reverse();
        // Lifetimes also follow from the order.
        let found = verify(&fused, &plan).unwrap_err().to_string();
        let expected = [
            "kernel 0 (product: contract %5): reads buffer 3 (contract %3) before it is written",
            "kernel 0 (product: contract %5): reads buffer 4 (contract %4) before it is written",
            "kernel 1 (product: contract %4): reads buffer 1 (parameter %1) after it is overwritten",
            "kernel 1 (product: contract %4): reads buffer 3 (contract %3) before it is written",
            "kernel 2 (product: contract %3): reads buffer 1 (parameter %1) after it is overwritten",
            "kernel 2 (product: contract %3): reads buffer 2 (contract %2) before it is written",
            "kernel 3 (product: contract %2): reads buffer 1 (parameter %1) after it is overwritten",
        ];
        assert!(found.starts_with(&expected.join("\n")), "{found}");
    }

    /// The sweep against a test of all pairs, on random allocations and lifetimes.
    #[test]
    fn the_sweep_agrees_with_all_pairs() {
        let (mut fused, mut plan) = planned();
        let arena = fused.buffers.iter().position(|t| t.storage == Storage::Arena).unwrap();
        let template = fused.buffers[arena].clone();
        let kernel = fused.kernels[0].clone();
        let mut state = 1u64;
        let mut draw = |below: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % below
        };
        let mut found = [0, 0];
        for count in (2..12).cycle().take(2000) {
            // Each buffer is written by one kernel, and read by one after it.
            fused.buffers = vec![template.clone(); count];
            fused.roots.clear();
            fused.kernels.clear();
            plan.allocations.clear();
            for t in 0..count {
                fused.buffers[t].layout.elements = 1 + draw(20);
                plan.allocations.push(Allocation { region: Region::Arena, offset: draw(60) });
            }
            let ends: Vec<usize> = (0..count).map(|t| t + draw(count)).collect();
            for time in 0..2 * count {
                let mut kernel = kernel.clone();
                let access = kernel.stores()[0].to.clone();
                let of = |buffer| crate::kernel::Access { buffer, ..access.clone() };
                kernel.loads = (0..count).filter(|t| ends[*t] == time).map(of).collect();
                let crate::kernel::Body::Product(product) = &mut kernel.body else { panic!() };
                (product.a, product.b) = (of(time.min(count - 1)), of(time.min(count - 1)));
                product.stores[0].to = of(time.min(count - 1));
                fused.kernels.push(kernel);
            }
            let lives = lifetimes(&fused);
            let overlap = |a: usize, b: usize| {
                let ((x, x_end), (y, y_end)) = (span(&fused, &plan, a), span(&fused, &plan, b));
                lives[a].0 <= lives[b].1 && lives[b].0 <= lives[a].1 && x < y_end && y < x_end
            };
            let expected = (0..count).any(|a| (0..a).any(|b| overlap(a, b)));
            plan.arena = 100;
            let mut violations = Violations::default();
            verify_arena(&fused, &plan, &mut violations);
            assert_eq!(!violations.is_empty(), expected, "{violations}");
            found[usize::from(expected)] += 1;
        }
        assert!(found.iter().all(|count| *count > 100), "{found:?}");
    }
}
