//! Networks of several depths and widths, built at run time, trained on the
//! digits and compared in a table.
//!
//! `network!` declares one network at compile time; this program declares the
//! networks of its command line by the compiler's builder, and trains them by
//! a [`DynTrainer`].

use std::io::Write;
use std::time::Instant;

use bilro::compiler::declaration::{Declaration, LossReduction};
use bilro::compiler::shape::Type;
use bilro::data::Classification;
use bilro::prelude::{Adam, Fit, data};
use bilro::{DynTrainer, Error};
use clap::Parser;

/// Trains networks of several depths and widths on handwritten digits of 8×8
/// pixels, and compares them.
#[derive(Parser)]
struct Options {
    /// Numbers of hidden layers, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "0,1,2,3")]
    depths: Vec<usize>,
    /// Features of a hidden layer, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "16,64")]
    widths: Vec<usize>,
    /// Activation function
    #[arg(long, default_value = "relu")]
    activation: String,
    /// Passes over the training digits
    #[arg(long, default_value_t = 10)]
    epochs: usize,
    /// Digits per step
    #[arg(long, default_value_t = 32)]
    batch_size: usize,
    /// Learning rate of Adam
    #[arg(long, default_value_t = 0.003, allow_negative_numbers = true)]
    lr: f32,
    /// Seed of the initial weights, of the split and of the shuffling
    #[arg(long, default_value_t = 7)]
    seed: u64,
}

fn main() -> std::process::ExitCode {
    match run(&Options::parse(), &mut std::io::stdout()) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        // The reader of the table is gone, as in `architectures | head`.
        Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            std::process::ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

/// A network with `depth` hidden layers.
fn network(depth: usize, width: usize, activation: &str) -> Result<Declaration, Error> {
    let declaration = Declaration::declare("Digits", |b| {
        let image = b.input("image", [64])?;
        let digit = b.target("digit", Type::class(10))?;
        let mut x = image;
        for _ in 0..depth {
            let layer = b.layer(None, "Linear", [("out_features", width)])?;
            x = b.apply(layer, x)?;
            x = b.call(activation, &[x], ())?;
        }
        let head = b.layer("head", "Linear", [("out_features", 10)])?;
        let logits = b.apply(head, x)?;
        b.output("logits", logits)?;
        let losses = b.call("cross_entropy", &[logits, digit], ())?;
        b.loss(losses, LossReduction::Mean)
    });
    Ok(declaration?)
}

fn run(options: &Options, out: &mut impl Write) -> Result<(), Error> {
    let (train, test) = data::digits()?.split(0.8, options.seed)?;
    let heading = ["depth", "width", "parameters", "seconds", "loss", "test loss", "accuracy"];
    writeln!(out, "{}", heading.map(|word| format!("{word:>11}")).concat())?;
    let mut best: Option<(f64, String)> = None;
    for depth in &options.depths {
        // Without hidden layers there is no width.
        let widths = if *depth == 0 { &options.widths[..1] } else { &options.widths };
        for width in widths {
            let row = compare(options, *depth, *width, &train, &test)?;
            let shown = if *depth == 0 { "-".into() } else { width.to_string() };
            writeln!(
                out,
                "{depth:>11}{shown:>11}{:>11}{:>11.2}{:>11.4}{:>11.4}{:>11.4}",
                row.parameters, row.seconds, row.loss, row.test_loss, row.accuracy
            )?;
            if best.as_ref().is_none_or(|(accuracy, _)| row.accuracy > *accuracy) {
                best = Some((row.accuracy, format!("{depth} hidden layers, width {shown}")));
            }
        }
    }
    if let Some((accuracy, network)) = best {
        writeln!(out, "best: {network}, {:.1} % right", 100.0 * accuracy)?;
    }
    Ok(())
}

/// The results of one network.
struct Row {
    parameters: usize,
    seconds: f64,
    loss: f64,
    test_loss: f64,
    accuracy: f64,
}

fn compare(
    options: &Options,
    depth: usize,
    width: usize,
    train: &Classification,
    test: &Classification,
) -> Result<Row, Error> {
    let network = network(depth, width, &options.activation)?;
    let builder = DynTrainer::builder(network, Adam::new(options.lr)).seed(options.seed);
    let mut trainer = builder.build()?;
    let started = Instant::now();
    let fit = Fit::epochs(options.epochs).batch_size(options.batch_size);
    let history = trainer.fit(train, fit)?;
    let seconds = started.elapsed().as_secs_f64();
    let evaluation = trainer.model().evaluate(test)?;
    Ok(Row {
        parameters: trainer.model().named_parameters().map(|(_, values)| values.len()).sum(),
        seconds,
        loss: history.epochs.last().map_or(f64::NAN, |epoch| epoch.loss),
        test_loss: evaluation.loss(),
        accuracy: evaluation.metric("accuracy").unwrap_or(f64::NAN),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(arguments: &[&str]) -> Result<String, Error> {
        let all = ["architectures"].iter().chain(arguments);
        let options =
            Options::try_parse_from(all).map_err(|error| Error::from(error.to_string()))?;
        let mut out = Vec::new();
        run(&options, &mut out)?;
        Ok(String::from_utf8(out)?)
    }

    #[test]
    fn networks_are_compared_in_a_table() {
        let table = table(&["--depths", "0,1,2", "--widths", "8,32", "--epochs", "3"]).unwrap();
        let rows: Vec<Vec<&str>> =
            table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows.len(), 1 + 5 + 1, "{table}");
        let first_columns: Vec<_> = rows[1..6].iter().map(|row| row[..3].to_vec()).collect();
        let expected = [
            ["0", "-", "650"],
            ["1", "8", "610"],
            ["1", "32", "2410"],
            ["2", "8", "682"],
            ["2", "32", "3466"],
        ];
        assert_eq!(first_columns, expected, "{table}");
        let accuracies: Vec<f64> = rows[1..6].iter().map(|row| row[6].parse().unwrap()).collect();
        assert!(accuracies.iter().all(|a| (0.15..=1.0).contains(a)), "{table}");
        assert!(accuracies[2] > 0.8, "{table}");
    }

    #[test]
    fn invalid_arguments_are_reported() {
        for (arguments, expected) in [
            (&["--activation", "rleu"][..], "did you mean `relu`?"),
            (&["--lr", "-1"], "learning rate"),
            (&["--epochs", "0"], "epochs"),
            (&["--widths", "0"], "at least 1"),
            (&["--widths", "x"], "invalid value 'x'"),
            (&["--help"], "compares them"),
        ] {
            let error = table(arguments).unwrap_err().to_string();
            assert!(error.contains(expected), "{arguments:?}: {error}");
        }
    }
}
