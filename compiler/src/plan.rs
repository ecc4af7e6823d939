//! Where every tensor lies: takes kernels in their order, produces the place of
//! each tensor and the sizes of the memory that a call needs.
//!
//! All of the arena is laid out here, so that a call allocates nothing. Tensors
//! whose lifetimes do not meet share memory; every tensor begins on a cache
//! line.

use crate::buffer::{Buffer, Layout, Storage};
use crate::declaration::Parameter;
use crate::fuse::Fused;
use crate::target::CACHE_LINE;

/// Memory that is given to a compiled network as one pointer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Region {
    /// What lives during one call: activations, gradients, outputs, losses.
    Arena,
    /// All parameters.
    Parameters,
    /// Numbers that may change between calls, one float each.
    StepScalars,
    /// An input, by its place among the network's inputs; row-major without
    /// padding, and only read.
    Input(usize),
    /// Numbers that the network declares, as [`Fused::numbers`] has them, and only
    /// read.
    Numbers,
}

/// Where a tensor lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Allocation {
    /// In which memory.
    pub region: Region,
    /// So many elements of 32 bits from its start.
    pub offset: usize,
}

/// The place of every tensor, and the sizes of the memory that a call needs.
#[derive(Clone, Debug)]
pub struct Plan {
    /// For every tensor, by number.
    pub allocations: Vec<Allocation>,
    /// All regions that a call is given, in the order of their pointers.
    pub regions: Vec<Region>,
    /// Elements of the arena.
    pub arena: usize,
}

/// Where each parameter lies in the memory of all parameters, which every
/// executable of a network shares; behind them, what an optimizer keeps.
#[derive(Clone, Debug)]
pub struct ParameterLayout {
    /// For each parameter, its start and how it lies.
    pub parameters: Vec<(usize, Layout)>,
    /// Elements altogether.
    pub elements: usize,
}

impl ParameterLayout {
    /// One after the other.
    pub fn new(parameters: &[Parameter]) -> ParameterLayout {
        ParameterLayout { parameters: Vec::new(), elements: 0 }.followed_by(0, parameters)
    }

    /// The first `keep` of its parameters where they are, and others behind
    /// them.
    pub fn followed_by(&self, keep: usize, others: &[Parameter]) -> ParameterLayout {
        let mut elements = self.start(keep);
        let mut parameters = self.parameters[..keep.min(self.parameters.len())].to_vec();
        parameters.extend(others.iter().map(|p| {
            let layout = Layout::padded(&p.shape.sizes());
            let start = elements;
            elements += layout.elements.next_multiple_of(CACHE_LINE);
            (start, layout)
        }));
        ParameterLayout { parameters, elements }
    }

    /// Requires that the parameters of kernels are there, and lie as kernels
    /// take them to.
    #[cfg(feature = "codegen")]
    pub(crate) fn check(&self, fused: &Fused) -> Result<(), String> {
        let parameter = |tensor: &Buffer| match tensor.storage {
            Storage::Parameter(p) => Some((p, tensor.layout.clone())),
            _ => None,
        };
        fused.buffers.iter().filter_map(parameter).try_for_each(|(p, layout)| {
            match self.parameters.get(p) {
                Some((_, found)) if *found == layout => Ok(()),
                Some((_, found)) => {
                    Err(format!("parameter {p} is {:?}, and not {:?}", found.sizes, layout.sizes))
                }
                None => Err(format!("there is no parameter {p}")),
            }
        })
    }

    /// Where a parameter begins, or what would follow the last.
    pub fn start(&self, place: usize) -> usize {
        self.parameters.get(place).map_or(self.elements, |(start, _)| *start)
    }
}

