//! How a declared network runs: the engine, which checks arrays and runs machine code or the
//! interpreter on them.
//!
//! Takes a declaration of the compiler and arrays; gives the arrays, the loss and the metrics
//! that a purpose asks for. Knows nothing of models, data sets or files.

pub(crate) mod config;
mod dump;
pub mod engine;
mod feed;
pub mod interpreter;
mod parameters;
mod threads;

pub use config::Backend;
pub use feed::Feed;
