//! Compiling a network: how long it takes, and what comes out.

use std::time::Instant;

use bilro::compiler::codegen::module::Executable;
use bilro::compiler::declaration::{Declaration, Purpose};
use bilro::compiler::error::Error;
use bilro::compiler::fuse::fuse;
use bilro::compiler::lower::{allocate_partial_sums, lower};
use bilro::compiler::phases::assign_phases;
use bilro::compiler::pipeline::lower_network;
use bilro::compiler::plan::{ParameterLayout, plan};
use bilro::compiler::simplify::{decompose, simplify};
use bilro::compiler::target::{Target, host};

use crate::median;

/// The instruction set that the engine makes code for: what `BILRO_ISA` names,
/// or the widest that this processor has.
///
/// # Errors
/// Where the variable names none that this processor has.
pub fn isa() -> Result<Target, String> {
    let named = std::env::var("BILRO_ISA").unwrap_or_default();
    if named.is_empty() {
        return Ok(host::best());
    }
    let available = host::targets();
    available.iter().copied().find(|isa| isa.name == named).ok_or_else(|| {
        let names: Vec<_> = available.iter().map(|isa| isa.name).collect();
        format!("BILRO_ISA is `{named}`, but this processor has {}", names.join(", "))
    })
}

/// What becomes of a network.
#[derive(Clone, Debug)]
pub struct Compilation {
    /// From nothing to something that can be run: declaring, lowering,
    /// emitting. The parameters' first values are not in it.
    pub seconds: f64,
    /// Kernels of the executable.
    pub kernels: usize,
    /// Bytes of machine code.
    pub code_bytes: usize,
    /// Bytes of memory for what lives during one call.
    pub arena_bytes: usize,
}

/// Compiles a network as the engine does.
///
/// # Errors
/// As the compiler.
pub fn compile(
    declare: &dyn Fn() -> Result<Declaration, Error>,
    purpose: &Purpose<'_>,
    batch: usize,
    isa: &Target,
) -> Result<Compilation, Error> {
    let started = Instant::now();
    let lowered = lower_network(&declare()?, purpose, batch, isa, false)?;
    let executable = Executable::guarded(
        &lowered.programs,
        &lowered.plan.allocations,
        &lowered.plan.regions,
        lowered.guard(),
        false,
    )?;
    Ok(Compilation {
        seconds: started.elapsed().as_secs_f64(),
        kernels: executable.kernels(),
        code_bytes: executable.code_bytes(),
        arena_bytes: 4 * lowered.plan.arena,
    })
}

/// Compiles a network at least `least` times, and until `seconds` have gone;
/// the median of the times. The first compilation in a process is not counted:
/// it also finds out what the processor has.
///
/// # Errors
/// As the compiler.
pub fn compile_often(
    declare: &dyn Fn() -> Result<Declaration, Error>,
    purpose: &Purpose<'_>,
    batch: usize,
    isa: &Target,
    least: usize,
    seconds: f64,
) -> Result<Compilation, Error> {
    let started = Instant::now();
    let mut compilation = compile(declare, purpose, batch, isa)?;
    let mut times = Vec::new();
    while times.len() < least || started.elapsed().as_secs_f64() < seconds {
        times.push(compile(declare, purpose, batch, isa)?.seconds);
    }
    compilation.seconds = median(&mut times);
    Ok(compilation)
}

/// The passes that [`pass_seconds`] tells apart.
pub const PASSES: [&str; 7] = ["declare", "graph", "simplify", "fuse", "plan", "lower", "emit"];

/// How long each of [`PASSES`] takes. The calls are those of
/// `pipeline::lower_graph`, with a clock between them: whoever adds a pass
/// there adds it here. (If it is forgotten, the sum falls behind
/// [`Compilation::seconds`], which runs the real pipeline.)
///
/// # Errors
/// As the compiler.
pub fn pass_seconds(
    declare: &dyn Fn() -> Result<Declaration, Error>,
    purpose: &Purpose<'_>,
    batch: usize,
    isa: &Target,
) -> Result<[f64; PASSES.len()], Error> {
    let mut clock = Instant::now();
    let mut lap = || {
        let now = Instant::now();
        now.duration_since(std::mem::replace(&mut clock, now)).as_secs_f64()
    };
    let network = declare()?;
    let declared = lap();
    let graph = network.graph_for(purpose, batch);
    let with_gradient = lap();
    let simple = simplify(&decompose(&graph));
    let simplified = lap();
    let fused = fuse(&simple, false);
    let mut fused = fused.map_err(|message| Error::Internal { after: "fusion", message })?;
    let grouped = lap();
    allocate_partial_sums(&mut fused, isa);
    let plan = plan(&fused, &ParameterLayout::new(&network.parameters));
    let planned = lap();
    let programs: Vec<_> = fused.kernels.iter().map(|k| lower(k, isa)).collect();
    drop(assign_phases(&fused, &plan.allocations, &programs));
    let lowered = lap();
    let executable = Executable::new(&programs, &plan.allocations, &plan.regions, false)?;
    let emitted = lap();
    drop(executable);
    Ok([declared, with_gradient, simplified, grouped, planned, lowered, emitted])
}
