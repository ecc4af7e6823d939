//! Neural networks declared in Rust, compiled to one native function.
//!
//! [`network!`] declares a network. What it declares implements [`Network`],
//! which makes a [`Model`], to predict and evaluate with, or a [`Trainer`]:
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
//! The program above needs no [feature](#features), and no other dependency: [`ndarray`] comes along.
//!
//! # Where things are
//!
//! - [`network!`] has the statements and expressions of the language.
//! - [`Trainer`] trains: [`Trainer::fit`] over epochs, as [`Fit`] says, or
//!   [`Trainer::step`] batch by batch. [`Adam`], [`AdamW`], [`Sgd`] and their neighbours are the
//!   optimizers. [`Trainer::fit_with`] calls back after every epoch; a [`History`] says what
//!   happened.
//! - [`schedule`] has learning rates that change as training goes.
//! - [`Model`] predicts, evaluates, gives gradients and parameters.
//!   [`Model::save`] writes them to a file, [`Model::load`] reads such a file,
//!   or PyTorch's; [`io`] does so with any arrays. A model is printed as
//!   PyTorch prints a module, and [`Model::summary`] is a table.
//! - [`Model::verify`] compares compiled code with the interpreter, [`testing`] gradients with
//!   differences; [`ModelBuilder::detect_anomaly`] says where a NaN began.
//! - [`metrics`] has accuracies and confusion matrices of predictions.
//! - [`data`] holds examples, reads or draws them, splits them, cuts them into batches: a
//!   [`data::Classification`] has a class for each, a [`data::Regression`] reals.
//! - [`tensor`] has what arrays lack beside PyTorch's tensors: `std`, `argmax`, `softmax`.
//! - [`rng`] is PyTorch's generator: a seed means the same in both.
//! - [`Error`] is everything that can go wrong while networks are used. A `main` that returns
//!   [`Result`] prints it as text, and `?` takes errors of files, numbers and arrays besides.
//! - [`DynModel`] and [`DynTrainer`] do all this for networks that are declared at run time with
//!   [`compiler`]'s builder instead of the macro, with arrays by name; [`engine`] is what runs a
//!   network, [`interpreter`] computes its graph.
//!
//! Arrays go in and come out as [`ndarray`]'s, examples along the first axis.
//! Code is compiled at first use, for each purpose and batch size, and kept up to
//! a limit ([`ModelBuilder::code_cache`]).
//!
//! # Environment
//!
//! | variable | what it says |
//! | --- | --- |
//! | `BILRO_BACKEND` | what computes, unless the program chooses: `jit`, `interpreter` or `interpreter-f32` |
//! | `BILRO_THREADS` | how many threads compute, unless the program says |
//! | `BILRO_ISA` | the instruction set to make code for, of those that the processor has; the widest by default |
//! | `BILRO_DUMP` | stages to write for each compilation, with commas: `graph`, `kernels`, `programs`, `clif`, `asm`, `dot` |
//! | `BILRO_DUMP_DIR` | where to; `bilro-dump` by default |
//!
//! # Features
//!
//! - `ctrl-c`: `Fit::stop_on_ctrl_c`, by which Ctrl-C ends training and not the
//!   program.
//! - `progress`: a progress bar in a terminal, where [`Fit::progress`] asks.
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
    Anomaly, Check, Compared, Disagreement, Error, OperandRange, Origin, Result, Verification,
    WeightsMismatch,
};
pub use model::dynamic::{DynArrays, DynBatch, DynGradients, DynModel, DynTrainer, Dynamic};
pub use model::network::{self, Classifier, FitsData, FromExamples, Learns, Network, Trainable};
pub use model::{Evaluation, Gradients, Model, ModelBuilder, NoTrainer, Trainer, TrainerBuilder};
pub use ndarray;
pub use run::{Backend, engine, interpreter};
pub use statistics as tensor;
pub use train::{CallbackResult, Epoch, EpochReport, Fit, History, Stop, Validation};

/// What most programs need.
pub mod prelude {
    #[cfg(feature = "plot")]
    pub use crate::plot;
    pub use crate::{Adadelta, Adagrad, Adam, AdamW, Lion, NAdam, RAdam, RMSprop, Sgd};
    pub use crate::{
        Backend, Epoch, Fit, Model, Network, Stop, Trainable, Trainer, Validation, data, network,
    };
}

/// The programs in the documents compile and run.
#[cfg(doctest)]
mod documents {
    // It draws a picture.
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
