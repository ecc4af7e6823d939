//! Notebook 2: from the perceptron to early stopping.
//!
//! A neuron that draws a line; why its answer becomes a probability; softmax, one-hot vectors,
//! likelihood and cross entropy; gradient descent; networks with a curved border; and when to stop
//! training them. `cargo run --example notebook_2_gradient_descent` prints the text; the pictures
//! are in `target/notebooks`, as SVG and PNG.
//!
//! The sections are in `notebook_2/`: `line`, `errors`, `descent` and `networks`, in this order.
#![allow(clippy::approx_constant, reason = "`network!` takes literals, not Rust constants")]

use std::error::Error;
use std::process::ExitCode;

use bilro::data::{Classification, Regression};
use bilro::ndarray::{Array1, Array2, Ix1, Ix2};
use bilro::plot::{Picture, Plane, grid};
use bilro::prelude::*;
use bilro_examples::{Report, show_without_options};

use descent::{Descent, gradient_descent, one_step};
use errors::{maximum_likelihood, several_classes};
use line::{neuron, perceptron_trick, step_and_sigmoid};
use networks::{DRAWS, Training, bent_border, early_stopping, feed_forward, splits};

#[path = "notebook_2/descent.rs"]
mod descent;
#[path = "notebook_2/errors.rs"]
mod errors;
#[path = "notebook_2/line.rs"]
mod line;
#[path = "notebook_2/networks.rs"]
mod networks;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Points in the plane, `[points, 2]`, and the class of each as a real, 0 or 1, `[points]`, for
/// losses of reals.
type Labelled = Regression<Ix2, Ix1>;

fn main() -> ExitCode {
    show_without_options("From the perceptron to early stopping, with explanations", |report| {
        notebook(report).map(|_| ())
    })
}

/// All sections, in the notebook's order.
fn notebook(report: &mut Report<'_>) -> Result<Findings> {
    neuron(report)?;
    let mistakes = perceptron_trick(report)?;
    step_and_sigmoid(report)?;
    several_classes(report)?;
    let likelihoods = maximum_likelihood(report)?;
    one_step(report)?;
    let descent = gradient_descent(report)?;
    feed_forward(report)?;
    let accuracies = bent_border(report)?;
    splits(report)?;
    let training = early_stopping(report)?;
    let findings = Findings { mistakes, likelihoods, descent, accuracies, training };
    summary(report, &findings)?;
    Ok(findings)
}

/// The results that the text states.
struct Findings {
    /// Points on the wrong side of the perceptron's line, at first and after each epoch.
    mistakes: Vec<usize>,
    /// Likelihoods of the two models.
    likelihoods: [f64; 2],
    descent: Descent,
    /// Accuracies on the moons, of a neuron and of a network.
    accuracies: [f64; 2],
    training: Training,
}

fn summary(report: &mut Report<'_>, findings: &Findings) -> Result<()> {
    report.section("In short")?;
    let Findings { mistakes, likelihoods, descent, accuracies, training } = findings;
    let [first, last] = [descent.losses.first(), descent.losses.last()].map(|x| x.copied());
    let Training { train_errors, test_errors, best, stopped, restored, too_soon } = training;
    let epochs = train_errors.len();
    report.text(format!(
        "  perceptron trick     {} mistakes at first, {} after {} epochs\n  \
         likelihood           {:.4} and {:.4}: the second model is better\n  \
         gradient descent     error from {:.3} to {:.3}, accuracy {:.2}\n  \
         its warnings         {} with learning rate 0.01, {} with 12\n  \
         two moons            accuracy {:.3} with a line, {:.3} with a bent border\n  \
         training for long    training error from {:.3} to {:.3}, test error to {:.3}\n  \
         early stopping       at epoch {}: test error {:.3}, that of epoch {}\n  \
         its patience         ran out too soon in {} of {} draws",
        mistakes[0],
        mistakes[mistakes.len() - 1],
        mistakes.len() - 1,
        likelihoods[0],
        likelihoods[1],
        first.unwrap_or(f64::NAN),
        last.unwrap_or(f64::NAN),
        descent.accuracy,
        descent.warnings[0],
        descent.warnings[1],
        accuracies[0],
        accuracies[1],
        train_errors[0],
        train_errors[epochs - 1],
        test_errors[epochs - 1],
        stopped,
        restored,
        best,
        too_soon,
        DRAWS,
    ))?;
    Ok(())
}

