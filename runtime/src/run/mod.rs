//! How a declared network runs: the engine, which checks arrays and runs machine code or the
//! interpreter on them.
//!
//! Takes a declaration of the compiler and arrays; gives the arrays, the loss and the metrics
//! that a purpose asks for. Knows nothing of models, data sets or files.

mod dump;
pub mod engine;
mod feed;
pub mod interpreter;
pub(crate) mod parameters;
pub(crate) mod settings;
mod threads;

pub use feed::Feed;
pub use settings::Backend;
