//! The error type of the library. Messages have the expected value, the one found, and the
//! location.
//!
//! No mistake of a caller panics, and a call that returns an error has changed
//! nothing.

mod anomaly;
mod checkpoint;
mod verification;
mod weights;

use std::error::Error as StdError;
use std::path::PathBuf;
use std::{env, fmt, io, num, str, string};

use ndarray::{ErrorKind, ShapeError};

pub use bilro_compiler::sanitize::{AccessFault, InvalidAccess};

pub use anomaly::{Anomaly, OperandRange, Origin};
pub use checkpoint::{CheckpointMismatch, Difference};
pub use verification::{Check, Compared, Disagreement, Verification};
pub(crate) use weights::FLOATS;
pub use weights::WeightsMismatch;

/// The result type of `bilro`'s functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// All errors of bilro.
///
/// `{error}` and `{error:?}` print the same text, so that a `main` that returns
/// [`Result`], `unwrap` and `expect` show the readable message. bilro's own errors
/// have all information in the text and no
/// [`source`](std::error::Error::source); those of a program, in
/// [`Error::Other`] and [`Error::Io`], keep theirs, which `{error:?}` prints
/// below, one per line.
///
/// In a function that returns [`Result`], `?` also converts other common errors:
/// of [`std::io`], of parsing numbers and text, of ndarray's shapes, of the
/// compiler's builder, `Box<dyn Error>`, and plain strings. [`Error::other`]
/// converts all others.
///
/// ```
/// fn learning_rate(path: &str) -> bilro::Result<f32> {
///     let text = std::fs::read_to_string(path)?;
///     let rate: f32 = text.trim().parse()?;
///     if rate > 1.0 {
///         return Err("a learning rate above 1 is a mistake".into());
///     }
///     Ok(rate)
/// }
///
/// let error = learning_rate("no/such/file").unwrap_err();
/// assert!(matches!(error, bilro::Error::Io(_)));
/// assert_eq!(format!("{error:?}"), error.to_string());
/// ```
#[derive(thiserror::Error)]
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
        /// Its number of examples.
        found: usize,
        /// The input that it is compared with.
        other: String,
        /// That input's number of examples.
        expected: usize,
    },
    /// A batch has too few examples to train on.
    #[error(
        "a batch of {found} is too small: the variance of features over a batch needs at least {expected} examples; \
         `drop_last` leaves out a smaller last batch of an epoch"
    )]
    SmallBatch {
        /// The minimum number.
        expected: usize,
        /// The number of examples found.
        found: usize,
    },
    /// A network without a loss, which can only predict, is trained or evaluated.
    #[error("`{network}` has no loss: it predicts, but cannot be trained or evaluated")]
    NoLoss {
        /// The network.
        network: String,
    },
    /// A required input has not been given.
    #[error("`{name}` is needed, but was not given")]
    MissingInput {
        /// The input or target.
        name: String,
    },
    /// A dynamic network, its outputs or its gradients have no item of this name.
    #[error("there is no {what} `{name}`{}", there_are(nearest(name, known.iter().map(String::as_str)), known))]
    UnknownName {
        /// The kind of item: `input or target`, `choice`, `alternative`, `array`.
        what: &'static str,
        /// The name that was given.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// An array or a choice is given twice to a dynamic network.
    #[error("`{name}` is given more than once")]
    RepeatedName {
        /// The name.
        name: String,
    },
    /// A dynamic network is given a target to predict with.
    #[error("`{name}` is a target: to predict, give the inputs alone")]
    Unneeded {
        /// The target.
        name: String,
    },
    /// An error in examples of another data set than the one trained on.
    #[error("in the {data}: {error}")]
    InData {
        /// The data set: `validation data`.
        data: &'static str,
        /// The error in it.
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
    /// Integers were given for reals, or the other way round.
    #[error("`{name}` takes {expected}, but was given {found}")]
    Kind {
        /// The input.
        name: String,
        /// The type that it takes.
        expected: &'static str,
        /// The type that was given.
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
    /// There are no examples; at least one is needed.
    #[error("{what} has no examples; at least one is needed")]
    Empty {
        /// The empty item: a batch, a data set, one side of a split.
        what: String,
    },
    /// There is not enough memory. Nothing has been allocated, and nothing has
    /// changed.
    #[error(
        "{what} would take {bytes} bytes, more memory than there is: \
         use smaller layers or batches"
    )]
    Memory {
        /// The use of the memory.
        what: String,
        /// The number of bytes.
        bytes: u64,
    },
    /// A step with another training than the network's earlier steps.
    #[error(
        "`{network}` has the optimizer state of another training: `Engine::forget_steps` drops it, \
         and `Model::into_trainer` makes a trainer with new state"
    )]
    OtherTraining {
        /// The network.
        network: String,
    },
    /// A number or an option is rejected: a hyperparameter, the size of a picture, an axis.
    #[error("{name} must be {expected}, but is {found}")]
    InvalidArgument {
        /// The argument, as the user writes it: `learning rate`, `batch_size`.
        name: String,
        /// The accepted values.
        expected: String,
        /// The value that was given.
        found: String,
    },
    /// The loss became infinite or not a number. The step has changed nothing.
    #[error(
        "the loss is {loss} at step {step}: try a smaller learning rate, or look for NaN in the data; \
         `detect_anomaly(true)` names the layer where it began"
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
        "the loss is {loss} at step {step}, but not all of its gradients are finite: look for a function \
         without a finite derivative, as `sqrt` at 0, or for infinite numbers in the data"
    )]
    NonFiniteGradient {
        /// The step, counted from 1.
        step: usize,
        /// The loss, which is finite.
        loss: f32,
    },
    /// A result is not finite, and `detect_anomaly(true)` has found the origin. Nothing has changed.
    #[error("{report}")]
    Anomaly {
        /// The first value that is not finite, with its layer.
        report: Box<Anomaly>,
    },
    /// Machine code and the interpreter disagree, or gradients and differences. As the error of a
    /// step: the step has changed nothing.
    #[error("{report}")]
    Verification {
        /// The checks, and the first layer that disagrees.
        report: Box<Verification>,
    },
    /// Sanitized code has made an access to memory that is not allowed: a fault of the compiler.
    /// The call has changed nothing.
    #[error("{purpose} on {examples} examples: {access}")]
    Sanitizer {
        /// The call: `predict`, `evaluate`, `gradients`, `step`.
        purpose: &'static str,
        /// The number of examples.
        examples: usize,
        /// The access, with its kernel, instruction, buffer and element.
        access: Box<InvalidAccess>,
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
        /// The problem, with its line or offset.
        message: String,
    },
    /// A file of weights does not match the network.
    #[error("{} {mismatch}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// All mismatches.
        mismatch: Box<WeightsMismatch>,
    },
    /// A file is not a checkpoint, or is damaged.
    #[error("{} is not a checkpoint, or damaged at byte {offset}: {message}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The first byte of the section that is wrong.
        offset: u64,
        /// What is wrong.
        message: String,
    },
    /// A checkpoint does not fit the trainer, or the call of `fit`, that resumes from it.
    #[error("{} {mismatch}", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// All differences.
        mismatch: Box<CheckpointMismatch>,
    },
    /// A picture could not be drawn.
    #[error("the picture `{picture}`: {message}")]
    Plot {
        /// Its title, or its kind if it has none.
        picture: String,
        /// The problem with its data.
        message: String,
    },
    /// The handler for Ctrl-C cannot be installed.
    #[cfg(feature = "ctrl-c")]
    #[error("Ctrl-C cannot be made to end training: {message}")]
    CtrlC {
        /// The message of `ctrlc`: usually, that the program has its own
        /// handler.
        message: String,
    },
    /// An environment variable has a value that is not understood.
    #[error("{variable} is `{found}`, but must be {expected}")]
    Environment {
        /// The variable's name.
        variable: &'static str,
        /// The accepted values.
        expected: String,
        /// Its value.
        found: String,
    },
    /// Input or output failed in the program that uses bilro: `?` converts a
    /// [`std::io::Error`] to this. bilro's own functions return [`Error::File`],
    /// which has the path.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// An array cannot have the shape that the program gave it: `?` converts
    /// ndarray's error to this.
    #[error("an array cannot have this shape: {}", shape_error(.0))]
    Array(ShapeError),
    /// Another error of the program that uses bilro: `?` converts errors that are not
    /// bilro's to this, and [`Error::other`] converts any.
    #[error(transparent)]
    Other(Box<dyn StdError + Send + Sync>),
}

