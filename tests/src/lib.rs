//! Shared code of the tests: samples of every operation, comparison of machine
//! code with the interpreter, random networks, and golden values.

pub mod chains;
pub mod check;
pub mod goldens;
pub mod neighbours;
pub mod networks;
pub mod soak;
pub mod trainings;
