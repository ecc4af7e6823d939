//! bilro: neural networks declared in Rust, compiled to one native function.
extern crate self as bilro;

mod buffer;
pub mod data;
mod dump;
pub mod engine;
mod error;
pub mod interpreter;
mod model;
pub mod network;
mod parameters;
pub mod rng;
mod settings;
mod summary;
mod trainer;

pub use bilro_compiler as compiler;
pub use bilro_macros::network;
pub use error::{Error, Result};
pub use model::{Evaluation, Gradients, Model, ModelBuilder, NetworkExt};
pub use ndarray;
pub use network::{Classifier, FromExamples, Network};
pub use settings::Backend;
pub use trainer::{Trainer, TrainerBuilder};