/// The first and last kernel that touch a tensor; roots are read after all.
fn lifetimes(fused: &Fused) -> Vec<(usize, usize)> {
    let mut lives = vec![(usize::MAX, 0); fused.buffers.len()];
    for (time, kernel) in fused.kernels.iter().enumerate() {
        for tensor in kernel.reads().into_iter().chain(kernel.writes()) {
            let life = &mut lives[tensor];
            *life = (life.0.min(time), life.1.max(time));
        }
    }
    for root in &fused.roots {
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
    let mut places = vec![Allocation { region: Region::Arena, offset: 0 }; fused.buffers.len()];
    for tensor in order {
        let Buffer { layout, storage: home, .. } = &fused.buffers[tensor];
        places[tensor] = match *home {
            Storage::Parameter(p) => {
                Allocation { region: Region::Parameters, offset: parameters.parameters[p].0 }
            }
            Storage::StepScalar(offset) => Allocation { region: Region::StepScalars, offset },
            Storage::Input(i) => Allocation { region: Region::Input(i), offset: 0 },
            Storage::Numbers(offset) => Allocation { region: Region::Numbers, offset },
            Storage::Arena => {
                let (first, last) = lives[tensor];
                used.retain(|(_, _, until)| *until >= first);
                let elements = layout.elements.next_multiple_of(CACHE_LINE);
                let (mut offset, mut place) = (0, 0);
                for (start, size, _) in &used {
                    if offset + elements <= *start {
                        break;
                    }
                    offset = start + size;
                    place += 1;
                }
                used.insert(place, (offset, elements, last));
                arena = arena.max(offset + elements);
                Allocation { region: Region::Arena, offset }
            }
        };
    }
    let mut regions: Vec<Region> = places.iter().map(|p| p.region).collect();
    regions.extend([Region::Arena, Region::Parameters, Region::StepScalars]);
    regions.sort_unstable();
    regions.dedup();
    Plan { allocations: places, regions, arena }
}

/// Checks that no tensor is read before it is written, or after what overwrote
/// it, that tensors whose lifetimes meet do not, and that no parameter is written
/// before the guard, where there is one.
pub fn verify(fused: &Fused, plan: &Plan) -> Result<(), String> {
    let lives = lifetimes(fused);
    let mut written = vec![false; fused.buffers.len()];
    let mut overwritten = vec![false; fused.buffers.len()];
    for kernel in &fused.kernels {
        for t in kernel.reads() {
            let tensor = &fused.buffers[t];
            let leaf = fused.graph.operands(tensor.node).is_empty();
            if !leaf && !written[t] {
                return Err(format!("{} reads {} before it is written", kernel.name, tensor.name));
            }
            if overwritten[t] {
                return Err(format!(
                    "{} reads {} after it is overwritten",
                    kernel.name, tensor.name
                ));
            }
        }
        for t in kernel.writes() {
            written[t] = true;
            for (other, tensor) in fused.buffers.iter().enumerate() {
                let same = matches!(tensor.storage, Storage::Parameter(_))
                    && tensor.storage == fused.buffers[t].storage;
                overwritten[other] |= same && other != t;
            }
        }
    }
    if let Some(guard) = fused.guard() {
        let is_parameter = |t: &usize| matches!(fused.buffers[*t].storage, Storage::Parameter(_));
        let early = fused.kernels[..=guard.kernel].iter();
        if let Some(kernel) = early.into_iter().find(|k| k.writes().iter().any(is_parameter)) {
            return Err(format!("{} overwrites before the guard", kernel.name));
        }
    }
    for (a, first) in fused.buffers.iter().enumerate() {
        for (b, second) in fused.buffers.iter().enumerate().skip(a + 1) {
            let both_arena = first.storage == Storage::Arena && second.storage == Storage::Arena;
            let meet = lives[a].0 <= lives[b].1 && lives[b].0 <= lives[a].1;
            let (x, y) = (plan.allocations[a].offset, plan.allocations[b].offset);
            let overlap = x < y + second.layout.elements && y < x + first.layout.elements;
            if both_arena && meet && overlap {
                return Err(format!("{} and {} share memory", first.name, second.name));
            }
        }
    }
    Ok(())
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "arena of {} bytes", 4 * self.arena)?;
        for (i, place) in self.allocations.iter().enumerate() {
            writeln!(f, "tensor {i}: {:?} + {}", place.region, place.offset)?;
        }
        Ok(())
    }
}