/// The notebook's seed, of weights and splits; its generator is a different one.
const SEED: u64 = 44;

/// The ranges of both axes in pictures of the moons.
const WINDOW: [(f64, f64); 2] = [(-2.2, 3.2), (-1.7, 2.2)];

/// The rows and columns of points in the window.
const CELLS: (usize, usize) = (90, 120);

/// Points all over the window.
fn window() -> bilro::Result<Array2<f32>> {
    grid(WINDOW[0], WINDOW[1], CELLS.0, CELLS.1)
}

/// A picture with a network's answers for the points of the window.
fn regions(picture: Plane, answers: Array1<f32>) -> Result<Plane> {
    Ok(picture.regions(answers.into_shape_with_order(CELLS)?.view(), WINDOW[0], WINDOW[1]))
}

/// A picture of points.
fn plane(title: &str, points: &Classification) -> Plane {
    Plane::new(title).examples(points.x(), points.y(), &["class 0", "class 1"])
}

/// The same points with their classes as reals.
fn labelled(points: &Classification) -> Result<Labelled> {
    Ok(points.clone().map_y(|y| y.mapv(|class| class as f32))?)
}

/// One step per record, in order.
fn one_record_at_a_time<'v>(epochs: usize) -> Fit<'v, f32, Ix2, f32, Ix1> {
    Fit::epochs(epochs).batch_size(1).shuffle(false)
}

/// Puts a picture into the folder, in both formats.
fn save(report: &mut Report<'_>, name: &str, picture: &impl Picture) -> Result<()> {
    for ending in ["svg", "png"] {
        let path = report.picture(&format!("{name}.{ending}"))?;
        picture.save(&path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use bilro_examples::assert_fits_terminal;

    #[test]
    fn results_are_those_of_the_text() {
        let mut out = Vec::new();
        let mut report = Report::new(&mut out);
        let findings = notebook(&mut report).unwrap();
        report.check(45);
        let Findings { mistakes, likelihoods, descent, accuracies, training } = findings;

        // The trick ends with a line that separates the classes.
        assert!(mistakes[0] > 50 && mistakes.ends_with(&[0]), "{mistakes:?}");
        assert!(likelihoods[1] > likelihoods[0]);

        assert_eq!(descent.losses.len(), 100);
        assert!(descent.losses.is_sorted_by(|a, b| a > b), "{:?}", descent.losses);
        assert!(descent.losses[99] < 0.5 * descent.losses[0]);
        assert!(descent.accuracy > 0.95, "{}", descent.accuracy);
        assert!(descent.warnings[0] == 0 && descent.warnings[1] > 0, "{:?}", descent.warnings);

        let [line, network] = accuracies;
        assert!(line < 0.9 && network > 0.98, "{accuracies:?}");

        let Training { train_errors, test_errors, best, stopped, restored, too_soon } = training;
        let lowest = test_errors.iter().copied().fold(f64::INFINITY, f64::min);
        let last = test_errors.len();
        assert_eq!((train_errors.len(), test_errors[best - 1]), (last, lowest));
        assert!(best < stopped && stopped < last, "{best}, {stopped}, {last}");
        // The restored network is that of the best epoch.
        assert_eq!(restored, lowest);
        // Patience is sufficient in most draws, not in all.
        assert!(0 < too_soon && too_soon < DRAWS / 2, "{too_soon} of {DRAWS}");
        assert!(train_errors[last - 1] < 0.5 * train_errors[best - 1]);
        assert!(test_errors[last - 1] > 1.5 * lowest, "overfitting");
        assert!(train_errors[0] > train_errors[best - 1], "underfitting");

        let mut again = Vec::new();
        notebook(&mut Report::new(&mut again)).unwrap();
        assert!(out == again, "every run prints the same");

        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.matches("warning: the loss rises").count(), descent.warnings[1]);
        assert_eq!(text.matches("Train loss").count(), 2 * 10);
        assert_fits_terminal(&text, &[]);
        let pictures: Vec<&str> =
            text.lines().filter_map(|line| line.trim().strip_prefix("picture: ")).collect();
        assert_eq!(pictures.len(), 2 * 8);
        for picture in pictures {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(picture);
            let bytes = std::fs::read(&path).unwrap();
            let start: &[u8] = if picture.ends_with("png") { b"\x89PNG" } else { b"<svg" };
            assert!(bytes.starts_with(start) && bytes.len() > 4000, "{picture}");
        }
    }
}
