//! A whole training step, forward, backward and update, against the machine's
//! limit; and forward alone.
//!
//! `cargo bench -p bilro-benches --bench step -- [--threads N] [--seconds S]`

use std::time::Instant;

use bilro::compiler::network::Purpose;
use bilro::engine::Engine;
use bilro::ndarray::ArrayD;
use bilro::network::{Feed, Network};
use bilro::prelude::*;

network! {
    /// The notebook's network.
    struct Mnist {
        input image: [784];
        target digit: class(10);
        output logits =
            image -> Linear(128) -> ReLU -> Linear(64) -> ReLU -> Linear(10);
        loss cross_entropy(logits, digit);
    }
}

network! {
    /// The example's network.
    struct Digits {
        input image: [64];
        target digit: class(10);
        output logits =
            image -> Linear(128) -> ReLU -> Linear(64) -> ReLU -> Linear(10);
        loss cross_entropy(logits, digit);
    }
}

network! {
    /// One neuron.
    struct Neuron {
        input point: [2];
        target label: [1];
        output p = point -> Linear(1) -> Sigmoid;
        loss binary_cross_entropy(p, label);
    }
}

struct Options {
    threads: usize,
    seconds: f64,
}

fn main() -> bilro::Result<()> {
    let options = options();
    let peak = bilro_benches::peak_gflops();
    match peak {
        Some(peak) => println!(
            "128-bit multiply-adds on one core: {peak:.1} GFLOP/s at most; AVX2 has twice, AVX-512 up to four times that"
        ),
        None => println!("the machine's limit is not known"),
    }
    println!(
        "{:<22}{:>6}{:>9}{:>12}{:>10}{:>9}{:>12}",
        "network", "batch", "purpose", "µs", "GFLOP/s", "of 128b", "compile ms"
    );
    for batch in [64, 1, 8, 512] {
        measure::<Mnist>("784-128-64-10", batch, &options, peak)?;
    }
    measure::<Digits>("64-128-64-10", 64, &options, peak)?;
    measure::<Neuron>("2-1", 1, &options, peak)
}

fn options() -> Options {
    let mut options = Options { threads: 1, seconds: 2.0 };
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    for pair in words.chunks(2) {
        let number = pair.get(1).and_then(|n| n.parse::<f64>().ok()).filter(|n| *n > 0.0);
        match (pair[0].as_str(), number) {
            ("--threads", Some(n)) if n >= 1.0 => options.threads = n as usize,
            ("--seconds", Some(s)) => options.seconds = s,
            _ => {
                eprintln!("usage: step [--threads N] [--seconds S]");
                std::process::exit(2);
            }
        }
    }
    options
}

/// Prints a line for the step and one for forward alone.
fn measure<N: Network>(
    name: &str,
    batch: usize,
    options: &Options,
    peak: Option<f64>,
) -> bilro::Result<()> {
    let optimizer = Sgd::new(0.01);
    let step = Purpose::Step(&optimizer);
    let mut engine = Engine::new(N::declaration()?, Backend::Jit, 0, options.threads);
    let declaration = engine.declaration().clone();
    let (mut feeds, mut inputs) = (Vec::new(), Vec::new());
    let arrays: Vec<(bool, ArrayD<f32>)> = declaration
        .inputs
        .iter()
        .map(|input| (input.is_target, numbers(&input.ty.shape.full_sizes(batch))))
        .collect();
    let indices: Vec<ArrayD<u32>> =
        arrays.iter().map(|(_, a)| a.mapv(|x| (x * 8.0) as u32)).collect();
    for (i, input) in declaration.inputs.iter().enumerate() {
        let feed = match input.ty.is_real() {
            true => Feed::Real(arrays[i].1.view()),
            false => Feed::Index(indices[i].view()),
        };
        if !input.is_target {
            inputs.push(feed.clone());
        }
        feeds.push(feed);
    }

    // A first compilation in a process also finds out what the processor has.
    Engine::new(declaration.clone(), Backend::Jit, 0, 1).run(&step, &feeds)?;
    let layers: usize = declaration.layers.iter().map(|l| l.multiply_adds).sum();
    // The first layer's input needs no gradient.
    let first = declaration.layers.first().map_or(0, |l| l.multiply_adds);
    for (purpose, feeds, multiply_adds) in
        [(step, &feeds, 3 * layers - first), (Purpose::Predict, &inputs, layers)]
    {
        let started = Instant::now();
        engine.run(&purpose, feeds)?;
        let compile_ms = started.elapsed().as_secs_f64() * 1e3;
        let mut failed = None;
        let seconds = bilro_benches::median_seconds(options.seconds, || {
            if let Err(error) = engine.run(&purpose, feeds) {
                failed = Some(error);
            }
        });
        if let Some(error) = failed {
            return Err(error);
        }
        let gflops = (2 * multiply_adds * batch) as f64 / seconds / 1e9;
        let share = peak.map_or("?".into(), |peak| format!("{:.0} %", 100.0 * gflops / peak));
        println!(
            "{name:<22}{batch:>6}{:>9}{:>12.2}{gflops:>10.1}{share:>9}{compile_ms:>12.1}",
            if purpose.name() == "step" { "step" } else { "forward" },
            seconds * 1e6,
        );
    }
    Ok(())
}

/// Numbers between 0 and 1, always the same.
fn numbers(sizes: &[usize]) -> ArrayD<f32> {
    let mut generator = bilro::rng::Generator::new(1);
    let mut x = vec![0.0; sizes.iter().product()];
    generator.fill_uniform(&mut x, 0.0, 1.0);
    ArrayD::from_shape_vec(sizes, x).expect("as many as the sizes say")
}
