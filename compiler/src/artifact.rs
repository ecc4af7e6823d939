//! Artifacts: the complete result of lowering.
//!
//! An [`Artifact`] has the programs and the [`Interface`] for calling them: the memory that a
//! call passes, the allocations of results, the step scalars, the phases of threads. Code
//! generation, the evaluator of programs, tests and benches work from it alone; it is data, for
//! any target, this machine's or another.

use crate::buffer::{Buffer, Layout};
use crate::graph::Root;
use crate::phases::Phase;
use crate::plan::{Allocation, ParameterLayout, Region};
use crate::program::Program;
use crate::target::Target;

/// A network for one purpose and batch size, ready for an emitter.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// The target that it was lowered for.
    pub target: Target,
    /// The programs, in the order in which they run.
    pub programs: Vec<Program>,
    /// The buffers, by the number that programs use.
    pub buffers: Vec<Buffer>,
    /// The allocation of every buffer.
    pub allocations: Vec<Allocation>,
    /// The calling interface of the programs.
    pub interface: Interface,
}

/// The calling interface of an [`Artifact`]'s code: the memory that a caller passes, and the
/// results in it after a call.
#[derive(Clone, Debug)]
pub struct Interface {
    /// The regions that a call passes, in the order of their pointers.
    pub regions: Vec<Region>,
    /// Elements of the arena.
    pub arena: usize,
    /// The layout of parameters and optimizer state in their region.
    pub parameters: ParameterLayout,
    /// The scalars that each call passes, in the order of their region.
    pub step_scalars: Vec<&'static str>,
    /// The contents of [`Region::Numbers`].
    pub numbers: Vec<f32>,
    /// The roots of the graph, in its order.
    pub roots: Vec<RootValue>,
    /// The guard, at which a step stops if its loss or gradients are not finite.
    pub guard: Option<Guard>,
    /// The phases of several threads; empty if one thread is faster.
    pub phases: Vec<Phase>,
}

/// A root's value after a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RootValue {
    /// The root.
    pub root: Root,
    /// The number of its buffer.
    pub buffer: usize,
    /// Its allocation.
    pub allocation: Allocation,
    /// Its layout.
    pub layout: Layout,
}

/// The guard: a step may stop there, before it overwrites anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Guard {
    /// The program that computes it.
    pub program: usize,
    /// The allocation of its float: 0 if the step continues.
    pub allocation: Allocation,
}

/// The memory of a call, except for its inputs.
#[derive(Clone, Copy, Debug)]
pub struct Pointers {
    /// [`Interface::arena`] elements.
    pub arena: *mut u8,
    /// The elements of [`Interface::parameters`].
    pub parameters: *mut u8,
    /// An element for each of [`Interface::step_scalars`].
    pub step_scalars: *mut u8,
}

impl Interface {
    /// Fills the table of pointers of a call: a pointer for each region. `input` returns those of
    /// inputs, by number; it is called only for inputs that the code reads.
    ///
    /// # Errors
    /// Those of `input`.
    ///
    /// # Panics
    /// If the table does not have one pointer for each region.
    #[inline]
    pub fn bind<E>(
        &self,
        table: &mut [*mut u8],
        pointers: &Pointers,
        mut input: impl FnMut(usize) -> Result<*mut u8, E>,
    ) -> Result<(), E> {
        assert_eq!(table.len(), self.regions.len(), "one pointer for each region");
        for (slot, region) in table.iter_mut().zip(&self.regions) {
            *slot = match region {
                Region::Arena => pointers.arena,
                Region::Parameters => pointers.parameters,
                Region::StepScalars => pointers.step_scalars,
                // Read-only.
                Region::Numbers => self.numbers.as_ptr().cast_mut().cast(),
                Region::Input(i) => input(*i)?,
                // The caller of sanitised code passes it; without it, checks do nothing.
                Region::Monitor => std::ptr::null_mut(),
            };
        }
        Ok(())
    }

    /// Bytes of its heap memory.
    pub fn heap_bytes(&self) -> usize {
        let Interface { regions, parameters, step_scalars, numbers, roots, phases, .. } = self;
        let phase = |phase: &Phase| 8 * (phase.serial.len() + phase.parallel.len());
        let layout = |layout: &Layout| 16 * layout.sizes.len();
        size_of_val(&regions[..])
            + size_of_val(&parameters.parameters[..])
            + parameters.parameters.iter().map(|(_, l)| layout(l)).sum::<usize>()
            + size_of_val(&step_scalars[..])
            + size_of_val(&numbers[..])
            + size_of_val(&roots[..])
            + roots.iter().map(|value| layout(&value.layout)).sum::<usize>()
            + size_of_val(&phases[..])
            + phases.iter().map(phase).sum::<usize>()
    }
}
