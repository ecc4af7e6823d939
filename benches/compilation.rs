//! Compiling a network: how long it takes, and what comes out.

use std::time::Instant;

use bilro::compiler::codegen::module::Executable;
use bilro::compiler::declaration::Declaration;
use bilro::compiler::error::Error;
use bilro::compiler::pipeline::{Stage, lower_network};
use bilro::compiler::purpose::Purpose;
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
    purpose: &Purpose,
    batch: usize,
    isa: &Target,
) -> Result<Compilation, Error> {
    let started = Instant::now();
    let artifact = lower_network(&declare()?, purpose, batch, isa, false, &mut ())?;
    let executable = Executable::new(&artifact, false)?;
    Ok(Compilation {
        seconds: started.elapsed().as_secs_f64(),
        kernels: executable.kernels(),
        code_bytes: executable.code_bytes(),
        arena_bytes: 4 * artifact.interface.arena,
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
    purpose: &Purpose,
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

/// How long declaring, each pass of the compiler and emission take, in order.
///
/// # Errors
/// As the compiler.
pub fn pass_seconds(
    declare: &dyn Fn() -> Result<Declaration, Error>,
    purpose: &Purpose,
    batch: usize,
    isa: &Target,
) -> Result<Vec<(&'static str, f64)>, Error> {
    let mut clock = Instant::now();
    let mut passes = Vec::new();
    let mut lap = |pass| {
        let now = Instant::now();
        let before = std::mem::replace(&mut clock, now);
        passes.push((pass, now.duration_since(before).as_secs_f64()));
    };
    let declaration = declare()?;
    lap("declare");
    let mut observer = |pass: &'static str, _: Stage<'_>| lap(pass);
    let artifact = lower_network(&declaration, purpose, batch, isa, false, &mut observer)?;
    let executable = Executable::new(&artifact, false)?;
    lap("emit");
    drop(executable);
    Ok(passes)
}