impl Error {
    /// Converts an error of the program, or a string, to an error of bilro: for
    /// functions and callbacks that return [`Result`].
    ///
    /// ```
    /// # fn run() -> bilro::Result<()> {
    /// let text = std::str::from_utf8(&[0xff]).map_err(bilro::Error::other)?;
    /// # let _ = text; Ok(())
    /// # }
    /// # assert!(matches!(run(), Err(bilro::Error::Other(_))));
    /// ```
    pub fn other(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
        Error::from(error.into())
    }
}

/// As `Display`, because `main`, `unwrap` and `expect` print errors by `Debug`; then
/// the sources of the error.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)?;
        let mut cause = self.source();
        while let Some(error) = cause {
            write!(f, "\ncaused by: {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// ndarray's error, as a message about the array.
fn shape_error(error: &ShapeError) -> String {
    match error.kind() {
        ErrorKind::IncompatibleShape => {
            "it does not fit the number of elements, or another array".into()
        }
        ErrorKind::OutOfBounds => "there are not enough elements".into(),
        _ => {
            let text = error.to_string();
            // ndarray's message begins with the name of its type.
            text.split_once(": ").map_or(text.as_str(), |(_, message)| message).into()
        }
    }
}

impl From<ShapeError> for Error {
    fn from(error: ShapeError) -> Error {
        Error::Array(error)
    }
}

/// An error of bilro in a box is unwrapped.
impl From<Box<dyn StdError + Send + Sync>> for Error {
    fn from(error: Box<dyn StdError + Send + Sync>) -> Error {
        error.downcast::<Error>().map_or_else(Error::Other, |error| *error)
    }
}

/// An error of bilro in a box is unwrapped. Any other may not be `Send`, so that only
/// its text is taken, with those of its sources.
impl From<Box<dyn StdError>> for Error {
    fn from(error: Box<dyn StdError>) -> Error {
        let error = match error.downcast::<Error>() {
            Ok(error) => return *error,
            Err(error) => error,
        };
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            let message = error.to_string();
            // Many errors contain their sources' messages.
            if !text.contains(&message) {
                text = format!("{text}: {message}");
            }
            source = error.source();
        }
        Error::Other(text.into())
    }
}

macro_rules! other {
    ($($error:ty),+) => {
        $(impl From<$error> for Error {
            fn from(error: $error) -> Error {
                Error::Other(error.into())
            }
        })+
    };
}
other!(&str, String);
other!(num::ParseFloatError, num::ParseIntError, num::TryFromIntError, str::ParseBoolError);
other!(
    bilro_compiler::error::Mistake,
    str::Utf8Error,
    string::FromUtf8Error,
    env::VarError,
    fmt::Error
);

/// A hint if an index equals the number of classes: then they are probably counted from 1.
/// (Not for `rows`, the indices of a selection, which no map shifts.)
fn from_one(name: &str, index: u32, below: usize) -> &'static str {
    match index as usize == below && name != "rows" {
        true => {
            ", since they count from 0: where yours begin at 1, take 1 from all of them \
             (labels of a data set: `data.map_y(|y| y - 1)?`)"
        }
        false => "",
    }
}

