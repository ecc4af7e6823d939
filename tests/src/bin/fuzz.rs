//! A driver of the fuzz targets on stable Rust:
//!
//! ```sh
//! cargo run -p bilro-tests --bin fuzz -- [TARGET…] --seconds 30 --seed 1
//! cargo run -p bilro-tests --bin fuzz -- TARGET --case FILE
//! ```
//!
//! Mutates the files of `fuzz/corpus` and the seeds of each target, several targets at a time, each
//! in a process of its own. A case that behaves in a new way is mutated further; `--keep` writes these
//! to `fuzz/corpus`. A case fails if it panics, ends its process, takes more memory than the target
//! allows, or more than `--limit` seconds. It is minimised, written to `fuzz/regressions`, and
//! printed with the command that repeats it.

use std::collections::HashSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bilro::rng::Generator;
use bilro_tests::counting::{Counting, LIVE, PEAK};
use bilro_tests::fuzz::mutate::{below, mutate};
use bilro_tests::fuzz::{self, TARGETS, Target};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How long a case is minimised.
const MINIMISE: Duration = Duration::from_secs(20);

/// The exit status of a process whose case failed; others are crashes.
const FAILED: u8 = 3;

const USAGE: &str =
    "fuzz [TARGET…] [--seconds S] [--seed N] [--jobs J] [--limit S] [--keep] [--case FILE]";

struct Options {
    targets: Vec<&'static Target>,
    seconds: u64,
    seed: u64,
    /// Targets at a time.
    jobs: usize,
    /// The maximum time of a case in seconds.
    limit: u64,
    keep: bool,
    /// Files to run instead of mutations.
    cases: Vec<PathBuf>,
    /// For a process that runs a target: where it writes each case before it runs.
    current: Option<PathBuf>,
}

fn options() -> Result<Options, String> {
    let mut options = Options {
        targets: Vec::new(),
        seconds: 30,
        seed: 1,
        jobs: std::thread::available_parallelism().map_or(1, usize::from),
        limit: 20,
        keep: false,
        cases: Vec::new(),
        current: None,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("`{argument}` takes a value"));
        let number = |text: String| text.parse().map_err(|_| format!("`{text}` is no number"));
        match argument.as_str() {
            "--help" | "-h" => {
                println!("{USAGE}");
                std::process::exit(0);
            }
            "--seconds" => options.seconds = number(value()?)?,
            "--seed" => options.seed = number(value()?)?,
            "--jobs" => options.jobs = number(value()?)?.max(1) as usize,
            "--limit" => options.limit = number(value()?)?.max(1),
            "--keep" => options.keep = true,
            "--case" => options.cases.push(value()?.into()),
            "--current" => options.current = Some(value()?.into()),
            name => {
                let target = fuzz::target(name).ok_or_else(|| {
                    let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
                    format!("there is no target `{name}`; there are {}\n{USAGE}", names.join(", "))
                })?;
                options.targets.push(target);
            }
        }
    }
    if options.targets.is_empty() {
        options.targets = TARGETS.iter().collect();
    }
    if !options.cases.is_empty() && options.targets.len() != 1 {
        return Err(format!("`--case` needs one target\n{USAGE}"));
    }
    Ok(options)
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::FAILURE;
        }
    };
    if !options.cases.is_empty() || options.current.is_some() {
        return run_here(&options);
    }
    let folder = std::env::temp_dir().join(format!("bilro-fuzz-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a temporary folder");
    let mut waiting = options.targets.clone();
    waiting.reverse();
    let mut running: Vec<(&Target, PathBuf, Child)> = Vec::new();
    let mut failures = 0;
    while !waiting.is_empty() || !running.is_empty() {
        while running.len() < options.jobs
            && let Some(target) = waiting.pop()
        {
            let current = folder.join(target.name);
            let mut command = this_program(target);
            command.arg("--current").arg(&current);
            for (name, value) in [
                ("--seconds", options.seconds),
                ("--seed", options.seed),
                ("--limit", options.limit),
            ] {
                command.arg(name).arg(value.to_string());
            }
            if options.keep {
                command.arg("--keep");
            }
            running.push((target, current, command.spawn().expect("this program runs")));
        }
        std::thread::sleep(Duration::from_millis(50));
        let mut i = 0;
        while i < running.len() {
            match running[i].2.try_wait().expect("a child of this process") {
                None => i += 1,
                Some(status) => {
                    let (target, current, _) = running.remove(i);
                    if !status.success() {
                        failures += 1;
                        report(target, &current, &status.to_string(), &options);
                    }
                }
            }
        }
    }
    // A temporary folder does no harm.
    let _ = fs::remove_dir_all(&folder);
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A command that runs this program on one target.
fn this_program(target: &Target) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("the path of this program"));
    command.arg(target.name);
    command
}

