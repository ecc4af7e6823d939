//! Compile times: a network of ordinary size, and chains of layers, for the
//! growth with the number of layers. See `README.md`.

use std::sync::Arc;

use std::collections::BTreeMap;
use std::time::Instant;

use bilro::Sgd;
use bilro::compiler::declaration::Declaration;
use bilro::compiler::error::Error;
use bilro::compiler::optim::Training;
use bilro::compiler::purpose::Purpose;
use bilro::network::Network;
use bilro_benches::compilation::{compile, isa, pass_seconds};
use bilro_benches::median;
use bilro_benches::networks::{Mnist, chain};
use clap::Parser;
use serde::Serialize;

/// Measures compile times, pass by pass.
#[derive(Parser)]
struct Options {
    /// Seconds for each network; each is compiled five times at least
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Only networks whose name contains this
    #[arg(long, value_name = "SUBSTRING", default_value = "")]
    only: String,
    /// One line of JSON per network instead of a table
    #[arg(long)]
    json: bool,
    /// Added by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

struct Case {
    network: &'static str,
    /// Number of `Linear` layers.
    layers: usize,
    batch: usize,
    declare: fn() -> Result<Declaration, Error>,
}

const CASES: [Case; 4] = [
    Case { network: "784-128-64-10", layers: 3, batch: 64, declare: Mnist::declaration },
    Case { network: "chain-10", layers: 10, batch: 32, declare: || chain(10) },
    Case { network: "chain-50", layers: 50, batch: 32, declare: || chain(50) },
    Case { network: "chain-200", layers: 200, batch: 32, declare: || chain(200) },
];

/// Each network is compiled at least this number of times, regardless of time.
const MINIMUM: usize = 5;

/// The line that `--json` prints for a network.
#[derive(Serialize)]
struct Line {
    network: &'static str,
    layers: usize,
    batch: usize,
    isa: &'static str,
    kernels: usize,
    code_bytes: usize,
    arena_bytes: usize,
    total_ms: f64,
    #[serde(rename = "ms_a_layer")]
    ms_per_layer: f64,
    passes_ms: BTreeMap<&'static str, f64>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::parse();
    let isa = isa()?;
    let optimizer = Arc::new(Training::from(Sgd::new(0.01)));
    let step = Purpose::Step(optimizer.clone());
    if !options.json {
        println!("a training step for {}; milliseconds, medians", isa.name);
        print!("{:<14}{:>7}{:>9}{:>9}{:>11}", "network", "layers", "kernels", "total", "per layer");
        let first = &CASES[0];
        for (pass, _) in pass_seconds(&first.declare, &step, first.batch, &isa)? {
            print!("{pass:>10}");
        }
        println!();
    }
    for case in CASES.iter().filter(|case| case.network.contains(&options.only)) {
        // The first compilation in a process also detects the processor.
        let compilation = compile(&case.declare, &step, case.batch, &isa)?;
        let mut totals = Vec::new();
        let mut passes: Vec<(&'static str, Vec<f64>)> = Vec::new();
        let started = Instant::now();
        while totals.len() < MINIMUM || started.elapsed().as_secs_f64() < options.seconds {
            totals.push(compile(&case.declare, &step, case.batch, &isa)?.seconds * 1e3);
            let seconds = pass_seconds(&case.declare, &step, case.batch, &isa)?;
            passes.resize_with(seconds.len(), Default::default);
            for ((pass, times), (name, seconds)) in passes.iter_mut().zip(seconds) {
                *pass = name;
                times.push(seconds * 1e3);
            }
        }
        let total = median(&mut totals);
        let per_layer = total / case.layers as f64;
        let passes: Vec<(&'static str, f64)> =
            passes.into_iter().map(|(pass, mut times)| (pass, median(&mut times))).collect();
        if options.json {
            let line = Line {
                network: case.network,
                layers: case.layers,
                batch: case.batch,
                isa: isa.name,
                kernels: compilation.kernels,
                code_bytes: compilation.code_bytes,
                arena_bytes: compilation.arena_bytes,
                total_ms: total,
                ms_per_layer: per_layer,
                passes_ms: passes.into_iter().collect(),
            };
            println!("{}", serde_json::to_string(&line)?);
        } else {
            print!("{:<14}{:>7}{:>9}", case.network, case.layers, compilation.kernels);
            print!("{total:>9.2}{per_layer:>11.3}");
            passes.iter().for_each(|(_, ms)| print!("{ms:>10.3}"));
            println!();
        }
    }
    Ok(())
}
