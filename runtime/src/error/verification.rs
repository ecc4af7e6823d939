//! Reports of verification: compared values, their errors in units of their bounds, disagreements.

use std::fmt;

/// The result of comparing machine code with the interpreter: of `Model::verify` and
/// `bilro::testing::gradcheck`.
///
/// It prints as a table: a line for each check, with the number of values compared and the largest
/// error in units of its bound; then the first layer that disagrees, if any, with the error and the
/// bound.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Line {
///         input x: [1];
///         target y: [1];
///         output p = x -> Linear(1);
///         loss mse_loss(p, y);
///     }
/// }
///
/// let model = Line::model().build()?;
/// let (x, y) = (array![[1.0], [2.0]], array![[2.0], [4.0]]);
/// let report = model.verify(line::Batch { x: x.view(), y: y.view() })?;
/// assert!(report.is_ok(), "{report}");
/// println!("{report}");
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Debug, Default)]
#[non_exhaustive]
#[must_use = "a disagreement is in the report, and not an error: call `is_ok` or `into_result`, or print it"]
pub struct Verification {
    /// The network.
    pub network: String,
    /// Examples of the batch.
    pub examples: usize,
    /// The instruction set of the machine code.
    pub target: String,
    /// The number of threads.
    pub threads: usize,
    /// The checks, in order.
    pub checks: Vec<Check>,
}

/// One check of a [`Verification`].
#[derive(Clone, PartialEq, Debug, Default)]
#[non_exhaustive]
pub struct Check {
    /// Its name, with the purpose: `gradients by kernel`, `gradients as declared`, `derivatives`.
    pub name: String,
    /// The compared values, in the order in which they are computed.
    pub values: Vec<Compared>,
    /// The first [`Check::MOST_DISAGREEMENTS`] values that disagree, in the order in which they are
    /// computed; of derivatives, those nearest to the loss first.
    pub disagreements: Vec<Disagreement>,
}

/// The errors of one value's elements in units of their bounds.
#[derive(Clone, PartialEq, Debug, Default)]
#[non_exhaustive]
pub struct Compared {
    /// The layer or root that it belongs to: `fc1(image)`, `gradient of fc1.weight`.
    pub name: String,
    /// Elements that were compared with a bound.
    pub elements: usize,
    /// Elements without a known bound: an intermediate result may overflow, or the derivative is at
    /// a kink.
    pub undecided: usize,
    /// The largest error in units of its bound: above 1 it disagrees.
    pub worst: f64,
}

/// A value with an element whose error is above its bound.
#[derive(Clone, PartialEq, Debug, Default)]
#[non_exhaustive]
pub struct Disagreement {
    /// The check that found it.
    pub check: String,
    /// The layer, as `fc1(image)`, or a result, as `gradient of fc1.weight`.
    pub layer: String,
    /// The operation, as `relu`; empty if a result of the call is compared.
    pub operation: String,
    /// The kernel that computes it; empty if a result of the call is compared.
    pub kernel: String,
    /// The index of the element with the worst error; the first number is the row of the batch if
    /// the value has a row for each example.
    pub index: Vec<usize>,
    /// The row of the batch, counted from 0, if the value has a row for each example.
    pub row: Option<usize>,
    /// The value of machine code, or the derivative that is checked.
    pub found: f64,
    /// The interpreter's value, or that of differences.
    pub expected: f64,
    /// The largest accepted difference of the two.
    pub bound: f64,
    /// Elements that disagree.
    pub wrong: usize,
    /// Elements of the value.
    pub elements: usize,
    /// More about the cause; empty if nothing is known.
    pub note: String,
}

impl Check {
    /// The maximum number of values in [`disagreements`](Check::disagreements).
    pub const MOST_DISAGREEMENTS: usize = 20;

    pub(crate) fn new(name: impl Into<String>) -> Check {
        Check { name: name.into(), ..Check::default() }
    }

