//! bilro: neural networks declared in Rust, compiled to one native function.
pub mod data;
mod error;
pub mod rng;

pub use error::{Error, Result};
