//! Mutation check: for every deliberate fault of `bilro_compiler::faults`, which test finds it.
//!
//! Runs the test programs with `BILRO_FAULT` set to one fault after the other, program by program
//! until one of them fails, and prints a table for `tests/README.md`; or, with `--recorded`, runs
//! for each fault only the test that the table has, and requires that it fails.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bilro_compiler::faults::Fault;

const HELP: &str = "\
Runs the tests with each deliberate fault of the compiler and the runtime in turn.

Usage: faults [--recorded] [--threads N] [FAULT…]

  --recorded   runs only the test that tests/README.md has for each fault
  --threads N  faults at the same time; default 2
  FAULT        names of faults; default all";

/// The test programs in the order in which they are tried: the package, the name of the target, and
/// a filter of tests.
const PROGRAMS: &[(&str, &str, &str)] = &[
    ("bilro-compiler", "bilro_compiler", ""),
    ("bilro", "bilro", ""),
    ("bilro-tests", "library", ""),
    ("bilro-tests", "compiler", "conformance"),
    ("bilro-tests", "compiler", ""),
];

/// The test that injects the faults of accesses itself, and passes if each is reported.
const INJECTING: &str = "sanitizer::every_fault_of_an_access_is_reported";

/// The longest time of a program: a fault may make it hang.
const LIMIT: Duration = Duration::from_secs(900);

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<ExitCode, String> {
    let (mut recorded, mut threads, mut faults) = (false, 2usize, Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--help" | "-h" => {
                println!("{HELP}");
                return Ok(ExitCode::SUCCESS);
            }
            "--recorded" => recorded = true,
            "--threads" => {
                let number = arguments.next().and_then(|n| n.parse().ok()).filter(|n| *n > 0);
                threads = number.ok_or("`--threads` takes a positive number")?;
            }
            name => match Fault::of_name(name) {
                Some(fault) => faults.push(fault),
                None => return Err(format!("there is no fault `{name}`\n\n{HELP}")),
            },
        }
    }
    if faults.is_empty() {
        faults = Fault::ALL.to_vec();
    }
    let executables = executables()?;
    let table = if recorded { read_table()? } else { Vec::new() };
    if !recorded {
        without_faults(&executables)?;
    }
    let (next, missed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let rows = Mutex::new(vec![String::new(); faults.len()]);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(fault) = faults.get(index).copied() else { break };
                    let found = match recorded {
                        true => recorded_test(&executables, &table, fault),
                        false => search(&executables, fault),
                    };
                    let found = found.unwrap_or_else(|| {
                        missed.fetch_add(1, Ordering::Relaxed);
                        eprintln!("NOT FOUND: {} ({})", fault.name(), fault.description());
                        "**nothing**".into()
                    });
                    let (name, text) = (fault.name(), fault.description());
                    let row = format!("| `{name}` | {text} | {found} |");
                    if !recorded {
                        eprintln!("{row}");
                    }
                    rows.lock().expect("no thread panics with the lock")[index] = row;
                }
            });
        }
    });
    if !recorded {
        println!("| fault | meaning | found by |\n| --- | --- | --- |");
        rows.into_inner().expect("no thread panics").iter().for_each(|row| println!("{row}"));
    }
    let (missed, seconds) = (missed.into_inner(), started.elapsed().as_secs());
    println!("{} of {} faults found, {seconds} s", faults.len() - missed, faults.len());
    Ok(if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A test program.
struct Executable {
    package: String,
    target: String,
    path: PathBuf,
}

/// The test programs, built by cargo if they are not.
fn executables() -> Result<Vec<Executable>, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        // The command of README: with other targets, cargo would build anew.
        .args(["test", "--workspace", "--all-features", "--no-run"])
        .arg("--message-format=json")
        .current_dir(workspace())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| format!("cargo: {e}"))?;
    if !output.status.success() {
        return Err("the test programs do not build".into());
    }
    let mut found = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Ok(message) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        let (path, target) = (&message["executable"], &message["target"]["name"]);
        let manifest = message["manifest_path"].as_str().unwrap_or_default();
        let is_test = message["profile"]["test"].as_bool() == Some(true);
        if let (Some(path), Some(target), true) = (path.as_str(), target.as_str(), is_test) {
            let folder = Path::new(manifest).parent().and_then(Path::file_name);
            let package = match folder.and_then(|name| name.to_str()) {
                Some("compiler") => "bilro-compiler",
                Some("runtime") => "bilro",
                Some("tests") => "bilro-tests",
                _ => continue,
            };
            let (package, target) = (package.to_string(), target.to_string());
            found.push(Executable { package, target, path: path.into() });
        }
    }
    Ok(found)
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are a folder of the workspace")
}

/// The folder in which cargo runs a package's tests.
fn folder(package: &str) -> PathBuf {
    workspace().join(match package {
        "bilro-compiler" => "compiler",
        "bilro" => "runtime",
        _ => "tests",
    })
}

