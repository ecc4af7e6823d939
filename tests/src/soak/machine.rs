//! Runs the compiled code of one purpose on any target of this machine, and on threads that share
//! every kernel.

use std::sync::Barrier;

use bilro_compiler::artifact::Pointers;
use bilro_compiler::codegen::module::Executable;
use bilro_compiler::declaration::Parameter;
use bilro_compiler::error::Error as CompileError;
use bilro_compiler::eval::Value;
use bilro_compiler::graph::Graph;
use bilro_compiler::plan::{ParameterLayout, Region};
use bilro_compiler::target::Target;
use ndarray::ArrayD;

use crate::check::{self, CANARY, Lowered, MARGIN, padded, unpadded};

/// Compiled code of one purpose.
pub struct Machine {
    /// The graph through all passes.
    pub lowered: Lowered,
    /// The name of the target.
    pub target: &'static str,
    executable: Executable,
    layout: ParameterLayout,
}

impl Machine {
    /// Compiles a graph. All passes are verified, and Cranelift's if `checks_code` is set, which takes
    /// longer than all else.
    ///
    /// # Errors
    /// A violation: a bug of the compiler.
    pub fn new(
        graph: &Graph,
        variables: &[Parameter],
        target: &Target,
        checks_code: bool,
    ) -> Result<Machine, CompileError> {
        let layout = ParameterLayout::new(variables);
        let lowered = check::lower(graph, &layout, target)?;
        let executable = Executable::new(&lowered.artifact, checks_code)?;
        Ok(Machine { lowered, target: target.name, executable, layout })
    }

    /// The layout of its variables.
    pub fn layout(&self) -> &ParameterLayout {
        &self.layout
    }

    /// The roots; `scalar` returns the bits of a step scalar. With `BILRO_SANITIZE=1` by code that checks
    /// its accesses, on one thread.
    ///
    /// # Panics
    /// If code writes behind the end of a region, or a checked access is not allowed.
    pub fn run(
        &self,
        inputs: &[Value<f32>],
        variables: &[ArrayD<f32>],
        scalar: impl Fn(&str) -> u32,
        threads: usize,
    ) -> Vec<Vec<f32>> {
        if check::sanitizes() {
            let scalar = |name: &str| f32::from_bits(scalar(name));
            let roots = check::sanitized(&self.lowered, inputs, &self.layout, variables, scalar);
            return roots.unwrap_or_else(|access| panic!("{}: {access}", self.target));
        }
        let interface = &self.lowered.artifact.interface;
        // A margin of canaries after the writable memory, which must not change.
        let mut arena = vec![CANARY; interface.arena + MARGIN];
        let mut updated = vec![CANARY; self.layout.elements + MARGIN];
        for ((start, layout), values) in self.layout.parameters.iter().zip(variables) {
            updated[*start..*start + layout.elements].copy_from_slice(&padded(values, layout));
        }
        let mut inputs: Vec<Vec<u32>> = inputs.iter().map(check::bits).collect();
        let mut scalars: Vec<u32> =
            interface.step_scalars.iter().map(|name| scalar(name)).collect();
        let pointers = Pointers {
            arena: arena.as_mut_ptr().cast(),
            parameters: updated.as_mut_ptr().cast(),
            step_scalars: scalars.as_mut_ptr().cast(),
        };
        let table = Table(check::table(&self.lowered.artifact, &pointers, &mut inputs));
        match threads {
            // SAFETY: a pointer for each region, each with the number of elements of the memory plan;
            // nothing else uses the memory during the call.
            0 | 1 => unsafe { self.executable.run(&table.0) },
            _ => self.share(&table, threads),
        }
        for (memory, end) in [(&arena, interface.arena), (&updated, self.layout.elements)] {
            assert!(memory[end..].iter().all(|x| *x == CANARY), "written behind the end");
        }
        let roots = interface.roots.iter();
        roots
            .map(|root| {
                let is_parameter = root.allocation.region == Region::Parameters;
                let memory = if is_parameter { &updated } else { &arena };
                unpadded(&memory[root.allocation.offset..], &root.layout)
            })
            .collect()
    }

    /// Runs on threads that share every kernel, with a barrier after each.
    fn share(&self, table: &Table, threads: usize) {
        let phases = check::shared_phases(&self.lowered);
        // Not one that yields: on a busy machine, its threads would hardly run.
        let barrier = Barrier::new(threads);
        let run = |thread: usize| {
            for phase in &phases {
                // SAFETY: as in `run`; all threads have the same table, and separate shares; a
                // barrier followed the previous phase.
                unsafe { self.executable.run_share(phase, thread, threads, &table.0) };
                barrier.wait();
            }
        };
        std::thread::scope(|scope| {
            for thread in 1..threads {
                scope.spawn(move || run(thread));
            }
            run(0);
        });
    }
}

/// Pointers that several threads use.
struct Table(Vec<*mut u8>);

// SAFETY: only `share` uses them, as `Executable::run_share` allows.
unsafe impl Sync for Table {}
