//! The list of passes: from a graph to an [`Artifact`].
//!
//! An [`Observer`] sees the result of every pass, for dumps, benches and tests.

use crate::artifact::{Artifact, Guard, Interface, RootValue};
use crate::declaration::Declaration;
use crate::error::{Error, Violations};
use crate::faults;
use crate::fuse::{self, Fused};
use crate::graph::Graph;
use crate::kernel::Kernel;
use crate::lower;
use crate::partial_sums;
use crate::phases::{self, Phase};
use crate::plan::{self, ParameterLayout, Plan};
use crate::program::Program;
use crate::purpose::Purpose;
use crate::simplify::{decompose, simplify};
use crate::target::Target;

/// The result of a pass.
#[derive(Clone, Copy, Debug)]
pub enum Stage<'a> {
    /// A graph: as built, decomposed, or simplified.
    Graph(&'a Graph),
    /// Kernels and their buffers.
    Fused(&'a Fused),
    /// The memory plan.
    Plan(&'a Plan),
    /// The kernels' programs, in the same order.
    Programs(&'a [Program]),
    /// The phases of threads.
    Phases(&'a [Phase]),
}

/// Sees the result of every pass, in order. `()` sees nothing; a closure is an observer.
pub trait Observer {
    /// Called after each pass, with its result.
    fn observe(&mut self, pass: &'static str, result: Stage<'_>);
}

impl Observer for () {
    fn observe(&mut self, _: &'static str, _: Stage<'_>) {}
}

impl<F: FnMut(&'static str, Stage<'_>)> Observer for F {
    fn observe(&mut self, pass: &'static str, result: Stage<'_>) {
        self(pass, result);
    }
}

/// Lowers a network for one purpose and batch size; see [`lower_graph`].
///
/// # Errors
/// As [`lower_graph`].
pub fn lower_network(
    declaration: &Declaration,
    purpose: &Purpose,
    batch: usize,
    target: &Target,
    verify: bool,
    observer: &mut dyn Observer,
) -> Result<Artifact, Error> {
    let graph = declaration.graph_for(purpose, batch);
    let parameters = ParameterLayout::new(&declaration.variables(purpose));
    lower_graph(&graph, &parameters, target, verify, observer)
}

/// Runs all passes on a graph, whose parameters and optimizer state have the layout `parameters`.
/// Verifies after each pass in debug builds, and if `verify` is set.
///
/// # Errors
/// [`Error::Internal`] where a pass violates a rule of its verifier, with the violations.
pub fn lower_graph(
    graph: &Graph,
    parameters: &ParameterLayout,
    target: &Target,
    verify: bool,
    observer: &mut dyn Observer,
) -> Result<Artifact, Error> {
    let verify = (verify || cfg!(debug_assertions)) && !faults::skips_verifiers();
    let internal = |after| move |violations| Error::Internal { after, violations };
    let check = |after: &'static str, check: &dyn Fn() -> Result<(), Violations>| match verify {
        true => check().map_err(internal(after)),
        false => Ok(()),
    };
    observer.observe("graph", Stage::Graph(graph));
    check("differentiation", &|| graph.verify())?;

    let decomposed = decompose(graph);
    observer.observe("decompose", Stage::Graph(&decomposed));
    check("decomposition", &|| decomposed.verify())?;

    let simple = simplify(&decomposed);
    observer.observe("simplify", Stage::Graph(&simple));
    check("simplification", &|| simple.verify())?;

    let mut fused = fuse::fuse(&simple, verify).map_err(internal("fusion"))?;
    partial_sums::allocate(&mut fused, target);
    observer.observe("fuse", Stage::Fused(&fused));
    // In every build: the parameters come from the caller.
    parameters.check(&fused).map_err(internal("fusion"))?;

    let plan = plan::plan(&fused, parameters);
    observer.observe("plan", Stage::Plan(&plan));
    check("planning", &|| plan::verify(&fused, &plan))?;

    let lower = |kernel: &Kernel| lower::lower(kernel, target);
    let programs: Vec<Program> = fused.kernels.iter().map(lower).collect();
    observer.observe("lower", Stage::Programs(&programs));
    check("lowering", &|| verify_programs(&programs, &fused))?;

    let phases = phases::assign_phases(&fused, &plan.allocations, &programs);
    observer.observe("phases", Stage::Phases(&phases));
    check("assigning phases", &|| phases::verify(&fused, &plan.allocations, &programs, &phases))?;

    Ok(artifact(fused, plan, parameters, target, programs, phases))
}

fn artifact(
    fused: Fused,
    plan: Plan,
    parameters: &ParameterLayout,
    target: &Target,
    programs: Vec<Program>,
    phases: Vec<Phase>,
) -> Artifact {
    let roots = fused.graph.roots().iter().zip(&fused.roots);
    let root = |((root, _), buffer): (&(crate::graph::Root, _), &usize)| RootValue {
        root: root.clone(),
        buffer: *buffer,
        allocation: plan.allocations[*buffer],
        layout: fused.buffers[*buffer].layout.clone(),
    };
    let guard = fused
        .guard()
        .map(|guard| Guard { program: guard.kernel, allocation: plan.allocations[guard.buffer] });
    let interface = Interface {
        roots: roots.map(root).collect(),
        guard,
        regions: plan.regions,
        arena: plan.arena,
        parameters: parameters.clone(),
        step_scalars: fused.step_scalars,
        numbers: fused.numbers,
        phases,
    };
    let Fused { buffers, .. } = fused;
    Artifact { target: *target, programs, buffers, allocations: plan.allocations, interface }
}

fn verify_programs(programs: &[Program], fused: &Fused) -> Result<(), Violations> {
    let mut found = Violations::default();
    for program in programs {
        let sizes: Vec<usize> =
            program.buffers.iter().map(|t| fused.buffers[*t].layout.elements).collect();
        let checked = program.verify_bounds(&sizes);
        let is_broken = checked.is_err();
        found.append(checked);
        if is_broken {
            found.push("in full", program.to_string());
        }
    }
    found.into_result()
}