/// The message for an unknown parameter, with the nearest name and all names.
fn unknown_parameter(name: &str, known: &[String]) -> String {
    // The name of a layer is accepted for all of its parameters.
    let layers = known.iter().filter_map(|name| name.rsplit_once('.')).map(|(layer, _)| layer);
    let near = nearest(name, known.iter().map(String::as_str).chain(layers));
    format!("there is no parameter `{name}`{}", there_are(near, known))
}

/// The nearest of some names, if one is similar. None for a name of one letter, which is
/// equally near to any other.
pub(crate) fn nearest<'a>(name: &str, among: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    bilro_compiler::error::nearest(name, among).filter(|_| name.chars().nth(1).is_some())
}

/// The end of a message: the nearest name, if any, and the existing names.
pub(crate) fn there_are<S: AsRef<str>>(near: Option<&str>, names: &[S]) -> String {
    let names = some_of(names);
    match near {
        Some(near) => format!("; did you mean `{near}`? There are {names}"),
        None => format!("; there are {names}"),
    }
}

/// Names for a message, cut off after the first 20.
fn some_of<S: AsRef<str>>(names: &[S]) -> String {
    const MAX_SHOWN: usize = 20;
    let shown: Vec<&str> = names.iter().take(MAX_SHOWN).map(AsRef::as_ref).collect();
    let more = match names.len().checked_sub(MAX_SHOWN) {
        None | Some(0) => String::new(),
        Some(more) => format!(" and {more} more"),
    };
    format!("{}{more}", shown.join(", "))
}