    /// Elements that were compared.
    pub fn elements(&self) -> usize {
        self.values.iter().map(|value| value.elements).sum()
    }

    /// Elements without a known bound.
    pub fn undecided(&self) -> usize {
        self.values.iter().map(|value| value.undecided).sum()
    }

    /// The value with the largest error in units of its bound.
    pub fn worst(&self) -> Option<&Compared> {
        let compared = self.values.iter().filter(|value| value.elements > 0);
        compared.max_by(|a, b| a.worst.total_cmp(&b.worst))
    }

    pub(crate) fn add(&mut self, value: Compared, disagreement: Option<Disagreement>) {
        self.values.push(value);
        let has_room = self.disagreements.len() < Check::MOST_DISAGREEMENTS;
        self.disagreements.extend(disagreement.filter(|_| has_room));
    }
}

impl Verification {
    /// Whether everything that was compared is within its bounds.
    pub fn is_ok(&self) -> bool {
        self.first().is_none()
    }

    /// The first disagreement, in the order in which values are computed.
    pub fn first(&self) -> Option<&Disagreement> {
        self.disagreements().next()
    }

    /// The disagreements of all checks, in order.
    pub fn disagreements(&self) -> impl Iterator<Item = &Disagreement> {
        self.checks.iter().flat_map(|check| &check.disagreements)
    }

    /// The largest error of all in units of its bound.
    pub fn worst(&self) -> f64 {
        let worst = self.checks.iter().filter_map(Check::worst);
        worst.map(|value| value.worst).fold(0.0, f64::max)
    }

    /// Converts a disagreement to an error, for `?`.
    ///
    /// # Errors
    /// [`Error::Verification`](crate::Error::Verification) with this report, if a value disagrees.
    pub fn into_result(self) -> crate::Result<()> {
        match self.is_ok() {
            true => Ok(()),
            false => Err(crate::Error::Verification { report: Box::new(self) }),
        }
    }
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verification { network, examples, target, threads, checks } = self;
        let verdict = if self.is_ok() { "agrees" } else { "DISAGREES" };
        let example = if *examples == 1 { "example" } else { "examples" };
        write!(f, "`{network}` on {examples} {example}")?;
        if !target.is_empty() {
            let thread = if *threads == 1 { "thread" } else { "threads" };
            write!(f, ", {target} code on {threads} {thread}")?;
        }
        write!(f, ": {verdict}")?;
        let width = checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
        for check in checks {
            let (name, elements) = (&check.name, check.elements());
            write!(f, "\n  {name:width$} {elements:>9} numbers")?;
            match check.worst() {
                Some(Compared { name, worst, .. }) if worst.is_finite() => {
                    write!(f, ", worst {} of its bound: {name}", Ratio(*worst))?;
                }
                Some(Compared { name, .. }) => write!(f, ", not the same: {name}")?,
                None => write!(f, ", none compared")?,
            }
            match check.undecided() {
                0 => {}
                undecided => write!(f, "; {undecided} undecided")?,
            }
        }
        let mut disagreements = self.disagreements();
        if let Some(first) = disagreements.next() {
            write!(f, "\nfirst: {first}")?;
        }
        let others: Vec<&Disagreement> = disagreements.collect();
        const SHOWN: usize = 4;
        for next in others.iter().take(SHOWN) {
            let Disagreement { layer, check, found, expected, bound, .. } = next;
            let error = (found - expected).abs() / bound;
            write!(f, "\nthen: {layer}, in `{check}`, by {} bounds", Ratio(error))?;
        }
        match others.len().checked_sub(SHOWN) {
            None | Some(0) => Ok(()),
            Some(more) => write!(f, "\nand {more} more"),
        }
    }
}

