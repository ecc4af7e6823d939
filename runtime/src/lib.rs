//! bilro: neural networks declared in Rust, compiled to one native function.
extern crate self as bilro;

pub mod data;
mod error;
pub mod network;
#[doc(hidden)]
pub mod private;
pub mod rng;

pub use bilro_compiler as compiler;
pub use bilro_macros::network;
pub use error::{Error, Result};
pub use ndarray;
pub use network::{Classifier, FromExamples, Network};
