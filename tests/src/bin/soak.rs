//! Compares random networks on every emitter and number of threads with the interpreter, in several
//! processes: a crash ends one of them, and is reported as a failure of its network.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use bilro_compiler::target::host;
use bilro_tests::soak::campaign::{Campaign, Counts, Report};
use bilro_tests::soak::trial;
use clap::Parser;

/// Compares random networks on every emitter and number of threads with the interpreter, and reduces
/// each that fails. Prints the results; exits with 1 if a network has failed.
#[derive(Parser, Clone, Debug)]
#[command(name = "soak")]
struct Arguments {
    /// Number of networks
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    networks: u64,
    /// Seed of all networks
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Most minutes; no limit unless set
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: Option<u64>,
    /// Index of the first network
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Number of processes; one for each processor unless set
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=256))]
    processes: Option<u64>,
    /// `Model::verify` runs on one of this number of networks; never for 0
    #[arg(long, default_value_t = 4)]
    verify_every: u64,
    /// Most seconds for reducing a network that fails; 0 reduces none
    #[arg(long, default_value_t = 120)]
    reduce_seconds: u64,
    /// Prints the text of each network instead of running it
    #[arg(long)]
    print: bool,
    /// File for the results as Markdown
    #[arg(long)]
    report: Option<PathBuf>,
    /// Runs as one of the processes: every n-th network
    #[arg(long, hide = true)]
    every: Option<u64>,
}

/// Most time for a network, reduction not included, until its process is ended: far more than it
/// takes, for a busy machine.
const HANG: Duration = Duration::from_secs(900);

/// Counts are sent after this number of networks.
const BLOCK: usize = 25;

impl Arguments {
    fn campaign(&self) -> Campaign {
        Campaign {
            verify_every: self.verify_every,
            reducing: Duration::from_secs(self.reduce_seconds),
            ..Campaign::new(self.seed)
        }
    }