/// `; did you mean ...?`, if one of the names is similar.
pub(crate) fn did_you_mean<'a>(name: &str, among: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, among).map_or(String::new(), |near| format!("; did you mean `{near}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights() -> Error {
        let mismatch = WeightsMismatch {
            network: "Digits".into(),
            missing: vec![("fc1.weight".into(), vec![8, 64])],
            unexpected: vec![("fc.weight".into(), vec![8, 64])],
            ..WeightsMismatch::default()
        };
        Error::Weights { path: "digits.safetensors".into(), mismatch: Box::new(mismatch) }
    }

    #[test]
    fn main_and_unwrap_print_the_readable_message() {
        let text = "digits.safetensors does not fit `Digits`, so nothing was loaded\n  \
                    missing: `fc1.weight` [8, 64]; is it the file's `fc.weight`?\n  \
                    not in the network: `fc.weight` [8, 64]\n\
                    `load_renamed` loads a file in which parameters have other names";
        assert_eq!(weights().to_string(), text);
        // `main` prints `Error: {error:?}`.
        assert_eq!(format!("{:?}", weights()), text);
        assert_eq!(format!("{:#?}", weights()), text);
        let fails = || -> Result<()> { Err(weights()) };
        let panic = std::panic::catch_unwind(|| fails().unwrap()).unwrap_err();
        let panic = panic.downcast_ref::<String>().unwrap();
        assert!(panic.ends_with(text), "{panic}");

        let nested = Error::InData { data: "validation data", error: Box::new("empty".into()) };
        assert_eq!(format!("{nested:?}"), "in the validation data: empty");
        let codegen = bilro_compiler::error::Error::Codegen("no AVX".into());
        assert_eq!(format!("{codegen:?}"), "code generation: no AVX");
        assert_eq!(format!("{:?}", Error::from(codegen)), "code generation: no AVX");
    }

    fn converted<E>(error: E) -> Error
    where
        Error: From<E>,
    {
        let run = || -> Result<()> {
            Err(error)?;
            Ok(())
        };
        run().unwrap_err()
    }

    #[test]
    fn question_marks_convert_common_errors() {
        let missing = std::fs::read("no/such/file").unwrap_err();
        let text = missing.to_string();
        let error = converted(missing);
        assert!(matches!(&error, Error::Io(e) if e.kind() == io::ErrorKind::NotFound));
        assert_eq!(error.to_string(), text);

        let shape = ndarray::Array2::from_shape_vec((2, 3), vec![0.0; 5]).unwrap_err();
        let kind = shape.kind();
        let error = converted(shape);
        assert!(matches!(&error, Error::Array(e) if e.kind() == kind));
        let text = "an array cannot have this shape: there are not enough elements";
        assert_eq!(error.to_string(), text);
        let layout = ShapeError::from_kind(ErrorKind::Overflow);
        let text = "an array cannot have this shape: arithmetic overflow";
        assert_eq!(converted(layout).to_string(), text);

        for (error, text) in [
            (converted("x".parse::<f32>().unwrap_err()), "invalid float literal"),
            (converted("x".parse::<usize>().unwrap_err()), "invalid digit found in string"),
            (converted("a text"), "a text"),
            (converted(String::from("a text")), "a text"),
            (converted(Box::<dyn StdError>::from("a text")), "a text"),
            (converted(Box::<dyn StdError + Send + Sync>::from("a text")), "a text"),
            (Error::other("a text"), "a text"),
            (Error::other(fmt::Error), &fmt::Error.to_string()),
        ] {
            assert!(matches!(error, Error::Other(_)));
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn an_error_of_bilro_in_a_box_is_unwrapped() {
        let empty = || Error::Empty { what: "the batch".into() };
        let is_empty = |error| matches!(error, Error::Empty { .. });
        assert!(is_empty(converted(Box::<dyn StdError>::from(empty()))));
        assert!(is_empty(converted(Box::<dyn StdError + Send + Sync>::from(empty()))));
        assert!(is_empty(Error::other(empty())));
    }

    /// An error whose text does not contain its source's.
    #[derive(Debug, thiserror::Error)]
    #[error("the settings cannot be read")]
    struct Outer(#[source] num::ParseIntError);

    #[test]
    fn chains_print_every_message_once() {
        let outer = || Outer("x".parse::<usize>().unwrap_err());
        let inner = outer().0.to_string();
        let error = Error::from(Box::<dyn StdError>::from(outer()));
        assert_eq!(error.to_string(), format!("the settings cannot be read: {inner}"));
        // The chain of an error that is `Send` is preserved.
        for error in [Error::other(outer()), converted(io::Error::other(outer()))] {
            assert_eq!(error.to_string(), "the settings cannot be read");
            assert_eq!(error.source().unwrap().to_string(), inner);
            assert_eq!(format!("{error:?}"), format!("{error}\ncaused by: {inner}"));
        }
        // No source repeats the text.
        for error in [weights(), converted(io::Error::other("full")), Error::from("a text")] {
            assert!(error.source().is_none(), "{error}");
        }
    }

    #[test]
    fn errors_are_send_and_sync() {
        fn check<E: StdError + Send + Sync + 'static>() {}
        check::<Error>();
        check::<bilro_compiler::error::Error>();
    }
}
