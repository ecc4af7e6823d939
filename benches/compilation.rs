//! Compile time of a network, total and per pass; size of the code.

use std::time::Instant;

use bilro::compiler::codegen::module::Executable;
use bilro::compiler::declaration::Declaration;
use bilro::compiler::error::Error;
use bilro::compiler::pipeline::{Stage, lower_network};
use bilro::compiler::purpose::Purpose;
use bilro::compiler::target::{Target, host};

use crate::median;

/// The engine's instruction set: the one named by `BILRO_ISA`, or the widest
/// of this processor.
///
/// # Errors
/// If the variable names an instruction set that this processor lacks.
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

/// Compile time and sizes of a network.
#[derive(Clone, Debug)]
pub struct Compilation {
    /// Time of declaring, lowering and emitting, without the parameters'
    /// initial values.
    pub seconds: f64,
    /// Kernels of the executable.
    pub kernels: usize,
    /// Bytes of machine code.
    pub code_bytes: usize,
    /// Bytes of memory for the values of one call.
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

/// Compiles a network at least `minimum` times, and for at least `seconds`;
/// the median of the times. The first compilation in a process is not counted:
/// it also detects the processor.
///
/// # Errors
/// As the compiler.
pub fn compile_often(
    declare: &dyn Fn() -> Result<Declaration, Error>,
    purpose: &Purpose,
    batch: usize,
    isa: &Target,
    minimum: usize,
    seconds: f64,
) -> Result<Compilation, Error> {
    let started = Instant::now();
    let mut compilation = compile(declare, purpose, batch, isa)?;
    let mut times = Vec::new();
    while times.len() < minimum || started.elapsed().as_secs_f64() < seconds {
        times.push(compile(declare, purpose, batch, isa)?.seconds);
    }
    compilation.seconds = median(&mut times);
    Ok(compilation)
}

/// Seconds of declaring, each compiler pass, and emission, in order.
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
