//! bilro: neural networks declared in Rust, compiled to one native function.
extern crate self as bilro;

mod buffer;
pub mod data;
mod dump;
pub mod engine;
mod error;
mod fit;
pub mod interpreter;
mod model;
pub mod network;
mod parameters;
#[doc(hidden)]
pub mod private;
mod progress;
pub mod rng;
mod settings;
mod summary;
mod threads;
mod trainer;

pub use bilro_compiler as compiler;
pub use bilro_compiler::optim::sgd::Sgd;
pub use bilro_macros::network;
pub use error::{Error, Result};
pub use fit::{Epoch, Fit, History, Validation};
pub use model::{Evaluation, Gradients, Model, ModelBuilder};
pub use ndarray;
pub use network::{Classifier, FromExamples, Network};
pub use settings::Backend;
pub use trainer::{Trainer, TrainerBuilder};

/// What most programs need.
pub mod prelude {
    pub use crate::{Backend, Fit, Model, Network, Sgd, Trainer, data, network};
}
