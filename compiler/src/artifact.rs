//! Artifacts: all that lowering yields, complete in itself.
//!
//! An [`Artifact`] is programs with the [`Interface`] by which they are called: the memory that a
//! call gives, where results lie, which step scalars are read, what threads share. Machine code,
//! the evaluator of programs, tests and benches work from it alone; it is data, for a target that
//! need not be this machine's.

use crate::buffer::{Buffer, Layout};
use crate::graph::Root;
use crate::phases::Phase;
use crate::plan::{Allocation, ParameterLayout, Region};
use crate::program::Program;
use crate::target::Target;

/// A network for one purpose and batch size, ready for an emitter.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// What it was lowered for.
    pub target: Target,
    /// The programs, in the order in which they run.
    pub programs: Vec<Program>,
    /// The buffers, by the number by which programs name them.
    pub buffers: Vec<Buffer>,
    /// For every buffer, where it lies.
    pub allocations: Vec<Allocation>,
    /// How the programs are called.
    pub interface: Interface,
}

/// What a caller must know of an [`Artifact`]'s code: the memory that it gives to a call, and what
/// it finds there afterwards.
#[derive(Clone, Debug)]
pub struct Interface {
    /// The regions that a call is given, in the order of their pointers.
    pub regions: Vec<Region>,
    /// Elements of the arena.
    pub arena: usize,
    /// Where parameters and optimizer state lie in their region.
    pub parameters: ParameterLayout,
    /// The scalars that each call gives, in the order in which they lie in their region.
    pub step_scalars: Vec<&'static str>,
    /// The contents of [`Region::Numbers`].
    pub numbers: Vec<f32>,
    /// The roots of the graph, in its order.
    pub roots: Vec<RootValue>,
    /// Where a step stops whose loss or gradients are not finite.
    pub guard: Option<Guard>,
    /// What several threads do of the programs between barriers; empty where one thread is faster.
    pub phases: Vec<Phase>,
}

/// A root's value after a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RootValue {
    /// The root.
    pub root: Root,
    /// The number of its buffer.
    pub buffer: usize,
    /// Where it lies.
    pub allocation: Allocation,
    /// How it lies there.
    pub layout: Layout,
}

/// Where a step stops, before it overwrites anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Guard {
    /// The program after which it is known.
    pub program: usize,
    /// Where a float lies: 0 where the step goes on.
    pub allocation: Allocation,
}

/// The memory of a call, but for its inputs.
#[derive(Clone, Copy, Debug)]
pub struct Pointers {
    /// [`Interface::arena`] elements.
    pub arena: *mut u8,
    /// As many elements as [`Interface::parameters`] says.
    pub parameters: *mut u8,
    /// An element for each of [`Interface::step_scalars`].
    pub step_scalars: *mut u8,
}

impl Interface {
    /// Fills the table of pointers of a call: a pointer for each region. `input` gives those of
    /// inputs, by number; only inputs that the code reads are asked for.
    ///
    /// # Errors
    /// Those of `input`.
    ///
    /// # Panics
    /// Where the table has not one pointer for each region.
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
                // They are only read.
                Region::Numbers => self.numbers.as_ptr().cast_mut().cast(),
                Region::Input(i) => input(*i)?,
            };
        }
        Ok(())
    }

    /// Bytes of memory that it holds beside itself.
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
