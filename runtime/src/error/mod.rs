//! The one error of the library: what was expected, what was found, and where.
//!
//! Nothing that a user can cause panics, and nothing is changed by a call that
//! returns an error.

mod anomaly;
mod verification;
mod weights;

use std::error::Error as StdError;
use std::path::PathBuf;
use std::{env, fmt, io, num, str, string};

use ndarray::{ErrorKind, ShapeError};

pub(crate) use weights::FLOATS;
pub use anomaly::{Anomaly, OperandRange, Origin};
pub use verification::{Check, Compared, Disagreement, Verification};
pub use weights::WeightsMismatch;

/// What `bilro` functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong while bilro is used.
///
/// `{error}` and `{error:?}` print the same text, so that a `main` that returns
/// [`Result`], `unwrap` and `expect` show it as it is meant to be read. Errors
/// of bilro's own say everything in it and have no
/// [`source`](std::error::Error::source); those of a program, in
/// [`Error::Other`] and [`Error::Io`], keep theirs, which `{error:?}` prints
/// below, a line each.
///
/// In a function that returns [`Result`], `?` takes other errors that small
/// programs meet as well: those of [`std::io`], of numbers and text that cannot
/// be parsed, of ndarray's shapes, of the compiler's builder, `Box<dyn Error>`, and plain texts. For all
/// others there is [`Error::other`].
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
    /// A dynamic network, or what it gives, has nothing of this name.
    #[error("there is no {what} `{name}`{}", there_are(nearest(name, known.iter().map(String::as_str)), known))]
    UnknownName {
        /// What was looked for: `input or target`, `choice`, `alternative`, `array`.
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
    /// Integers were given for reals, or the other way round.
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
    /// A result is not finite, and `detect_anomaly(true)` has asked where that came from. Nothing
    /// has changed.
    #[error("{report}")]
    Anomaly {
        /// The first value that is not finite, with its layer.
        report: Box<Anomaly>,
    },
    /// Machine code and the interpreter disagree, or gradients and differences. Where it is an
    /// error of a step, the step has changed nothing.
    #[error("{report}")]
    Verification {
        /// What was compared, and the first layer that disagrees.
        report: Box<Verification>,
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
    /// Input or output failed in the program that uses bilro: what `?` makes of
    /// a [`std::io::Error`]. bilro's own functions return [`Error::File`], which
    /// says which file.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// An array cannot have the shape that the program gave it: what `?` makes
    /// of ndarray's error.
    #[error("an array cannot have this shape: {}", shape_error(.0))]
    Array(ShapeError),
    /// Another error of the program that uses bilro: what `?` makes of errors
    /// that are not bilro's, and what [`Error::other`] makes of any.
    #[error(transparent)]
    Other(Box<dyn StdError + Send + Sync>),
}

impl Error {
    /// An error of the program, or a text, as an error of bilro: for functions
    /// and callbacks that return [`Result`].
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

/// As `Display`, for `main`, `unwrap` and `expect` print errors by this; and
/// the causes of an error that has some.
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

/// What ndarray found, in words that say what of an array they are about.
fn shape_error(error: &ShapeError) -> String {
    match error.kind() {
        ErrorKind::IncompatibleShape => {
            "it does not fit the number of elements, or another array".into()
        }
        ErrorKind::OutOfBounds => "there are not enough elements".into(),
        _ => {
            let text = error.to_string();
            // The names of its types are before them.
            text.split_once(": ").map_or(text.as_str(), |(_, words)| words).into()
        }
    }
}

impl From<ShapeError> for Error {
    fn from(error: ShapeError) -> Error {
        Error::Array(error)
    }
}

/// An error of bilro in a box is that error again.
impl From<Box<dyn StdError + Send + Sync>> for Error {
    fn from(error: Box<dyn StdError + Send + Sync>) -> Error {
        error.downcast::<Error>().map_or_else(Error::Other, |error| *error)
    }
}

/// An error of bilro in a box is that error again. Any other need not be one
/// that may go from thread to thread, so its text is taken, with those of its
/// sources.
impl From<Box<dyn StdError>> for Error {
    fn from(error: Box<dyn StdError>) -> Error {
        let error = match error.downcast::<Error>() {
            Ok(error) => return *error,
            Err(error) => error,
        };
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            let words = error.to_string();
            // Many errors say their sources' words themselves.
            if !text.contains(&words) {
                text = format!("{text}: {words}");
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
    fn what_main_and_unwrap_print_is_the_text_for_readers() {
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

    fn passed<E>(error: E) -> Error
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
    fn question_marks_take_what_small_programs_meet() {
        let missing = std::fs::read("no/such/file").unwrap_err();
        let text = missing.to_string();
        let error = passed(missing);
        assert!(matches!(&error, Error::Io(e) if e.kind() == io::ErrorKind::NotFound));
        assert_eq!(error.to_string(), text);

        let shape = ndarray::Array2::from_shape_vec((2, 3), vec![0.0; 5]).unwrap_err();
        let kind = shape.kind();
        let error = passed(shape);
        assert!(matches!(&error, Error::Array(e) if e.kind() == kind));
        let text = "an array cannot have this shape: there are not enough elements";
        assert_eq!(error.to_string(), text);
        let layout = ShapeError::from_kind(ErrorKind::Overflow);
        let text = "an array cannot have this shape: arithmetic overflow";
        assert_eq!(passed(layout).to_string(), text);

        for (error, text) in [
            (passed("x".parse::<f32>().unwrap_err()), "invalid float literal"),
            (passed("x".parse::<usize>().unwrap_err()), "invalid digit found in string"),
            (passed("a text"), "a text"),
            (passed(String::from("a text")), "a text"),
            (passed(Box::<dyn StdError>::from("a text")), "a text"),
            (passed(Box::<dyn StdError + Send + Sync>::from("a text")), "a text"),
            (Error::other("a text"), "a text"),
            (Error::other(fmt::Error), &fmt::Error.to_string()),
        ] {
            assert!(matches!(error, Error::Other(_)));
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn an_error_in_a_box_is_that_error_again() {
        let empty = || Error::Empty { what: "the batch".into() };
        let there = |error| matches!(error, Error::Empty { .. });
        assert!(there(passed(Box::<dyn StdError>::from(empty()))));
        assert!(there(passed(Box::<dyn StdError + Send + Sync>::from(empty()))));
        assert!(there(Error::other(empty())));
    }

    /// An error that has its source beside its text, not in it.
    #[derive(Debug, thiserror::Error)]
    #[error("the settings cannot be read")]
    struct Outer(#[source] num::ParseIntError);

    #[test]
    fn chains_say_everything_once() {
        let outer = || Outer("x".parse::<usize>().unwrap_err());
        let inner = outer().0.to_string();
        let error = Error::from(Box::<dyn StdError>::from(outer()));
        assert_eq!(error.to_string(), format!("the settings cannot be read: {inner}"));
        // Of one that may go from thread to thread, the chain is kept.
        for error in [Error::other(outer()), passed(io::Error::other(outer()))] {
            assert_eq!(error.to_string(), "the settings cannot be read");
            assert_eq!(error.source().unwrap().to_string(), inner);
            assert_eq!(format!("{error:?}"), format!("{error}\ncaused by: {inner}"));
        }
        // No chain repeats what the text has.
        for error in [weights(), passed(io::Error::other("full")), Error::from("a text")] {
            assert!(error.source().is_none(), "{error}");
        }
    }

    #[test]
    fn errors_go_from_thread_to_thread() {
        fn check<E: StdError + Send + Sync + 'static>() {}
        check::<Error>();
        check::<bilro_compiler::error::Error>();
    }
}
