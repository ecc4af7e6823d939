//! How a declared network runs: the engine, which checks arrays and runs machine code or the
//! interpreter on them.
//!
//! Takes a declaration of the compiler and arrays; returns the arrays, the loss and the metrics
//! that a purpose computes. Depends on no model, data set or file.

pub(crate) mod config;
mod dump;
pub mod engine;
mod feed;
pub mod interpreter;
mod parameters;
mod threads;

pub use config::Backend;
pub use feed::Feed;
