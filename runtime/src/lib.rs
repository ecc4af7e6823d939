//! Neural networks declared in Rust, compiled to one native function.
//!
//! [`network!`] declares a network: a type that implements [`Network`], which
//! makes a [`Model`], to predict and evaluate with, or a [`Trainer`]:
//!
//! ```
//! use bilro::prelude::*;
//!
//! network! {
//!     /// Handwritten digits of 8×8 pixels.
//!     pub struct Digits {
//!         input image: [64];
//!         target digit: class(10);
//!         output logits = image -> Linear(32) -> ReLU -> Linear(10);
//!         loss cross_entropy(logits, digit);
//!     }
//! }
//!
//! fn main() -> bilro::Result<()> {
//!     let (train, test) = data::digits()?.split(0.8, 7)?;
//!     let mut trainer = Digits::trainer(Sgd::new(0.1)).seed(7).build()?;
//!     trainer.fit(&train, Fit::epochs(10))?;
//!     let model = trainer.into_model();
//!     assert!(model.evaluate(&test)?.accuracy() > 0.8);
//!     let scores = model.predict(digits::Input { image: test.x() })?.logits;
//!     assert_eq!(scores.dim(), (359, 10));
//!     Ok(())
//! }
//! ```
//!
//! # In a project
//!
//! bilro is not on crates.io; `Cargo.toml` names its repository, or a copy of it by path:
//!
//! ```toml
//! [dependencies]
//! bilro = { git = "https://github.com/bilro/bilro", features = ["plot"] }
//! # bilro = { path = "../bilro/runtime", features = ["plot"] }
//! ```
//!
//! The program above needs no [feature](#features), and no other dependency: [`ndarray`] is
//! re-exported.
//!
//! # Where things are
//!
//! - [`network!`] has the statements and expressions of the language.
//! - [`Trainer`] trains: [`Trainer::fit`] over epochs, with options in [`Fit`], or
//!   [`Trainer::step`] batch by batch. Optimizers are [`Sgd`], [`Adam`], [`AdamW`] and more.
//!   [`Trainer::fit_with`] calls back after every epoch; a [`History`] records losses and
//!   metrics.
//! - [`schedule`] has learning-rate schedules.
//! - [`Model`] predicts, evaluates, returns gradients and parameters.
//!   [`Model::save`] writes them to a file, [`Model::load`] reads such a file,
//!   or PyTorch's; [`io`] does the same for any arrays. A model is printed as
//!   PyTorch prints a module, and [`Model::summary`] is a table.
//! - [`Model::verify`] compares compiled code with the interpreter, [`testing`] gradients with
//!   differences; [`ModelBuilder::detect_anomaly`] reports the origin of NaN.
//! - [`metrics`] has accuracies and confusion matrices of predictions.
//! - [`data`] has data sets: reads or generates examples, splits them, cuts them into batches; a
//!   [`data::Classification`] has a class for each, a [`data::Regression`] reals.
//! - [`tensor`] has functions of PyTorch's tensors that ndarray lacks: `std`, `argmax`, `softmax`.
//! - [`rng`] is PyTorch's generator: the same seed gives the same numbers.
//! - [`Error`] is the error of all functions. A `main` that returns [`Result`] prints it as text,
//!   and `?` also converts errors of files, numbers and arrays.
//! - [`DynModel`] and [`DynTrainer`] do all this for networks that are declared at run time with
//!   [`compiler`]'s builder instead of the macro, with arrays by name; [`engine`] runs networks,
//!   [`interpreter`] evaluates graphs.
//!
//! All arrays are [`ndarray`]'s, with examples along the first axis. Code is compiled
//! at first use, for each purpose and batch size, and cached up to a limit
//! ([`ModelBuilder::code_cache`]).
//!
//! # Environment
//!
//! | variable | meaning |
//! | --- | --- |
//! | `BILRO_BACKEND` | the backend, unless set by the program: `jit`, `interpreter` or `interpreter-f32` |
//! | `BILRO_THREADS` | the number of threads, unless set by the program |
//! | `BILRO_ISA` | the instruction set to compile for, of those that the processor has; default the widest |
//! | `BILRO_SANITIZE` | 1: machine code checks every access to memory, unless set by the program; see [`ModelBuilder::sanitize`] |
//! | `BILRO_DUMP` | stages to write for each compilation, separated by commas: `graph`, `kernels`, `programs`, `clif`, `asm`, `dot` |
//! | `BILRO_DUMP_DIR` | the folder to write them to; default `bilro-dump` |
//!
//! # Features
//!
//! - `ctrl-c`: `Fit::stop_on_ctrl_c`: Ctrl-C, and SIGTERM on Unix, ends training instead of the program.
//! - `progress`: a progress bar in a terminal, with [`Fit::progress`].
//! - `npy`: arrays in numpy's files, in the module [`io`], and `data::npy`.
//! - `plot`: pictures as SVG, PNG and text: the module `plot`.
extern crate self as bilro;

pub mod data;
mod declare;
mod error;
pub mod io;
mod memory;
pub mod metrics;
mod model;
#[cfg(feature = "plot")]
pub mod plot;
#[doc(hidden)]
pub mod private;
pub mod rng;
mod run;
pub mod schedule;
pub mod statistics;
pub mod testing;
mod train;

pub use bilro_compiler as compiler;
pub use bilro_compiler::optim::Optimizer;
pub use bilro_compiler::optim::{
    adadelta::Adadelta, adagrad::Adagrad, adam::Adam, adamw::AdamW, lion::Lion, nadam::NAdam,
    radam::RAdam, rmsprop::RMSprop, sgd::Sgd,
};
pub use error::{
    AccessFault, Anomaly, Check, CheckpointMismatch, Compared, Difference, Disagreement, Error,
    InvalidAccess, OperandRange, Origin, Result, Verification, WeightsMismatch,
};
pub use model::dynamic::{DynArrays, DynBatch, DynGradients, DynModel, DynTrainer, Dynamic};
pub use model::network::{self, Classifier, FitsData, FromExamples, Learns, Network, Trainable};
pub use model::{
    Evaluation, Gradients, Model, ModelBuilder, NoTrainer, Resumed, Trainer, TrainerBuilder,
};
pub use ndarray;
pub use run::{Backend, engine, interpreter};
pub use statistics as tensor;
pub use train::{CallbackResult, Epoch, EpochReport, Every, Fit, History, Stop, Validation};

/// The items that most programs need.
pub mod prelude {
    #[cfg(feature = "plot")]
    pub use crate::plot;
    pub use crate::{Adadelta, Adagrad, Adam, AdamW, Lion, NAdam, RAdam, RMSprop, Sgd};
    pub use crate::{
        Backend, Epoch, Every, Fit, Model, Network, Stop, Trainable, Trainer, Validation, data,
        network,
    };
}

/// The programs in the documents compile and run.
#[cfg(doctest)]
mod documents {
    // One of its programs draws a picture.
    #[cfg(feature = "plot")]
    #[doc = include_str!("../../README.md")]
    struct Readme;

    #[doc = include_str!("../../docs/language.md")]
    struct Language;

    #[doc = include_str!("../../docs/training.md")]
    struct Training;

    #[doc = include_str!("../../docs/serving.md")]
    struct Serving;

    #[doc = include_str!("../../docs/verification.md")]
    struct Verification;

    #[doc = include_str!("../../docs/from-pytorch.md")]
    struct FromPytorch;
}