impl Disagreement {
    /// Writes the element with the worst error, and the number of wrong elements.
    fn write_numbers(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Disagreement { index, row, found, expected, bound, wrong, elements, .. } = self;
        write!(f, "\n  element {index:?}")?;
        if let Some(row) = row {
            write!(f, " (row {row} of the batch)")?;
        }
        write!(f, ": {found:e}, but {expected:e} is right; ")?;
        let error = (found - expected).abs();
        match error.is_finite() {
            true => {
                write!(f, "they differ by {error:.2e}, {} bounds of {bound:.2e}", {
                    Ratio(error / bound)
                })?;
            }
            false if found.is_finite() != expected.is_finite() => {
                write!(f, "only one of them is finite")?;
            }
            false => write!(f, "neither is finite")?,
        }
        write!(f, "\n  {wrong} of {elements} elements differ by more than their bounds")
    }
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Disagreement { check, layer, operation, kernel, elements, note, .. } = self;
        write!(f, "{layer}")?;
        if !operation.is_empty() && !layer.starts_with(operation.as_str()) {
            write!(f, " ({operation})")?;
        }
        write!(f, ", in `{check}`")?;
        if !kernel.is_empty() {
            write!(f, ", {kernel}")?;
        }
        // Without elements, no numbers were compared: the note has the cause.
        if *elements > 0 {
            self.write_numbers(f)?;
        }
        if !note.is_empty() {
            write!(f, "\n  {note}")?;
        }
        Ok(())
    }
}

/// A ratio in few digits.
struct Ratio(f64);

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0.0 => write!(f, "0"),
            x if !x.is_finite() => write!(f, "infinitely many"),
            x if (0.01..1000.0).contains(&x) => write!(f, "{x:.2}"),
            x => write!(f, "{x:.1e}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_print_what_was_compared_and_what_disagrees_first() {
        let agrees = Compared { name: "fc1(x)".into(), elements: 32, undecided: 0, worst: 0.25 };
        let mut check = Check::new("gradients by kernel");
        check.add(agrees, None);
        let mut report = Verification {
            network: "Digits".into(),
            examples: 4,
            target: "avx2".into(),
            threads: 2,
            checks: vec![check],
        };
        assert!(report.is_ok() && report.clone().into_result().is_ok());
        let text = "`Digits` on 4 examples, avx2 code on 2 threads: agrees\n  \
                    gradients by kernel        32 numbers, worst 0.25 of its bound: fc1(x)";
        assert_eq!(report.to_string(), text);
        let disagreement = Disagreement {
            check: "gradients by kernel".into(),
            layer: "relu(fc1(x))".into(),
            operation: "max".into(),
            kernel: "kernel 3 (product)".into(),
            index: vec![2, 7],
            row: Some(2),
            found: 1.5,
            expected: 1.0,
            bound: 1e-6,
            wrong: 3,
            elements: 32,
            note: String::new(),
        };
        let wrong = Compared { name: "relu(fc1(x))".into(), worst: 5e5, ..Compared::default() };
        report.checks[0].add(Compared { elements: 32, undecided: 1, ..wrong }, Some(disagreement));
        assert!(!report.is_ok());
        let error = report.into_result().unwrap_err().to_string();
        let lines: Vec<&str> = error.lines().collect();
        assert!(lines[0].ends_with("DISAGREES"), "{error}");
        let first = "first: relu(fc1(x)) (max), in `gradients by kernel`, kernel 3 (product)";
        assert_eq!(lines[2], first);
        assert!(lines[3].contains("element [2, 7] (row 2 of the batch): 1.5e0"), "{error}");
        assert!(lines[4].contains("3 of 32 elements"), "{error}");
    }

    #[test]
    fn disagreements_without_numbers_print_their_cause() {
        let stale = Disagreement {
            check: "predict by kernel".into(),
            layer: "Digits".into(),
            found: f64::NAN,
            expected: f64::NAN,
            wrong: 1,
            note: "the cause".into(),
            ..Disagreement::default()
        };
        assert_eq!(stale.to_string(), "Digits, in `predict by kernel`\n  the cause");
    }
}