/// The result of a test program.
enum Outcome {
    Passed,
    /// Tests that failed; none if the process died or was stopped, with the reason.
    Failed(Vec<String>, &'static str),
}

fn execute(executable: &Executable, fault: Option<Fault>, arguments: &[&str]) -> Outcome {
    let name = fault.map_or("", Fault::name);
    let report = format!("bilro-fault-{name}-{}", std::process::id());
    let report = std::env::temp_dir().join(report);
    let file = std::fs::File::create(&report).expect("a file for a report");
    let mut child = Command::new(&executable.path)
        .args(arguments)
        .current_dir(folder(&executable.package))
        .env("CARGO_MANIFEST_DIR", folder(&executable.package))
        .env("BILRO_FAULT", name)
        .env("INSTA_UPDATE", "no")
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(Stdio::null())
        .spawn()
        .expect("a test program starts");
    let started = Instant::now();
    let status = loop {
        match child.try_wait().expect("a child can be waited for") {
            Some(status) => break Some(status),
            None if started.elapsed() > LIMIT => {
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    let text = std::fs::read_to_string(&report).unwrap_or_default();
    let _ = std::fs::remove_file(&report);
    let failed = text.lines().filter_map(|line| line.strip_prefix("test ")?.split_once(" ... "));
    let failed: Vec<String> = failed
        .filter(|(_, result)| result.ends_with("FAILED"))
        .map(|(name, _)| name.trim_end_matches(" - should panic").to_string())
        .collect();
    match status {
        Some(status) if status.success() => Outcome::Passed,
        None => Outcome::Failed(failed, "does not end"),
        Some(status) if status.code().is_none() => Outcome::Failed(failed, "dies"),
        Some(_) => Outcome::Failed(failed, "fails"),
    }
}

/// Requires that all tests pass without a fault.
fn without_faults(executables: &[Executable]) -> Result<(), String> {
    for (package, target, filter) in PROGRAMS.iter().filter(|(_, _, filter)| filter.is_empty()) {
        let of = |e: &&Executable| e.package == *package && e.target == *target;
        let executable = executables.iter().find(of).ok_or(format!("no program `{target}`"))?;
        if let Outcome::Failed(failed, how) = execute(executable, None, &arguments(filter)) {
            return Err(format!("without a fault, `{package}/{target}` {how}: {failed:?}"));
        }
    }
    Ok(())
}

/// Without tests of documents, which do not depend on a fault, and of the passes' texts, which most
/// faults change: a test of values must find them.
fn arguments(filter: &str) -> [&str; 5] {
    let skipped = ["--skip=documents::", "--skip=tidy::", "--skip=pass_tests::"];
    let [documents, tidy, texts] = skipped;
    ["--test-threads=2", documents, tidy, texts, filter]
}

/// Runs the programs in order until one fails; returns its shortest failing test.
fn search(executables: &[Executable], fault: Fault) -> Option<String> {
    for (package, target, filter) in PROGRAMS {
        let of = |e: &&Executable| e.package == *package && e.target == *target;
        let executable = executables.iter().find(of)?;
        let outcome = execute(executable, Some(fault), &arguments(filter));
        let Outcome::Failed(failed, how) = outcome else { continue };
        // A process that dies prints no results: one thread prints each name before its test.
        let failed = match failed.is_empty() {
            true => last_started(executable, fault, filter),
            false => failed,
        };
        let mut times: Vec<(Duration, &String)> = Vec::new();
        for test in failed.iter().take(12) {
            let started = Instant::now();
            if let Outcome::Failed(..) = execute(executable, Some(fault), &["--exact", test]) {
                times.push((started.elapsed(), test));
            }
        }
        let others = failed.len().saturating_sub(1);
        return Some(match (times.iter().min(), others) {
            (None, _) => format!("`{target}` {how}"),
            (Some((_, test)), 0) => format!("`{package}/{target}` `{test}`"),
            (Some((_, test)), n) => format!("`{package}/{target}` `{test}` and {n} more"),
        });
    }
    None
}

/// The test that runs when the process dies.
fn last_started(executable: &Executable, fault: Fault, filter: &str) -> Vec<String> {
    let output = Command::new(&executable.path)
        .args(["--test-threads=1", filter])
        .current_dir(folder(&executable.package))
        .env("CARGO_MANIFEST_DIR", folder(&executable.package))
        .env("BILRO_FAULT", fault.name())
        .output();
    let text = output.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default();
    let last = text.lines().last().and_then(|line| line.strip_prefix("test "));
    last.and_then(|line| line.split(" ... ").next()).map(String::from).into_iter().collect()
}

/// The rows of the table in `tests/README.md`: fault, package and target, test.
fn read_table() -> Result<Vec<[String; 3]>, String> {
    let path = folder("bilro-tests").join("README.md");
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let quoted = |cell: &str| -> Vec<String> {
        cell.split('`').skip(1).step_by(2).map(String::from).collect()
    };
    let rows = text.lines().filter_map(|line| {
        let cells: Vec<&str> = line.trim().trim_matches('|').split(" | ").collect();
        let [fault, _, found] = cells[..] else { return None };
        let (fault, found) = (quoted(fault), quoted(found));
        let (fault, program, test) = (fault.first()?, found.first()?, found.get(1)?);
        Fault::of_name(fault)?;
        Some([fault.clone(), program.clone(), test.clone()])
    });
    Ok(rows.collect())
}

/// Runs the test that the table has for a fault; returns nothing if it passes.
fn recorded_test(
    executables: &[Executable],
    table: &[[String; 3]],
    fault: Fault,
) -> Option<String> {
    let [_, program, test] = table.iter().find(|[name, ..]| name == fault.name())?;
    let of = |e: &&Executable| format!("{}/{}", e.package, e.target) == *program;
    let executable = executables.iter().find(of)?;
    if test == INJECTING {
        let passes = matches!(execute(executable, None, &["--exact", test]), Outcome::Passed);
        return passes.then(|| test.clone());
    }
    match execute(executable, Some(fault), &["--exact", test]) {
        Outcome::Failed(..) => Some(test.clone()),
        Outcome::Passed => None,
    }
}
