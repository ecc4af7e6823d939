//! Differences between a checkpoint and the trainer, or call of `fit`, that resumes from it.

use std::fmt;

/// All differences between a checkpoint and the trainer, or call of `fit`, that resumes from it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct CheckpointMismatch {
    /// The differences, at least one.
    pub differences: Vec<Difference>,
}

/// A difference between a checkpoint and the trainer, or call of `fit`, that resumes from it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// The name of the value that differs: `batch_size`, `the optimizer`, `` the parameter `fc1.weight` ``.
    pub what: String,
    /// The value in the program.
    pub here: String,
    /// The value in the checkpoint.
    pub in_checkpoint: String,
}

/// The maximum number of differences in a message; the field has all.
const MOST_LINES: usize = 20;

impl fmt::Display for CheckpointMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("does not fit, so nothing was resumed")?;
        for Difference { what, here, in_checkpoint } in self.differences.iter().take(MOST_LINES) {
            write!(f, "\n  {what}: here {here}, in the checkpoint {in_checkpoint}")?;
        }
        if let Some(more @ 1..) = self.differences.len().checked_sub(MOST_LINES) {
            write!(f, "\n  and {more} more")?;
        }
        f.write_str(
            "\nbuild the trainer, and set the options of `fit`, as for the run that wrote it; \
             `Trainer::resume` ignores options of `fit`, and `Model::load` reads the parameters only",
        )
    }
}
