//! Handwritten digits: declares a network, trains it, tests it.

use std::io::Write;

use bilro::prelude::*;
use clap::Parser;

network! {
    /// Handwritten digits of 8×8 pixels.
    pub struct Digits {
        input image: [64];
        target digit: class(10);

        layer fc1 = Linear(64, 128);
        layer fc2 = Linear(128, 64);
        layer fc3 = Linear(64, 10);

        let hidden = relu(fc2(relu(fc1(image))));
        output logits = fc3(hidden);
        loss cross_entropy(logits, digit);
    }
}

/// Trains a network on handwritten digits of 8×8 pixels, and tests it.
#[derive(Parser)]
struct Options {
    /// Passes over the training digits
    #[arg(long, default_value_t = 40)]
    epochs: usize,
    /// Digits per step
    #[arg(long, default_value_t = 32)]
    batch_size: usize,
    /// Learning rate
    #[arg(long, default_value_t = 0.1, allow_negative_numbers = true)]
    lr: f32,
    /// Seed of the initial weights, of the split and of the shuffling
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Backend: `jit`, `interpreter` or `interpreter-f32`
    #[arg(long, default_value = "jit", value_parser = backend)]
    backend: Backend,
    /// Number of threads; default: as many as the machine has
    #[arg(long)]
    threads: Option<usize>,
}

fn backend(name: &str) -> Result<Backend, String> {
    name.parse().map_err(|error: bilro::Error| error.to_string())
}

fn main() -> std::process::ExitCode {
    match run(&Options::parse()) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> bilro::Result<()> {
    let (train, test) = data::digits()?.split(0.8, options.seed)?;
    let mut builder =
        Digits::trainer(Sgd::new(options.lr)).seed(options.seed).backend(options.backend);
    if let Some(threads) = options.threads {
        builder = builder.threads(threads);
    }
    let mut trainer = builder.build()?;
    print(trainer.model().summary());

    let fit = Fit::epochs(options.epochs).batch_size(options.batch_size);
    let fit = fit.validate(&test).progress(true).stop_on_ctrl_c(true);
    trainer.fit(&train, fit)?;

    let evaluation = trainer.into_model().evaluate(&test)?;
    print(format!("test accuracy {:.4}", evaluation.accuracy()));
    Ok(())
}

/// Prints a line, ignoring a closed pipe, as in `digits | head`.
fn print(line: String) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
