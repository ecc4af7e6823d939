//! Confusion matrices, precision, recall and F1.

use std::fmt;

use ndarray::{Array1, Array2, ArrayRef, ArrayView1, ArrayView2, Ix1, Ix2};

use super::{check_classes, check_lengths, predicted_classes, scores};
use crate::error::{Error, Result};

/// The number of examples for each pair of target class and predicted class.
///
/// Its numbers are those of scikit-learn's `classification_report` with
/// `labels=range(classes)` and `zero_division=0`: a precision, recall or F1 without
/// examples is 0, and counts as 0 in averages.
///
/// ```
/// use bilro::metrics::ConfusionMatrix;
/// use bilro::ndarray::array;
///
/// let targets = array![0, 0, 1, 1, 1, 2];
/// let predictions = array![0, 1, 1, 1, 0, 2];
/// let confusion = ConfusionMatrix::new(&targets, &predictions, 3)?.named(["cat", "dog", "bird"])?;
/// assert_eq!(confusion.counts()[[1, 0]], 1); // one dog taken for a cat
/// assert_eq!(confusion.precision(1)?, 2.0 / 3.0);
/// assert_eq!(
///     confusion.to_string(),
///     "target \\ predicted  cat  dog  bird  precision  recall      f1  examples
/// cat                   1    1     0     0.5000  0.5000  0.5000         2
/// dog                   1    2     0     0.6667  0.6667  0.6667         3
/// bird                  0    0     1     1.0000  1.0000  1.0000         1
/// macro average                          0.7222  0.7222  0.7222         6
/// weighted average                       0.6667  0.6667  0.6667         6
/// accuracy 0.6667
/// "
/// );
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfusionMatrix {
    /// A row for each target, a column for each prediction.
    counts: Array2<u64>,
    /// For each target, the number of examples without a prediction.
    unpredicted: Array1<u64>,
    names: Vec<String>,
}

/// Precision, recall and F1 of one class, or an average over classes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ClassScores {
    /// The fraction of examples predicted as the class that are of the class.
    pub precision: f64,
    /// The fraction of examples of the class that are predicted as it.
    pub recall: f64,
    /// The harmonic mean of the two.
    pub f1: f64,
    /// The number of examples of the class; of an average, of all classes.
    pub examples: u64,
}

impl ConfusionMatrix {
    /// From target classes and predicted classes, both `[examples]`, and the number of
    /// classes.
    ///
    /// # Errors
    /// [`Error::BatchSize`] for another number of predictions than targets,
    /// [`Error::Empty`] for none, [`Error::IndexOutOfRange`] for a class that is
    /// not below `classes`, [`Error::InvalidArgument`] if there is not enough memory for
    /// this number of classes.
    pub fn new(
        targets: &ArrayRef<u32, Ix1>,
        predictions: &ArrayRef<u32, Ix1>,
        classes: usize,
    ) -> Result<ConfusionMatrix> {
        check_lengths("predictions", predictions.len(), targets.len())?;
        check_classes("targets", targets, classes)?;
        check_classes("predictions", predictions, classes)?;
        let Some(mut counts) = crate::statistics::zeros::<u64, _>(Ix2(classes, classes)) else {
            return Err(Error::InvalidArgument {
                name: "number of classes".into(),
                expected: "small enough for a matrix of counts to fit into memory".into(),
                found: classes.to_string(),
            });
        };
        for (target, prediction) in targets.iter().zip(predictions) {
            counts[[*target as usize, *prediction as usize]] += 1;
        }
        let names = (0..classes).map(|c| c.to_string()).collect();
        Ok(ConfusionMatrix { counts, unpredicted: Array1::zeros(classes), names })
    }