/// Minimises a failing case, writes it and prints how to repeat it.
fn report(target: &Target, current: &Path, status: &str, options: &Options) {
    let Ok(case) = fs::read(current) else {
        eprintln!("{}: {status} before the first case", target.name);
        return;
    };
    let failure_of = |case: &[u8]| {
        fs::write(current, case).expect("a temporary file");
        let mut command = this_program(target);
        command.arg("--case").arg(current).arg("--limit").arg(options.limit.to_string());
        let output = command.env("RUST_BACKTRACE", "0").output().expect("this program runs");
        (!output.status.success()).then(|| (failure(&output.stderr), output.status))
    };
    let case = match failure_of(&case) {
        Some(expected) => minimised(case, |case| failure_of(case).as_ref() == Some(&expected)),
        // It depends on cases before it, or on time.
        None => case,
    };
    let folder = fuzz::folder().join("regressions").join(target.name);
    let file = folder.join(name_of(&case));
    fs::create_dir_all(&folder).and_then(|()| fs::write(&file, &case)).expect("a writable folder");
    let shown = String::from_utf8_lossy(&case[..case.len().min(2000)]).escape_debug().to_string();
    let file = file.canonicalize().unwrap_or(file);
    eprintln!(
        "\n{}: a case of {} bytes fails ({status}):\n{shown}\n\nIt is in fuzz/regressions; repeat it \
         by\n\n    cargo run -p bilro-tests --bin fuzz -- {} --case {}\n",
        target.name,
        case.len(),
        target.name,
        file.display()
    );
}

/// The part of a failure's output that cases with the same cause share: where it panicked and the
/// beginning of the message, without numbers.
fn failure(output: &[u8]) -> String {
    let output = String::from_utf8_lossy(output);
    let lines = output.lines().skip_while(|line| !line.contains("panicked at")).take(2);
    let text: String = lines.flat_map(|line| line.chars().take(80)).collect();
    let text = text.rsplit_once("panicked at").map_or(&*text, |(_, text)| text);
    text.chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// The shortest case found by removing pieces.
fn minimised(mut case: Vec<u8>, fails: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let start = Instant::now();
    let mut size = case.len().next_power_of_two() / 2;
    while size > 0 && start.elapsed() < MINIMISE {
        let mut at = 0;
        let mut is_shorter = false;
        while at < case.len() && start.elapsed() < MINIMISE {
            let mut candidate = case.clone();
            candidate.drain(at..(at + size).min(case.len()));
            if fails(&candidate) {
                (case, is_shorter) = (candidate, true);
            } else {
                at += size;
            }
        }
        if !is_shorter {
            size /= 2;
        }
    }
    case
}

fn name_of(case: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    case.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// When the case that runs now began, in milliseconds since the start of the process, plus 1; 0 if
/// none runs.
static BEGAN: AtomicU64 = AtomicU64::new(0);

/// Runs one target in this process: on files, or on mutations.
fn run_here(options: &Options) -> ExitCode {
    let start = Instant::now();
    let limit = 1000 * options.limit;
    // A case that does not end cannot be stopped, but its process can.
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_millis(100));
            let (began, now) = (BEGAN.load(Ordering::Relaxed), start.elapsed().as_millis() as u64);
            if began > 0 && now > began + limit {
                eprintln!("a case takes more than {limit} ms");
                std::process::exit(FAILED.into());
            }
        }
    });
    let target = options.targets[0];
    let one = |case: &[u8]| -> u64 {
        BEGAN.store(1 + start.elapsed().as_millis() as u64, Ordering::Relaxed);
        let before = LIVE.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        let kind = (target.run)(case);
        let peak = PEAK.load(Ordering::Relaxed).saturating_sub(before);
        BEGAN.store(0, Ordering::Relaxed);
        let most = (target.memory)(case.len());
        assert!(peak <= most, "{peak} bytes of memory, more than {most}");
        kind
    };
    // What is made once must not count.
    (target.seeds)().iter().take(1).for_each(|case| {
        (target.run)(case);
    });
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        for file in &options.cases {
            let case = fs::read(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
            let began = Instant::now();
            one(&case);
            println!("{}: passes in {:?}", file.display(), began.elapsed());
        }
        if let Some(current) = &options.current {
            fuzz_for(target, options, current, one);
        }
    }));
    if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
}

/// Runs all stored cases, then mutations of them until the time is over.
fn fuzz_for(target: &Target, options: &Options, current: &Path, one: impl Fn(&[u8]) -> u64) {
    let start = Instant::now();
    let mut random = Generator::new(options.seed);
    let mut stored: Vec<Vec<u8>> = (target.seeds)();
    for kind in ["corpus", "regressions"] {
        stored.extend(fuzz::stored(kind, target.name).into_iter().map(|(_, case)| case));
    }
    let mut kinds = HashSet::new();
    let mut corpus = Vec::new();
    let (mut count, mut kept, mut slowest) = (0u64, 0, Duration::ZERO);
    let mut run = |case: &[u8]| {
        fs::write(current, case).expect("a temporary file");
        let began = Instant::now();
        let kind = one(case);
        slowest = slowest.max(began.elapsed());
        count += 1;
        kinds.insert(kind)
    };
    for case in stored {
        run(&case);
        corpus.push(case);
    }
    let stored = corpus.len();
    while start.elapsed() < Duration::from_secs(options.seconds) {
        // Newer cases, found for their behaviour, are as likely as all stored ones.
        let pick = |random: &mut Generator| match below(random, 2) {
            0 if corpus.len() > stored => stored + below(random, corpus.len() - stored),
            _ => below(random, stored),
        };
        let mut case = corpus[pick(&mut random)].clone();
        let other = pick(&mut random);
        mutate(&mut case, &corpus[other], target.dictionary, target.max_length, &mut random);
        if run(&case) {
            if options.keep {
                let folder = fuzz::folder().join("corpus").join(target.name);
                fs::create_dir_all(&folder).expect("a writable folder");
                fs::write(folder.join(name_of(&case)), &case).expect("a writable folder");
            }
            kept += 1;
            corpus.push(case);
        }
    }
    println!(
        "{}: {count} cases, {kept} of new behaviour; the slowest took {slowest:.1?} (seed {})",
        target.name, options.seed
    );
}
