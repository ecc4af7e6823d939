//! Times of a complete training step (forward, backward, update) and of forward
//! only, against the machine's peak. See `README.md`.

use std::sync::Arc;

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::num::NonZero;

use bilro::Sgd;
use bilro::compiler::optim::Training;
use bilro::compiler::purpose::Purpose as CompilerPurpose;
use bilro::compiler::target::Target;
use bilro_benches::compilation::{Compilation, compile_often, isa};
use bilro_benches::measure;
use bilro_benches::networks::{Call, Case, LEARNING_RATE, Purpose};
use clap::Parser;
use serde::Serialize;

/// Measures times of training steps, and of forward only.
#[derive(Parser)]
struct Options {
    /// Number of computing threads
    #[arg(long, default_value = "1")]
    threads: NonZero<usize>,
    /// Seconds per case, or per line with --serve
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Only networks whose name contains this
    #[arg(long, value_name = "SUBSTRING", default_value = "")]
    only: String,
    /// One line of JSON per case instead of a table
    #[arg(long)]
    json: bool,
    /// Read cases such as `784-128-64-10/64/step` from standard input, and
    /// answer each with a line of JSON; compiled code is reused
    #[arg(long)]
    serve: bool,
    /// Added by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

/// The measurement of a case.
#[derive(Serialize)]
struct Line {
    network: &'static str,
    batch: usize,
    purpose: &'static str,
    threads: usize,
    isa: &'static str,
    step_us: f64,
    gflops: f64,
    percent_of_peak: Option<f64>,
    peak_gflops: Option<f64>,
    compile_ms: f64,
    arena_bytes: usize,
    kernels: usize,
}

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let isa = isa()?;
    if options.serve {
        return serve(&options, &isa);
    }
    if !options.json {
        println!("{} thread(s), {}", options.threads, isa.name);
        println!(
            "{:<20}{:>6}{:>9}{:>12}{:>10}{:>9}{:>12}{:>9}{:>13}",
            "network",
            "batch",
            "purpose",
            "µs",
            "GFLOP/s",
            "of peak",
            "compile ms",
            "kernels",
            "arena bytes"
        );
    }
    for case in Case::all().iter().filter(|case| case.network.contains(&options.only)) {
        let line = Prepared::new(case, &options, &isa)?.measure();
        if options.json {
            println!("{}", serde_json::to_string(&line)?);
            continue;
        }
        let share = line.percent_of_peak.map_or("?".into(), |percent| format!("{percent:.0} %"));
        println!(
            "{:<20}{:>6}{:>9}{:>12.2}{:>10.1}{share:>9}{:>12.2}{:>9}{:>13}",
            line.network,
            line.batch,
            line.purpose,
            line.step_us,
            line.gflops,
            line.compile_ms,
            line.kernels,
            line.arena_bytes
        );
    }
    Ok(())
}

/// Measures the cases of standard input, until it ends.
fn serve(options: &Options, isa: &Target) -> Result<(), Failure> {
    let cases = Case::all();
    let mut prepared: BTreeMap<String, Prepared<'_>> = BTreeMap::new();
    for id in std::io::stdin().lock().lines() {
        let id = id?;
        if !prepared.contains_key(&id) {
            let case = cases.iter().find(|case| case.id() == id);
            let case = case.ok_or_else(|| format!("there is no case `{id}`"))?;
            prepared.insert(id.clone(), Prepared::new(case, options, isa)?);
        }
        let line = prepared.get_mut(&id).map(Prepared::measure);
        println!("{}", serde_json::to_string(&line)?);
        std::io::stdout().flush()?;
    }
    Ok(())
}

/// A case ready to be measured, with its compilation.
struct Prepared<'a> {
    case: &'a Case,
    call: Call,
    operations: usize,
    compilation: Compilation,
    isa: Target,
    threads: usize,
    seconds: f64,
}

impl<'a> Prepared<'a> {
    fn new(case: &'a Case, options: &Options, isa: &Target) -> Result<Prepared<'a>, Failure> {
        let optimizer = Arc::new(Training::from(Sgd::new(LEARNING_RATE)));
        let purpose = match case.purpose {
            Purpose::Step => CompilerPurpose::Step(optimizer.clone()),
            Purpose::Forward => CompilerPurpose::Predict,
        };
        let threads = options.threads.get();
        Ok(Prepared {
            case,
            call: case.prepare(threads)?,
            operations: case.operations(&(case.declare)()?),
            compilation: compile_often(&case.declare, &purpose, case.batch, isa, 5, 0.1)?,
            isa: *isa,
            threads,
            seconds: options.seconds,
        })
    }

    fn measure(&mut self) -> Line {
        let measurement = measure(self.seconds, self.isa.lanes, self.threads, &mut self.call);
        let gflops = self.operations as f64 / measurement.seconds / 1e9;
        Line {
            network: self.case.network,
            batch: self.case.batch,
            purpose: self.case.purpose.name(),
            threads: self.threads,
            isa: self.isa.name,
            step_us: rounded(measurement.seconds * 1e6),
            gflops: rounded(gflops),
            percent_of_peak: measurement.peak_gflops.map(|peak| rounded(100.0 * gflops / peak)),
            peak_gflops: measurement.peak_gflops.map(rounded),
            compile_ms: rounded(self.compilation.seconds * 1e3),
            arena_bytes: self.compilation.arena_bytes,
            kernels: self.compilation.kernels,
        }
    }
}

/// Rounded to thousandths: further digits are noise.
fn rounded(x: f64) -> f64 {
    (x * 1e3).round() / 1e3
}
