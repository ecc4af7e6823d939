//! Random networks over every operation, layer, loss, optimizer, schedule, choice, block and
//! initialiser: drawn from a seed or from bytes, compared on every emitter and thread count with the
//! interpreter, and reduced to the text of a small network if they differ.

pub mod campaign;
pub mod choices;
pub mod coverage;
pub mod draw;
pub mod language;
pub mod machine;
pub mod reduce;
pub mod reference;
pub mod training;
pub mod trial;

pub use choices::Choices;
pub use draw::{Network, network};
