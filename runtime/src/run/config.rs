//! Configuration of runs: backend, threads, target and checks, from code or from environment variables.

use bilro_compiler::target::{Target, host};

use crate::error::{Error, Result, did_you_mean};

/// The backend that computes a network.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Backend {
    /// Machine code, compiled at first use.
    #[default]
    Jit,
    /// The interpreter in f64: slow, the reference for machine code.
    Interpreter,
    /// The interpreter in f32.
    InterpreterF32,
}

/// The float type that the interpreter computes in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Precision {
    F32,
    F64,
}

impl Backend {
    pub(crate) fn interpreted(self) -> Option<Precision> {
        match self {
            Backend::Jit => None,
            Backend::Interpreter => Some(Precision::F64),
            Backend::InterpreterF32 => Some(Precision::F32),
        }
    }

    /// The backend that `BILRO_BACKEND` names, if it is set.
    pub(crate) fn from_environment() -> Result<Option<Backend>> {
        let Some(found) = environment_variable("BILRO_BACKEND")? else { return Ok(None) };
        found.parse().map(Some).map_err(|_: Error| Error::Environment {
            variable: "BILRO_BACKEND",
            expected: alternatives(&BACKENDS, &found),
            found,
        })
    }
}

const BACKENDS: [&str; 3] = ["jit", "interpreter", "interpreter-f32"];

/// The accepted names, for a message, and the one that a rejected `found` may have meant.
pub(crate) fn alternatives(names: &[&str], found: &str) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    let near = did_you_mean(found, names.iter().copied());
    match quoted.split_last() {
        Some((last, others)) if !others.is_empty() => {
            format!("{} or {last}{near}", others.join(", "))
        }
        _ => format!("{}{near}", quoted.join(", ")),
    }
}

impl std::str::FromStr for Backend {
    type Err = Error;

    /// The backend of this name: `jit`, `interpreter` or `interpreter-f32`.
    fn from_str(s: &str) -> Result<Backend> {
        match s {
            "jit" => Ok(Backend::Jit),
            "interpreter" => Ok(Backend::Interpreter),
            "interpreter-f32" => Ok(Backend::InterpreterF32),
            _ => Err(Error::InvalidArgument {
                name: "backend".into(),
                expected: alternatives(&BACKENDS, ""),
                found: format!("`{s}`{}", did_you_mean(s, BACKENDS)),
            }),
        }
    }
}

/// The value of an environment variable, unless it is unset or empty.
pub(crate) fn environment_variable(name: &'static str) -> Result<Option<String>> {
    match std::env::var_os(name) {
        None => Ok(None),
        Some(value) if value.is_empty() => Ok(None),
        Some(value) => value.into_string().map(Some).map_err(|found| Error::Environment {
            variable: name,
            expected: "text in UTF-8".into(),
            found: found.to_string_lossy().into_owned(),
        }),
    }
}

/// The instruction set to compile for: the one that `BILRO_ISA` names, or the widest that the
/// processor has.
pub(crate) fn target() -> Result<Target> {
    let Some(found) = environment_variable("BILRO_ISA")? else { return Ok(host::best()) };
    let available = host::targets();
    available.iter().copied().find(|target| target.name == found).ok_or_else(|| {
        let names: Vec<_> = available.iter().map(|target| target.name).collect();
        Error::Environment {
            variable: "BILRO_ISA",
            expected: format!(
                "an instruction set of this processor: {}",
                alternatives(&names, &found)
            ),
            found,
        }
    })
}

/// The number of threads that compute: `requested`, or the value of `BILRO_THREADS`, or the
/// number of processors.
pub(crate) fn threads(requested: Option<usize>) -> Result<usize> {
    if let Some(threads) = requested {
        return match threads {
            1..=MAX_THREADS => Ok(threads),
            _ => Err(Error::InvalidArgument {
                name: "threads".into(),
                expected: format!("between 1 and {MAX_THREADS}"),
                found: threads.to_string(),
            }),
        };
    }
    if let Some(found) = environment_variable("BILRO_THREADS")? {
        let threads = found.parse().ok().filter(|n| (1..=MAX_THREADS).contains(n));
        return threads.ok_or_else(|| Error::Environment {
            variable: "BILRO_THREADS",
            expected: format!("a number between 1 and {MAX_THREADS}"),
            found,
        });
    }
    Ok(std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS))
}

/// Whether `BILRO_SANITIZE` requests code that checks its accesses.
pub(crate) fn sanitizes() -> Result<bool> {
    match environment_variable("BILRO_SANITIZE")?.as_deref() {
        None | Some("0") => Ok(false),
        Some("1") => Ok(true),
        Some(found) => Err(Error::Environment {
            variable: "BILRO_SANITIZE",
            expected: "0 or 1".into(),
            found: found.into(),
        }),
    }
}

/// The limit on threads: a larger number is taken to be a mistake.
const MAX_THREADS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::alternatives;

    #[test]
    fn messages_list_the_alternatives_and_suggest_the_nearest() {
        let names = ["jit", "interpreter", "interpreter-f32"];
        let all = "`jit`, `interpreter` or `interpreter-f32`";
        assert_eq!(alternatives(&names, "gpu"), all);
        assert_eq!(
            alternatives(&names, "interpeter"),
            format!("{all}; did you mean `interpreter`?")
        );
        assert_eq!(alternatives(&["clif"], "avx2"), "`clif`");
        let error = "interpeter".parse::<crate::Backend>().unwrap_err().to_string();
        let near = "but is `interpeter`; did you mean `interpreter`?";
        assert_eq!(error, format!("backend must be {all}, {near}"));
    }
}
