//! What of a checkpoint does not fit a trainer, or a call of `fit`.

use std::fmt;

/// Everything in which a checkpoint differs from what is to go on from it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct CheckpointMismatch {
    /// The differences, at least one.
    pub differences: Vec<Difference>,
}

/// One thing that is otherwise in a checkpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// What it is: `batch_size`, `the optimizer`, `` the parameter `fc1.weight` ``.
    pub what: String,
    /// How it is here.
    pub here: String,
    /// How it is in the checkpoint.
    pub in_checkpoint: String,
}

/// The most lines that a message has; the field has all.
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
            "\ntraining goes on exactly only as it began: build the trainer and say the options of \
             `fit` as before. `Trainer::resume` does not look at options of `fit`, and \
             `Model::load` reads the parameters alone",
        )
    }
}
