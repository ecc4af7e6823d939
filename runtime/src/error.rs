//! The one error of the library: what was expected, what was found, and where.
//!
//! Nothing that a user can cause panics, and nothing is changed by a call that
//! returns an error.

use std::path::PathBuf;

use crate::weights::WeightsMismatch;

/// What `bilro` functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong while bilro is used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The network could not be compiled.
    #[error(transparent)]
    Compile(#[from] bilro_compiler::error::Error),
    /// The inputs of one call have different numbers of examples.
    #[error(
        "`{name}` has {found} examples, but `{other}` has {expected}: every input of a batch needs the same number"
    )]
    BatchSize {
        /// The input that differs.
        name: String,
        /// How many examples it has.
        found: usize,
        /// The input it is compared with.
        other: String,
        /// How many examples that one has.
        expected: usize,
    },
    /// A batch has too few examples to train on.
    #[error(
        "a batch of {found} is too small: the variance of features over a batch needs at least {expected} examples; \
         leave out the last batch of an epoch where it is so small (`drop_last`)"
    )]
    SmallBatch {
        /// How many are needed.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// A network that only predicts should be trained or evaluated.
    #[error("`{network}` has no loss: it predicts, but cannot be trained or evaluated")]
    NoLoss {
        /// The network.
        network: String,
    },
    /// An input that is needed has not been given.
    #[error("`{name}` is needed, but was not given")]
    MissingInput {
        /// The input or target.
        name: String,
    },
    /// Examples are wrong, and not those of the data set that is trained on.
    #[error("in the {data}: {error}")]
    InData {
        /// Which data set: `validation data`.
        data: &'static str,
        /// What is wrong with it.
        error: Box<Error>,
    },
    /// An input's shape, the batch axis left out, is not the declared one.
    #[error("`{name}` takes examples of shape {expected:?}, but was given {found:?}")]
    Shape {
        /// The input or target.
        name: String,
        /// The declared shape of one example.
        expected: Vec<usize>,
        /// The shape that was given.
        found: Vec<usize>,
    },
    /// Values for a parameter have another shape.
    #[error(
        "`{name}` is a parameter of shape {expected:?}, but was given values of shape {found:?}"
    )]
    ParameterShape {
        /// The parameter.
        name: String,
        /// Its shape, weights of linear layers as `[in, out]`.
        expected: Vec<usize>,
        /// The shape of the values.
        found: Vec<usize>,
    },
    /// Whole numbers were given for reals, or the other way round.
    #[error("`{name}` takes {expected}, but was given {found}")]
    Kind {
        /// The input.
        name: String,
        /// What it takes.
        expected: &'static str,
        /// What was given.
        found: &'static str,
    },
    /// An index is not below its bound.
    #[error("`{name}` has index {index} at row {row}, but its indices are below {below}")]
    IndexOutOfRange {
        /// The input.
        name: String,
        /// The example that has the index, counted from 0.
        row: usize,
        /// The index found.
        index: u32,
        /// The first index that is too large.
        below: usize,
    },
    /// No examples where at least one is needed.
    #[error("{what} has no examples; at least one is needed")]
    Empty {
        /// What is empty: a batch, a data set, one side of a split.
        what: String,
    },
    /// A number that must lie in some range does not.
    #[error("{name} must be {expected}, but is {found}")]
    Setting {
        /// The setting, as the user writes it: `learning rate`, `batch_size`.
        name: String,
        /// What would be accepted.
        expected: String,
        /// What was given.
        found: String,
    },
    /// The loss became infinite or not a number. The step has changed nothing.
    #[error(
        "the loss is {loss} at step {step}: try a smaller learning rate, or look for NaN in the data"
    )]
    NonFiniteLoss {
        /// The step, counted from 1.
        step: usize,
        /// The loss found.
        loss: f32,
    },
    /// A gradient is infinite or not a number, though the loss is neither. The step
    /// has changed nothing.
    #[error(
        "the loss is {loss} at step {step}, but not all of its gradients are finite: look for what has no \
         slope where it is evaluated, as `sqrt` at 0, or for infinite numbers in the data"
    )]
    NonFiniteGradient {
        /// The step, counted from 1.
        step: usize,
        /// The loss, which is finite.
        loss: f32,
    },
    /// There is no parameter of this name.
    #[error("there is no parameter `{name}`; there are {}", known.join(", "))]
    UnknownParameter {
        /// The name that was given.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// A file could not be read or has unexpected contents.
    #[error("{}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, with its line or offset.
        message: String,
    },
    /// A file of weights does not fit the network.
    #[error("{} {mismatch}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// Everything that does not fit.
        mismatch: Box<WeightsMismatch>,
    },
    /// A picture could not be drawn.
    #[error("the picture `{picture}`: {message}")]
    Plot {
        /// Its title, or its kind where it has none.
        picture: String,
        /// What is wrong with its data.
        message: String,
    },
    /// Ctrl-C cannot be made to end training.
    #[cfg(feature = "ctrl-c")]
    #[error("Ctrl-C cannot be made to end training: {message}")]
    CtrlC {
        /// What `ctrlc` says: most often, that the program has a handler of its
        /// own.
        message: String,
    },
    /// An environment variable has a value that is not understood.
    #[error("{variable} is `{found}`, but must be {expected}")]
    Environment {
        /// The variable's name.
        variable: &'static str,
        /// What would be accepted.
        expected: String,
        /// Its value.
        found: String,
    },
}