    fn end(&self) -> u64 {
        self.first.saturating_add(self.networks)
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.print {
        for index in arguments.first..arguments.end() {
            let network = arguments.campaign().network(index);
            println!("// network {index}, batch {}, {:?}", network.batch, network.plan);
            println!("{}", network.text());
        }
        return ExitCode::SUCCESS;
    }
    match arguments.every {
        Some(every) => work(&arguments, every),
        None => match coordinate(&arguments) {
            Ok(code) => code,
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        },
    }
}

/// A line from a process: a network begins, has failed, or is counted.
enum Line {
    Begins(u64),
    Fails(Box<Report>),
    Counts(Box<Counts>),
    Ends,
}

impl Line {
    fn parse(line: &str) -> Option<Line> {
        let (kind, rest) = line.split_at_checked(1)?;
        match kind {
            ">" => rest.parse().ok().map(Line::Begins),
            "!" => serde_json::from_str(rest).ok().map(|report| Line::Fails(Box::new(report))),
            "=" => serde_json::from_str(rest).ok().map(|counts| Line::Counts(Box::new(counts))),
            "." => Some(Line::Ends),
            _ => None,
        }
    }
}

/// Runs networks as one of the processes, and prints [`Line`]s.
fn work(arguments: &Arguments, every: u64) -> ExitCode {
    trial::record_panics();
    let (campaign, targets) = (arguments.campaign(), host::targets());
    let mut counts = Counts::default();
    let mut out = std::io::stdout().lock();
    let mut send = |line: String| writeln!(out, "{line}").and_then(|()| out.flush()).is_ok();
    let mut index = arguments.first;
    while index < arguments.end() {
        if !send(format!(">{index}")) {
            // The coordinator has ended.
            return ExitCode::FAILURE;
        }
        if let Some(report) = campaign.run(index, &targets, &mut counts) {
            let report = serde_json::to_string(&report).unwrap_or_default();
            send(format!("!{report}"));
        }
        index = index.saturating_add(every);
        if counts.networks == BLOCK || index >= arguments.end() {
            send(format!("={}", serde_json::to_string(&counts).unwrap_or_default()));
            counts = Counts::default();
        }
    }
    send(".".into());
    ExitCode::SUCCESS
}

/// One of the processes.
struct Process {
    child: Child,
    lines: Receiver<Line>,
    /// The network that runs, and since when.
    running: Option<u64>,
    since: Instant,
    has_ended: bool,
}

impl Process {
    fn start(arguments: &Arguments, first: u64, every: u64) -> std::io::Result<Process> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--seed", &arguments.seed.to_string()])
            .args(["--first", &first.to_string()])
            .args(["--networks", &(arguments.end() - first).to_string()])
            .args(["--verify-every", &arguments.verify_every.to_string()])
            .args(["--reduce-seconds", &arguments.reduce_seconds.to_string()])
            .args(["--every", &every.to_string()])
            .stdout(Stdio::piped())
            .spawn()?;
        let (sender, lines): (Sender<Line>, _) = channel();
        let output = child.stdout.take();
        std::thread::spawn(move || {
            let lines = output.into_iter().flat_map(|output| BufReader::new(output).lines());
            for line in lines.map_while(Result::ok).filter_map(|line| Line::parse(&line)) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let since = Instant::now();
        Ok(Process { child, lines, running: None, since, has_ended: false })
    }
}

/// Starts the processes and collects their results.
fn coordinate(arguments: &Arguments) -> std::io::Result<ExitCode> {
    let (start, campaign) = (Instant::now(), arguments.campaign());
    let processors = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let count = arguments.processes.unwrap_or(processors).min(arguments.networks);
    let deadline = arguments.minutes.map(|minutes| start + Duration::from_secs(60 * minutes));
    let targets: Vec<&str> = host::targets().iter().map(|target| target.name).collect();
    println!("seed {}, {count} processes, for {targets:?}", arguments.seed);
    let mut processes = VecDeque::new();
    for i in 0..count {
        processes.push_back(Process::start(arguments, arguments.first + i, count)?);
    }
    let mut counts = Counts::default();
    let mut failures = 0;
    let mut shown = Instant::now();
    let mut fail = |report: &Report| {
        failures += 1;
        println!("\nFAILURE {failures}: {report}\n");
    };
    while let Some(mut process) = processes.pop_front() {
        let is_late = deadline.is_some_and(|deadline| Instant::now() > deadline);
        let mut is_dead = false;
        loop {
            match process.lines.recv_timeout(Duration::from_millis(50)) {
                Ok(Line::Begins(index)) => {
                    (process.running, process.since) = (Some(index), Instant::now());
                }
                Ok(Line::Fails(report)) => {
                    fail(&report);
                    process.since = Instant::now();
                }
                Ok(Line::Counts(more)) => counts.add(&more),
                Ok(Line::Ends) => process.has_ended = true,
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => {
                    is_dead = true;
                    break;
                }
            }
            if shown.elapsed() > Duration::from_secs(10) {
                break;
            }
        }
        let hangs = process.since.elapsed() > HANG + campaign.reducing;
        if is_late || hangs {
            process.child.kill()?;
        }
        if is_late {
            process.child.wait()?;
        } else if is_dead || hangs {
            let status = process.child.wait()?;
            if let Some(index) = process.running.filter(|_| !process.has_ended) {
                let what = if hangs { "it does not end".into() } else { format!("{status}") };
                fail(&campaign.fatal(index, what));
                if index + count < arguments.end() {
                    processes.push_back(Process::start(arguments, index + count, count)?);
                }
            }
        } else {
            processes.push_back(process);
        }
        if shown.elapsed() > Duration::from_secs(10) {
            shown = Instant::now();
            println!(
                "{:>8.0} s  {} networks, {:.1}/s, errors up to {:.3} of the bound",
                start.elapsed().as_secs_f64(),
                counts.networks,
                counts.networks as f64 / start.elapsed().as_secs_f64(),
                counts.compared.worst,
            );
        }
    }
    let results = counts.markdown(start.elapsed(), failures);
    println!("\n{results}");
    if let Some(path) = &arguments.report {
        std::fs::write(path, &results)
            .map_err(|error| std::io::Error::other(format!("{}: {error}", path.display())))?;
    }
    Ok(if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
