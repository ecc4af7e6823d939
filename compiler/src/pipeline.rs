//! From a network to programs: every pass in its order.

use crate::codegen::module::Guard;
use crate::declaration::{Declaration, Purpose};
use crate::error::Error;
use crate::fuse::{Fused, fuse};
use crate::graph::Graph;
use crate::lower::{allocate_partial_sums, lower};
use crate::phases::{self, Phase};
use crate::plan::{self, ParameterLayout, Plan};
use crate::program::Program;
use crate::simplify::{decompose, simplify};
use crate::target::Target;

/// A network for one purpose and batch size, ready for an emitter.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// The graph as it was asked for: what the interpreter computes.
    pub graph: Graph,
    /// The kernels and their tensors.
    pub fused: Fused,
    /// Where tensors lie.
    pub plan: Plan,
    /// The kernels' programs, in the same order.
    pub programs: Vec<Program>,
    /// What several threads do of them between their meetings; nothing where
    /// one thread is better.
    pub phases: Vec<Phase>,
}

impl Lowered {
    /// Where a step stops whose loss or gradients are not finite.
    pub fn guard(&self) -> Option<Guard> {
        let guard = self.fused.guard()?;
        Some(Guard { program: guard.kernel, allocation: self.plan.allocations[guard.buffer] })
    }
}

/// Runs all passes; verifies after each in debug builds and where asked.
pub fn lower_network(
    network: &Declaration,
    purpose: &Purpose<'_>,
    batch: usize,
    isa: &Target,
    verify: bool,
) -> Result<Lowered, Error> {
    let graph = network.graph_for(purpose, batch);
    lower_graph(graph, &ParameterLayout::new(&network.variables(purpose)), isa, verify)
}

/// The same from a graph on: every pass, in order.
pub fn lower_graph(
    graph: Graph,
    parameters: &ParameterLayout,
    isa: &Target,
    verify: bool,
) -> Result<Lowered, Error> {
    let verify = verify || cfg!(debug_assertions);
    let check = |after: &'static str, check: &dyn Fn() -> Result<(), String>| match verify {
        true => check().map_err(|message| Error::Internal { after, message }),
        false => Ok(()),
    };
    check("differentiation", &|| graph.verify())?;
    let expanded = decompose(&graph);
    check("expansion", &|| expanded.verify())?;
    let simple = simplify(&expanded);
    check("simplification", &|| simple.verify())?;
    let fused = fuse(&simple, verify);
    let mut fused = fused.map_err(|message| Error::Internal { after: "fusion", message })?;
    allocate_partial_sums(&mut fused, isa);
    // In every build: the parameters are the caller's.
    parameters.check(&fused).map_err(|message| Error::Internal { after: "fusion", message })?;
    let plan = plan::plan(&fused, parameters);
    check("planning", &|| plan::verify(&fused, &plan))?;
    let programs: Vec<Program> = fused.kernels.iter().map(|k| lower(k, isa)).collect();
    check("lowering", &|| programs.iter().try_for_each(|p| verify_program(p, &fused)))?;
    let phases = phases::assign_phases(&fused, &plan.allocations, &programs);
    check("scheduling", &|| phases::verify(&fused, &plan.allocations, &programs, &phases))?;
    Ok(Lowered { graph, fused, plan, programs, phases })
}

fn verify_program(program: &Program, fused: &Fused) -> Result<(), String> {
    let sizes: Vec<usize> =
        program.buffers.iter().map(|t| fused.buffers[*t].layout.elements).collect();
    let checked = program.verify().and_then(|()| program.verify_bounds(&sizes));
    checked.map_err(|message| format!("{}: {message}\n{program}", program.name))
}
