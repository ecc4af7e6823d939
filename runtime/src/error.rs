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
    #[error(
        "`{name}` has index {index} at row {row}, but its indices are below {below}{}",
        from_one(name, *index, *below)
    )]
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
    /// There is not so much memory. Nothing has been taken, and nothing has
    /// changed.
    #[error(
        "{what} would take {bytes} bytes, and there is not so much memory: \
         smaller layers or batches take less"
    )]
    Memory {
        /// What it would be for.
        what: String,
        /// How many bytes.
        bytes: u64,
    },
    /// A network that has made steps with one training is asked for a step with
    /// another one.
    #[error(
        "the steps of `{network}` so far were made with another training, whose state it keeps: \
         `Engine::forget_steps` lets go of that, and `Model::into_trainer` makes a trainer that \
         begins anew"
    )]
    OtherTraining {
        /// The network.
        network: String,
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
    #[error("{}", unknown_parameter(name, known))]
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

/// What is said where the largest index is the number of classes: then they are
/// most often counted from 1. (`rows` are those of a selection, which no map shifts.)
fn from_one(name: &str, index: u32, below: usize) -> &'static str {
    match index as usize == below && name != "rows" {
        true => {
            ", since they count from 0: where yours begin at 1, take 1 from all of them \
             (labels of a data set: `data.map_y(|y| y - 1)?`)"
        }
        false => "",
    }
}

/// What is said of a parameter that there is not: the one that may be meant, and
/// those there are.
fn unknown_parameter(name: &str, known: &[String]) -> String {
    // A layer's name stands for all of its parameters.
    let layers = known.iter().filter_map(|name| name.rsplit_once('.')).map(|(layer, _)| layer);
    let near = nearest(name, known.iter().map(String::as_str).chain(layers));
    format!("there is no parameter `{name}`{}", there_are(near, known))
}

/// The nearest of some names, if one may be meant. Of one letter, any other is
/// as near.
pub(crate) fn nearest<'a>(name: &str, among: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    bilro_compiler::error::nearest(name, among).filter(|_| name.chars().nth(1).is_some())
}

/// What there is instead of something, of which one may be meant.
pub(crate) fn there_are<S: AsRef<str>>(near: Option<&str>, names: &[S]) -> String {
    let names = some_of(names);
    match near {
        Some(near) => format!("; did you mean `{near}`? There are {names}"),
        None => format!("; there are {names}"),
    }
}

/// Names for a message, the first of them where they are many.
fn some_of<S: AsRef<str>>(names: &[S]) -> String {
    const MOST: usize = 20;
    let shown: Vec<&str> = names.iter().take(MOST).map(AsRef::as_ref).collect();
    let more = match names.len().checked_sub(MOST) {
        None | Some(0) => String::new(),
        Some(more) => format!(" and {more} more"),
    };
    format!("{}{more}", shown.join(", "))
}

/// `; did you mean ...?`, where one of some names may be meant.
pub(crate) fn did_you_mean<'a>(name: &str, among: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, among).map_or(String::new(), |near| format!("; did you mean `{near}`?"))
}
