//! Accuracy, top-k accuracy and predicted classes from scores.

use ndarray::{Array1, ArrayRef, ArrayView1, Ix1, Ix2};

use super::{check_classes, check_lengths};
use crate::error::{Error, Result};
use crate::statistics;

/// The class with the largest score of each example, `[examples]`, from
/// `scores`, `[examples, classes]`, by the rule of
/// [`tensor::argmax`](crate::statistics::argmax): the first of equal scores, and NaN
/// is larger than all numbers. An example with a NaN score has no valid
/// prediction: [`accuracy`] and
/// [`ConfusionMatrix::of_scores`](super::ConfusionMatrix::of_scores) never count it
/// as correct; code that compares these classes with targets must check for NaN.
///
/// # Errors
/// [`Error::Empty`] if there are no classes, [`Error::InvalidArgument`] for 2³² of
/// them or more.
pub fn predicted_classes(scores: &ArrayRef<f32, Ix2>) -> Result<Array1<u32>> {
    match scores.ncols() {
        0 => Err(Error::Empty { what: "a row of `scores`".into() }),
        _ => statistics::argmax(scores, -1),
    }
}

/// The fraction of examples whose largest score is the target's, from 0 to 1, as
/// reported by a network's `metric accuracy(scores, target)`. `scores` is
/// `[examples, classes]`, `targets` `[examples]`. The first of equal scores counts
/// as the largest; an example with a NaN score counts as wrong.
///
/// # Errors
/// As [`top_k_accuracy`].
pub fn accuracy(scores: &ArrayRef<f32, Ix2>, targets: &ArrayRef<u32, Ix1>) -> Result<f64> {
    check(scores, targets)?;
    Ok(fraction_within(scores, targets, 1))
}

/// The fraction of examples whose target has one of the `k` largest scores, from 0
/// to 1. `scores` is `[examples, classes]`, `targets` `[examples]`. Of equal
/// scores the first class's counts as larger, so that `k = 1` is [`accuracy`]
/// (scikit-learn's `top_k_accuracy_score` prefers the last); an example with a
/// NaN score counts as wrong.
///
/// # Errors
/// [`Error::BatchSize`] for another number of scores than targets,
/// [`Error::Empty`] for no examples, [`Error::IndexOutOfRange`] for a target
/// that has no score, [`Error::InvalidArgument`] for a `k` of 0 or above the number of
/// classes.
pub fn top_k_accuracy(
    scores: &ArrayRef<f32, Ix2>,
    targets: &ArrayRef<u32, Ix1>,
    k: usize,
) -> Result<f64> {
    check(scores, targets)?;
    if !(1..=scores.ncols()).contains(&k) {
        return Err(Error::InvalidArgument {
            name: "k".into(),
            expected: format!("between 1 and the number of classes, {}", scores.ncols()),
            found: k.to_string(),
        });
    }
    Ok(fraction_within(scores, targets, k))
}

/// Requires a score for each target.
pub(super) fn check(scores: &ArrayRef<f32, Ix2>, targets: &ArrayRef<u32, Ix1>) -> Result<()> {
    check_lengths("scores", scores.nrows(), targets.len())?;
    check_classes("targets", targets, scores.ncols())
}

fn fraction_within(scores: &ArrayRef<f32, Ix2>, targets: &ArrayRef<u32, Ix1>, k: usize) -> f64 {
    let rows = scores.outer_iter().zip(targets);
    let hits = rows.filter(|(row, target)| is_within(*row, **target as usize, k)).count();
    hits as f64 / targets.len() as f64
}

/// Whether the target is among the top `k` classes by score, as in a network's accuracy
/// metrics. Of equal scores the first class's is the larger one; with a NaN score, the
/// result is `false`.
fn is_within(row: ArrayView1<'_, f32>, target: usize, k: usize) -> bool {
    let score = row[target];
    let before = row
        .iter()
        .enumerate()
        .filter(|(class, other)| **other > score || (**other == score && *class < target));
    has_prediction(row) && before.count() < k
}

/// Whether scores have a valid prediction: none is NaN.
pub(super) fn has_prediction(row: ArrayView1<'_, f32>) -> bool {
    !row.iter().any(|score| score.is_nan())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    /// The 0.75 is that of scikit-learn 1.9.1, `top_k_accuracy_score`; for the
    /// other `k`, by counting.
    #[test]
    fn targets_are_counted_among_the_largest_scores() {
        let scores = array![[0.5, 0.2, 0.2], [0.3, 0.4, 0.2], [0.2, 0.4, 0.3], [0.7, 0.2, 0.1f32]];
        let targets = array![0, 1, 2, 2];
        assert_eq!(top_k_accuracy(&scores, &targets, 2).unwrap(), 0.75);
        assert_eq!(top_k_accuracy(&scores, &targets, 1).unwrap(), 0.5);
        assert_eq!(accuracy(&scores, &targets).unwrap(), 0.5);
        assert_eq!(top_k_accuracy(&scores, &targets, 3).unwrap(), 1.0);
        assert_eq!(predicted_classes(&scores).unwrap(), array![0, 1, 1, 0]);
    }

    #[test]
    fn the_first_of_equal_scores_counts_and_nan_is_wrong() {
        let scores = array![[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [f32::NAN, 1.0, 0.0]];
        assert_eq!(predicted_classes(&scores).unwrap(), array![0, 0, 0]);
        assert_eq!(accuracy(&scores, &array![0, 0, 1]).unwrap(), 2.0 / 3.0);
        assert_eq!(accuracy(&scores, &array![1, 1, 1]).unwrap(), 0.0);
        assert_eq!(top_k_accuracy(&scores, &array![1, 1, 1], 2).unwrap(), 2.0 / 3.0);
        assert_eq!(top_k_accuracy(&scores, &array![2, 2, 2], 3).unwrap(), 2.0 / 3.0);
        let none = array![[f32::NAN, f32::NAN]];
        assert_eq!(predicted_classes(&none).unwrap(), array![0]);
        assert_eq!(accuracy(&none, &array![0]).unwrap(), 0.0);
    }

    #[test]
    fn errors_name_the_argument() {
        let scores = array![[0.5, 0.5f32], [0.1, 0.2]];
        let error =
            |targets: &Array1<u32>, k| top_k_accuracy(&scores, targets, k).unwrap_err().to_string();
        assert_eq!(
            error(&array![0, 1, 1], 1),
            "`scores` has 2 examples, but `targets` has 3: every input of a batch needs the same number"
        );
        assert_eq!(
            error(&array![0, 2], 1),
            "`targets` has index 2 at row 1, but its indices are below 2, since they count from 0: \
             where yours begin at 1, take 1 from all of them (labels of a data set: \
             `data.map_y(|y| y - 1)?`)"
        );
        let k = "k must be between 1 and the number of classes, 2, but is";
        assert_eq!(error(&array![0, 1], 0), format!("{k} 0"));
        assert_eq!(error(&array![0, 1], 3), format!("{k} 3"));
        let none = ndarray::Array2::<f32>::zeros((0, 2));
        assert!(matches!(accuracy(&none, &array![]), Err(Error::Empty { .. })));
        let no_classes = ndarray::Array2::<f32>::zeros((2, 0));
        assert!(matches!(predicted_classes(&no_classes), Err(Error::Empty { .. })));
        assert!(accuracy(&no_classes, &array![0, 0]).is_err());
    }
}
