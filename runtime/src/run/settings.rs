//! Configuration of runs: backend, threads, target; by code or by environment variables.
//!
//! How networks are run: which backend, how many threads; from code or from
//! the environment.

use bilro_compiler::target::{Target, host};

use crate::error::{Error, Result, did_you_mean};

/// What computes a network.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Backend {
    /// Machine code, compiled at first use.
    #[default]
    Jit,
    /// The interpreter in f64: slow, and the reference for the other.
    Interpreter,
    /// The interpreter in f32.
    InterpreterF32,
}

/// What the interpreter computes in.
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
        let Some(found) = variable("BILRO_BACKEND")? else { return Ok(None) };
        found.parse().map(Some).map_err(|_: Error| Error::Environment {
            variable: "BILRO_BACKEND",
            expected: listed(&NAMES, &found),
            found,
        })
    }
}

const NAMES: [&str; 3] = ["jit", "interpreter", "interpreter-f32"];

/// What a variable may be, and what is meant by `found`, which is none of it.
pub(crate) fn listed(names: &[&str], found: &str) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    let near = did_you_mean(found, names.iter().copied());
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}{near}", rest.join(", ")),
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
                expected: listed(&NAMES, ""),
                found: format!("`{s}`{}", did_you_mean(s, NAMES)),
            }),
        }
    }
}

/// An environment variable that is set to something.
pub(crate) fn variable(name: &'static str) -> Result<Option<String>> {
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

/// The instruction set to make code for: what `BILRO_ISA` names, or the widest
/// that the processor has.
pub(crate) fn target() -> Result<Target> {
    let Some(found) = variable("BILRO_ISA")? else { return Ok(host::best()) };
    let available = host::targets();
    available.iter().copied().find(|target| target.name == found).ok_or_else(|| {
        let names: Vec<_> = available.iter().map(|target| target.name).collect();
        Error::Environment {
            variable: "BILRO_ISA",
            expected: format!("what this processor has: {}", listed(&names, &found)),
            found,
        }
    })
}

/// How many threads compute: as told, as `BILRO_THREADS` says, or as many as
/// the machine has.
pub(crate) fn threads(told: Option<usize>) -> Result<usize> {
    if let Some(threads) = told {
        return match threads {
            1..=MOST_THREADS => Ok(threads),
            _ => Err(Error::InvalidArgument {
                name: "threads".into(),
                expected: format!("between 1 and {MOST_THREADS}"),
                found: threads.to_string(),
            }),
        };
    }
    if let Some(found) = variable("BILRO_THREADS")? {
        let threads = found.parse().ok().filter(|n| (1..=MOST_THREADS).contains(n));
        return threads.ok_or_else(|| Error::Environment {
            variable: "BILRO_THREADS",
            expected: format!("a number between 1 and {MOST_THREADS}"),
            found,
        });
    }
    Ok(std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS))
}

/// More threads than this are a mistake.
const MOST_THREADS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::listed;

    #[test]
    fn what_a_variable_may_be_and_what_was_meant() {
        let names = ["jit", "interpreter", "interpreter-f32"];
        let all = "`jit`, `interpreter` or `interpreter-f32`";
        assert_eq!(listed(&names, "gpu"), all);
        assert_eq!(listed(&names, "interpeter"), format!("{all}; did you mean `interpreter`?"));
        assert_eq!(listed(&["clif"], "avx2"), "`clif`");
        let error = "interpeter".parse::<crate::Backend>().unwrap_err().to_string();
        let near = "but is `interpeter`; did you mean `interpreter`?";
        assert_eq!(error, format!("backend must be {all}, {near}"));
    }
}
