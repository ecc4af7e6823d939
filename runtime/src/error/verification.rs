//! Reports of verification: what was compared, how near it came to its bounds, and what disagrees.

use std::fmt;

/// What comparing machine code with the interpreter has found: `Model::verify`,
/// `bilro::testing::gradcheck`.
///
/// Printed, it is a table for a terminal: a line for each thing that was checked, with how many
/// numbers were compared and how near the worst of them came to its bound; and where something
/// disagrees, the first layer that does, by how much and against which bound.
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
#[must_use = "a disagreement is in the report, and not an error: ask `is_ok`, or print it"]
pub struct Verification {
    /// The network.
    pub network: String,
    /// Examples of the batch.
    pub examples: usize,
    /// The instruction set of the machine code that was checked; empty where only the interpreter
    /// was.
    pub target: String,
    /// On how many threads.
    pub threads: usize,
    /// What was checked, in the order in which it was.
    pub checks: Vec<Check>,
}

/// One part of a [`Verification`].
#[derive(Clone, PartialEq, Debug, Default)]
#[non_exhaustive]
pub struct Check {
    /// What was compared: `gradients by kernel`, `gradients as declared`, `derivatives`.
    pub name: String,
    /// Which values were compared, in the order in which they are computed.
    pub values: Vec<Compared>,
    /// Whatever disagrees: the first [`Check::MOST_DISAGREEMENTS`] values, in the order in which
    /// they are computed.
    pub disagreements: Vec<Disagreement>,
}

/// How near the elements of one value came to their bounds.
#[derive(Clone, PartialEq, Debug, Default)]
#[non_exhaustive]
pub struct Compared {
    /// The layer or root that it belongs to: `fc1(image)`, `gradient of fc1.weight`.
    pub name: String,
    /// Elements that were compared with a bound.
    pub elements: usize,
    /// Elements of which no bound can be given, as where an intermediate result may overflow, or a
    /// derivative is asked for at a kink.
    pub undecided: usize,
    /// The largest error in units of its bound: above 1 it disagrees.
    pub worst: f64,
}

/// A value of which an element is further from its reference than its bound allows.
#[derive(Clone, PartialEq, Debug, Default)]
#[non_exhaustive]
pub struct Disagreement {
    /// The check that found it.
    pub check: String,
    /// The layer, as `fc1(image)`, or what is computed for it, as `gradient of fc1.weight`.
    pub layer: String,
    /// The operation, as `relu`; empty where a whole result is compared.
    pub operation: String,
    /// The kernel that computes it; empty where a whole result is compared.
    pub kernel: String,
    /// The element with the worst error, by its index, the row of the batch first where the value
    /// has one for each example.
    pub index: Vec<usize>,
    /// The row of the batch, counted from 0, where the value has one for each example.
    pub row: Option<usize>,
    /// What machine code gives, or the derivative that is checked.
    pub found: f64,
    /// What the interpreter gives, or differences do.
    pub expected: f64,
    /// How far they may be apart.
    pub bound: f64,
    /// Elements that disagree.
    pub wrong: usize,
    /// Elements of the value.
    pub elements: usize,
    /// What else is known of it.
    pub note: String,
}

impl Check {
    /// So many values that disagree are kept, in the order in which they are computed.
    pub const MOST_DISAGREEMENTS: usize = 20;

    pub(crate) fn new(name: impl Into<String>) -> Check {
        Check { name: name.into(), ..Check::default() }
    }

    /// Elements that were compared.
    pub fn elements(&self) -> usize {
        self.values.iter().map(|value| value.elements).sum()
    }

    /// Elements of which no bound can be given.
    pub fn undecided(&self) -> usize {
        self.values.iter().map(|value| value.undecided).sum()
    }

    /// The value that came nearest to its bound, or is furthest beyond it.
    pub fn worst(&self) -> Option<&Compared> {
        let compared = self.values.iter().filter(|value| value.elements > 0);
        compared.max_by(|a, b| a.worst.total_cmp(&b.worst))
    }

    pub(crate) fn add(&mut self, value: Compared, disagreement: Option<Disagreement>) {
        self.values.push(value);
        let is_kept = self.disagreements.len() < Check::MOST_DISAGREEMENTS;
        self.disagreements.extend(disagreement.filter(|_| is_kept));
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

    /// All disagreements that are kept, the first one first.
    pub fn disagreements(&self) -> impl Iterator<Item = &Disagreement> {
        self.checks.iter().flat_map(|check| &check.disagreements)
    }

    /// The largest error of all in units of its bound.
    pub fn worst(&self) -> f64 {
        let worst = self.checks.iter().filter_map(Check::worst);
        worst.map(|value| value.worst).fold(0.0, f64::max)
    }

    /// Nothing, or [`Error::Verification`](crate::Error::Verification) with this report where
    /// something disagrees: for `?`.
    ///
    /// # Errors
    /// [`Error::Verification`](crate::Error::Verification).
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
        let rest: Vec<&Disagreement> = disagreements.collect();
        const SHOWN: usize = 4;
        for next in rest.iter().take(SHOWN) {
            let Disagreement { layer, check, found, expected, bound, .. } = next;
            let error = (found - expected).abs() / bound;
            write!(f, "\nthen: {layer}, in `{check}`, by {} bounds", Ratio(error))?;
        }
        match rest.len().checked_sub(SHOWN) {
            None | Some(0) => Ok(()),
            Some(more) => write!(f, "\nand {more} more"),
        }
    }
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Disagreement { check, layer, operation, kernel, index, row, .. } = self;
        let Disagreement { found, expected, bound, wrong, elements, note, .. } = self;
        write!(f, "{layer}")?;
        if !operation.is_empty() && !layer.starts_with(operation.as_str()) {
            write!(f, " ({operation})")?;
        }
        write!(f, ", in `{check}`")?;
        if !kernel.is_empty() {
            write!(f, ", {kernel}")?;
        }
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
            false => write!(f, "only one of them is finite")?,
        }
        write!(f, "\n  {wrong} of {elements} elements differ by more than their bounds")?;
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
}
