//! Reports of values that are not finite: the origin of the first one.

use std::fmt;

/// The first layer whose value is infinite or not a number, found by evaluating a call again: `detect_anomaly(true)` of [`ModelBuilder`](crate::ModelBuilder) and
/// [`TrainerBuilder`](crate::TrainerBuilder).
#[derive(Clone, PartialEq, Debug, Default)]
#[non_exhaustive]
pub struct Anomaly {
    /// The network.
    pub network: String,
    /// The call: `predict`, `evaluate`, `gradients`, `step`.
    pub purpose: String,
    /// The step, counted from 1; `None` unless the call was a step of a trainer.
    pub step: Option<usize>,
    /// The result that is not finite: `the loss`, `gradient of fc1.weight`.
    pub result: String,
    /// The origin; `None` if the interpreter, which adds in f64, finds every value finite: then a
    /// sum of the machine code was too large for a float.
    pub origin: Option<Origin>,
    /// The value with the largest magnitude, and that magnitude; only without an origin.
    pub largest: Option<(String, f32)>,
}

/// The first value that is not finite among those that lead to a result that is not.
#[derive(Clone, PartialEq, Debug, Default)]
#[non_exhaustive]
pub struct Origin {
    /// The layer, as `fc1(image)`, or what follows it, as `log(fc1(image))`; an input or parameter
    /// that is not finite itself.
    pub layer: String,
    /// The operation; empty for an input or parameter.
    pub operation: String,
    /// One of its elements that are not finite: NaN where there is one.
    pub value: f32,
    /// Elements that are not finite.
    pub wrong: usize,
    /// Elements of the value.
    pub elements: usize,
    /// Rows of the batch with such elements, counted from 0: the first [`Origin::MOST_ROWS`].
    pub rows: Vec<usize>,
    /// The number of such rows; 0 if the value has no row for each example.
    pub wrong_rows: usize,
    /// The operands' ranges.
    pub operands: Vec<OperandRange>,
    /// The layer where it becomes NaN, if it is infinite first.
    pub becomes_nan: Option<String>,
}

/// The range of an operand.
#[derive(Clone, PartialEq, Debug, Default)]
#[non_exhaustive]
pub struct OperandRange {
    /// The operand's name, as `fc1(image)`.
    pub name: String,
    /// The least element.
    pub least: f32,
    /// The largest element.
    pub largest: f32,
}

impl Origin {
    /// The maximum number of rows that are listed.
    pub const MOST_ROWS: usize = 8;
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Anomaly { network, purpose, step, result, origin, largest } = self;
        write!(f, "{result} of `{network}` is not finite")?;
        match step {
            Some(step) => write!(f, " at step {step}")?,
            None => write!(f, " in `{purpose}`")?,
        }
        if let Some(origin) = origin {
            return write!(f, ": {origin}");
        }
        write!(
            f,
            ", but the interpreter, in f32 with sums in f64, finds every value finite: an \
             intermediate sum is too large for a float"
        )?;
        match largest {
            Some((layer, size)) => write!(f, "\n  the largest value is in {layer}: {size:e}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Origin { layer, operation, value, wrong, elements, rows, .. } = self;
        match operation.is_empty() {
            true => write!(f, "`{layer}` itself is not finite")?,
            false => write!(f, "the first value that is not finite is `{layer}`")?,
        }
        if !operation.is_empty() && !layer.starts_with(operation.as_str()) {
            write!(f, " ({operation})")?;
        }
        write!(f, "\n  {value} in {wrong} of {elements} elements")?;
        if !rows.is_empty() {
            let listed: Vec<String> = rows.iter().map(ToString::to_string).collect();
            let more = if self.wrong_rows > rows.len() { ", …" } else { "" };
            let word = if self.wrong_rows == 1 { "row" } else { "rows" };
            write!(f, ", in {} {word} of the batch: {}{more}", self.wrong_rows, listed.join(", "))?;
        }
        for OperandRange { name, least, largest } in &self.operands {
            write!(f, "\n  operand `{name}` from {least:e} to {largest:e}")?;
        }
        match &self.becomes_nan {
            Some(layer) => write!(f, "\n  NaN first in `{layer}`"),
            None => Ok(()),
        }
    }
}
