//! The pictures of the README: two moons with a network's decision regions, and
//! a digit beside the probabilities of its classes.
//!
//! The same seeds give the same files on every machine.

use std::path::PathBuf;
use std::process::ExitCode;

use bilro::plot::{Plane, Prediction, grid};
use bilro::{prelude::*, tensor};
use clap::Parser;

network! {
    /// Two classes of points.
    pub struct Moons {
        input point: [2];
        target moon: class(2);
        output scores = point -> (Linear(32) -> Tanh) * 2 -> Linear(2);
        loss cross_entropy(scores, moon);
    }
}

network! {
    /// Handwritten digits of 8×8 pixels.
    pub struct Digits {
        input image: [64];
        target digit: class(10);
        output logits = image -> Linear(64) -> ReLU -> Linear(10);
        loss cross_entropy(logits, digit);
    }
}

/// Draws the pictures of the README.
#[derive(Parser)]
struct Options {
    /// Output folder
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/pictures"))]
    folder: PathBuf,
    /// Writes PNG instead of SVG
    #[arg(long)]
    png: bool,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> bilro::Result<()> {
    let ending = if options.png { "png" } else { "svg" };
    let path = |name: &str| options.folder.join(name).with_extension(ending);
    moons()?.size(520, 400).save(path("moons"))?;
    digit()?.size(520, 400).save(path("digit"))
}

fn moons() -> bilro::Result<Plane> {
    const X: (f64, f64) = (-1.6, 2.6);
    const Y: (f64, f64) = (-1.2, 1.7);
    const ROWS: usize = 60;
    const COLUMNS: usize = 84;

    let points = data::moons(240, 0.15, 7)?;
    let mut trainer = Moons::trainer(Adam::new(0.01)).seed(7).build()?;
    trainer.fit(&points, Fit::epochs(150).batch_size(40).seed(7))?;
    let points_of_grid = grid(X, Y, ROWS, COLUMNS)?;
    let scores = trainer.model().predict(moons::Input { point: points_of_grid.view() })?.scores;
    // The probability of the second class at each point.
    let probabilities = tensor::softmax(&scores, -1)?;
    let upper = probabilities.column(1);
    let upper = bilro::ndarray::Array2::from_shape_fn((ROWS, COLUMNS), |(row, column)| {
        upper[row * COLUMNS + column]
    });
    let picture = Plane::new("Two moons").regions(upper.view(), X, Y);
    Ok(picture.examples(points.x(), points.y(), &["first", "second"]))
}

/// The correctly classified test digit with the lowest probability.
fn digit() -> bilro::Result<Prediction> {
    let (train, test) = data::digits()?.split(0.8, 7)?;
    let mut trainer = Digits::trainer(Sgd::new(0.1)).seed(7).build()?;
    trainer.fit(&train, Fit::epochs(20).seed(7))?;
    let logits = trainer.model().predict(digits::Input { image: test.x() })?.logits;
    let probabilities = tensor::softmax(&logits, -1)?;
    let (largest, classes) = tensor::max(&probabilities, -1)?;
    let right = (0..test.len()).filter(|i| classes[*i] == test.y()[*i]);
    let hardest = right.min_by(|a, b| largest[*a].total_cmp(&largest[*b])).unwrap_or(0);
    let pixels = test.x();
    let image = bilro::ndarray::Array2::from_shape_fn((8, 8), |(row, column)| {
        pixels[[hardest, row * 8 + column]]
    });
    let probabilities = probabilities.row(hardest).to_vec();
    Ok(Prediction::new("What is this?", image.view(), &probabilities)
        .truth(test.y()[hardest] as usize))
}
