//! Metrics of predicted classes: accuracies, confusion matrices.
//!
//! Takes scores, one row per example and one column per class, or predicted
//! classes, and the targets. Arrays and views are both accepted: `&logits`,
//! `&test.y()`. Definitions are scikit-learn's.
//!
//! ```
//! use bilro::metrics::{self, ConfusionMatrix};
//! use bilro::ndarray::array;
//!
//! let scores = array![[2.0, 0.5, 0.1], [0.3, 0.2, 0.9], [0.1, 0.8, 0.7], [0.0, 0.4, 0.6]];
//! let targets = array![0, 2, 2, 2];
//! assert_eq!(metrics::accuracy(&scores, &targets)?, 0.75);
//! assert_eq!(metrics::top_k_accuracy(&scores, &targets, 2)?, 1.0);
//!
//! let confusion = ConfusionMatrix::of_scores(&scores, &targets)?.named(["cat", "dog", "bird"])?;
//! assert_eq!(confusion.recall(2)?, 2.0 / 3.0);
//! println!("{confusion}");
//! # Ok::<(), bilro::Error>(())
//! ```

mod confusion;
mod scores;

pub use confusion::{ClassScores, ConfusionMatrix};
pub use scores::{accuracy, predicted_classes, top_k_accuracy};

use ndarray::{ArrayRef, Ix1};

use crate::error::{Error, Result};

/// Requires equal numbers of examples, and at least one.
fn check_lengths(name: &str, found: usize, targets: usize) -> Result<()> {
    if found != targets {
        return Err(Error::BatchSize {
            name: name.into(),
            found,
            other: "targets".into(),
            expected: targets,
        });
    }
    match found {
        0 => Err(Error::Empty { what: format!("`{name}`") }),
        _ => Ok(()),
    }
}

/// Requires classes below a bound.
fn check_classes(name: &str, found: &ArrayRef<u32, Ix1>, below: usize) -> Result<()> {
    match found.iter().enumerate().find(|(_, class)| **class as usize >= below) {
        Some((row, index)) => {
            Err(Error::IndexOutOfRange { name: name.into(), row, index: *index, below })
        }
        None => Ok(()),
    }
}