    /// From scores, `[examples, classes]`, of which the largest is the prediction, see
    /// [`predicted_classes`]; and target classes, `[examples]`. An example with a
    /// NaN score has no prediction, see [`ConfusionMatrix::unpredicted`].
    ///
    /// # Errors
    /// As [`ConfusionMatrix::new`].
    pub fn of_scores(
        scores: &ArrayRef<f32, Ix2>,
        targets: &ArrayRef<u32, Ix1>,
    ) -> Result<ConfusionMatrix> {
        scores::check(scores, targets)?;
        let predictions = predicted_classes(scores)?;
        let mut confusion = ConfusionMatrix::new(targets, &predictions, scores.ncols())?;
        let examples = scores.outer_iter().zip(targets).zip(&predictions);
        for ((_, target), prediction) in
            examples.filter(|((row, _), _)| !scores::has_prediction(*row))
        {
            confusion.counts[[*target as usize, *prediction as usize]] -= 1;
            confusion.unpredicted[*target as usize] += 1;
        }
        Ok(confusion)
    }

    /// Sets the names of the classes, in order, for printing; default their numbers.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the number of names is not that of classes.
    pub fn named<T: Into<String>>(self, names: impl IntoIterator<Item = T>) -> Result<Self> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        match names.len() == self.classes() {
            true => Ok(ConfusionMatrix { names, ..self }),
            false => Err(Error::InvalidArgument {
                name: "number of names".into(),
                expected: format!("the number of classes, {}", self.classes()),
                found: names.len().to_string(),
            }),
        }
    }

    /// The names of the classes, in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.names.len()
    }

    /// The number of examples for each target class, the row, and predicted class, the
    /// column: `counts()[[target, predicted]]`.
    pub fn counts(&self) -> ArrayView2<'_, u64> {
        self.counts.view()
    }

    /// The number of examples of each class without a prediction, because one of their
    /// scores is NaN. They count as wrong, and lower accuracy, recall and F1.
    pub fn unpredicted(&self) -> ArrayView1<'_, u64> {
        self.unpredicted.view()
    }

    /// The fraction of correct predictions.
    pub fn accuracy(&self) -> f64 {
        ratio(self.counts.diag().sum(), self.counts.sum() + self.unpredicted.sum())
    }

    /// The fraction of examples predicted as class `c` that are of it; 0 if there are
    /// none.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a class out of range.
    pub fn precision(&self, c: usize) -> Result<f64> {
        Ok(self.class(c)?.precision)
    }

    /// The fraction of examples of class `c` that are predicted as it; 0 if there are
    /// none.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a class out of range.
    pub fn recall(&self, c: usize) -> Result<f64> {
        Ok(self.class(c)?.recall)
    }

    /// The harmonic mean of precision and recall of class `c`; 0 if no example is of the
    /// class or predicted as it.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a class out of range.
    pub fn f1(&self, c: usize) -> Result<f64> {
        Ok(self.class(c)?.f1)
    }

    /// Precision, recall and F1 of class `c`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a class out of range.
    pub fn class(&self, c: usize) -> Result<ClassScores> {
        match c < self.classes() {
            true => Ok(self.of_class(c)),
            false => Err(Error::InvalidArgument {
                name: "class".into(),
                expected: format!("below {}", self.classes()),
                found: c.to_string(),
            }),
        }
    }

    /// The means over all classes, with equal weights.
    pub fn macro_average(&self) -> ClassScores {
        self.average(|_| 1.0)
    }

    /// The means over all classes, weighted by their numbers of examples.
    pub fn weighted_average(&self) -> ClassScores {
        self.average(|class| class.examples as f64)
    }

    /// The scores of a class that is in range.
    fn of_class(&self, c: usize) -> ClassScores {
        let correct = self.counts[[c, c]];
        let examples = self.counts.row(c).sum() + self.unpredicted[c];
        let predicted = self.counts.column(c).sum();
        ClassScores {
            precision: ratio(correct, predicted),
            recall: ratio(correct, examples),
            f1: ratio(2 * correct, examples + predicted),
            examples,
        }
    }

    fn average(&self, weight: impl Fn(&ClassScores) -> f64) -> ClassScores {
        let (mut sum, mut weights) = (ClassScores::default(), 0.0);
        for c in 0..self.classes() {
            let class = self.of_class(c);
            let weight = weight(&class);
            sum.precision += weight * class.precision;
            sum.recall += weight * class.recall;
            sum.f1 += weight * class.f1;
            sum.examples += class.examples;
            weights += weight;
        }
        // There is at least one example, so that the sum of weights is not 0.
        ClassScores {
            precision: sum.precision / weights,
            recall: sum.recall / weights,
            f1: sum.f1 / weights,
            examples: sum.examples,
        }
    }
}

/// A ratio, or 0 if the denominator is 0.
fn ratio(numerator: u64, denominator: u64) -> f64 {
    if denominator == 0 { 0.0 } else { numerator as f64 / denominator as f64 }
}

/// A row for each class with its counts and scores, and the averages; with a column `none` if an
/// example has no prediction.
impl fmt::Display for ConfusionMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_none = self.unpredicted.iter().any(|n| *n > 0);
        let columns = self.classes() + usize::from(has_none);
        let mut rows = vec![vec!["target \\ predicted".to_string()]];
        rows[0].extend(self.names.iter().cloned());
        rows[0].extend(has_none.then(|| "none".into()));
        rows[0].extend(["precision", "recall", "f1", "examples"].map(String::from));
        let numbers = |scores: ClassScores| {
            let [p, r, f1] =
                [scores.precision, scores.recall, scores.f1].map(|x| format!("{x:.4}"));
            [p, r, f1, scores.examples.to_string()]
        };
        for (c, name) in self.names.iter().enumerate() {
            let mut row = vec![name.clone()];
            row.extend(self.counts.row(c).iter().map(u64::to_string));
            row.extend(has_none.then(|| self.unpredicted[c].to_string()));
            row.extend(numbers(self.of_class(c)));
            rows.push(row);
        }
        let averages = [("macro", self.macro_average()), ("weighted", self.weighted_average())];
        for (name, average) in averages {
            let mut row = vec![format!("{name} average")];
            row.resize(1 + columns, String::new());
            row.extend(numbers(average));
            rows.push(row);
        }
        let width =
            |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..1 + columns + 4).map(width).collect();
        for row in &rows {
            write!(f, "{:<width$}", row[0], width = widths[0])?;
            for (cell, width) in row.iter().zip(&widths).skip(1) {
                write!(f, "  {cell:>width$}")?;
            }
            writeln!(f)?;
        }
        writeln!(f, "accuracy {:.4}", self.accuracy())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn assert_close(found: ClassScores, expected: [f64; 3], examples: u64) {
        for (x, y) in [found.precision, found.recall, found.f1].iter().zip(expected) {
            assert!((x - y).abs() < 1e-15, "{found:?} {expected:?}");
        }
        assert_eq!(found.examples, examples);
    }

    /// Five classes, of which two are never predicted and two never the target,
    /// as `classification_report` of scikit-learn 1.9.1 has them.
    #[test]
    fn numbers_are_those_of_scikit_learn() {
        let targets = array![0, 0, 0, 0, 1, 1, 1, 2, 2, 0];
        let predictions = array![0, 0, 1, 3, 1, 1, 0, 0, 1, 0];
        let confusion = ConfusionMatrix::new(&targets, &predictions, 5).unwrap();
        let counts = array![
            [3, 1, 0, 1, 0],
            [1, 2, 0, 0, 0],
            [1, 1, 0, 0, 0],
            [0, 0, 0, 0, 0],
            [0, 0, 0, 0, 0],
        ];
        assert_eq!(confusion.counts(), counts);
        assert_eq!(confusion.accuracy(), 0.5);
        assert_close(confusion.class(0).unwrap(), [0.6, 0.6, 0.6], 5);
        let expected = [0.5, 0.6666666666666666, 0.5714285714285714];
        assert_close(confusion.class(1).unwrap(), expected, 3);
        for (c, examples) in [(2, 2), (3, 0), (4, 0)] {
            assert_close(confusion.class(c).unwrap(), [0.0; 3], examples);
        }
        let expected = [0.22, 0.2533333333333333, 0.23428571428571426];
        assert_close(confusion.macro_average(), expected, 10);
        assert_close(confusion.weighted_average(), [0.45, 0.5, 0.4714285714285714], 10);
    }

    #[test]
    fn scores_are_predictions() {
        let scores = array![[0.1, 0.9, 0.0], [0.3, 0.3, 0.3], [0.0, 0.1, 0.2f32]];
        let targets = array![1, 1, 2];
        let confusion = ConfusionMatrix::of_scores(&scores, &targets).unwrap();
        assert_eq!(confusion, ConfusionMatrix::new(&targets, &array![1, 0, 2], 3).unwrap());
    }

    /// As scikit-learn counts predictions that are not in `labels`.
    #[test]
    fn examples_without_a_prediction_count_as_wrong() {
        let nan = f32::NAN;
        let scores = array![[nan, 0.9], [0.3, 0.3], [nan, nan], [0.1, nan], [0.0, 1.0f32]];
        let targets = array![0, 0, 0, 1, 1];
        let confusion = ConfusionMatrix::of_scores(&scores, &targets).unwrap();
        assert_eq!(confusion.counts(), array![[1, 0], [0, 1]]);
        assert_eq!(confusion.unpredicted(), array![2, 1]);
        assert_eq!(confusion.accuracy(), 0.4);
        assert_eq!(confusion.accuracy(), super::super::accuracy(&scores, &targets).unwrap());
        assert_close(confusion.class(0).unwrap(), [1.0, 1.0 / 3.0, 0.5], 3);
        assert_close(confusion.class(1).unwrap(), [1.0, 0.5, 2.0 / 3.0], 2);
        assert_close(confusion.macro_average(), [1.0, 5.0 / 12.0, 7.0 / 12.0], 5);
        assert_eq!(
            confusion.to_string(),
            "target \\ predicted  0  1  none  precision  recall      f1  examples
0                   1  0     2     1.0000  0.3333  0.5000         3
1                   0  1     1     1.0000  0.5000  0.6667         2
macro average                      1.0000  0.4167  0.5833         5
weighted average                   1.0000  0.4000  0.5667         5
accuracy 0.4000
"
        );
        let dead = ConfusionMatrix::of_scores(&array![[nan, nan], [nan, nan]], &array![0, 1]);
        assert_eq!(dead.unwrap().accuracy(), 0.0);
    }

    #[test]
    fn errors_name_the_argument() {
        let new = |targets: Array1<u32>, predictions: Array1<u32>| {
            ConfusionMatrix::new(&targets, &predictions, 2).map_err(|e| e.to_string())
        };
        assert_eq!(
            new(array![0, 2], array![0, 1]).unwrap_err(),
            "`targets` has index 2 at row 1, but its indices are below 2, since they count from 0: \
             where yours begin at 1, take 1 from all of them (labels of a data set: \
             `data.map_y(|y| y - 1)?`)"
        );
        assert_eq!(
            new(array![0, 1], array![9, 1]).unwrap_err(),
            "`predictions` has index 9 at row 0, but its indices are below 2"
        );
        assert_eq!(
            new(array![0, 1], array![1]).unwrap_err(),
            "`predictions` has 1 examples, but `targets` has 2: every input of a batch needs the same number"
        );
        assert!(new(array![], array![]).is_err());
        let many = ConfusionMatrix::new(&array![0], &array![0], usize::MAX);
        assert!(matches!(many, Err(Error::InvalidArgument { .. })));
        let confusion = new(array![0, 1], array![0, 1]).unwrap();
        assert_eq!(
            confusion.precision(2).unwrap_err().to_string(),
            "class must be below 2, but is 2"
        );
        assert_eq!(
            confusion.named(["cat"]).unwrap_err().to_string(),
            "number of names must be the number of classes, 2, but is 1"
        );
    }
}
