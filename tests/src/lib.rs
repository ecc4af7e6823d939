//! Shared code of the tests: samples of every operation, comparison of machine
//! code with the interpreter, random networks, golden values, and fuzz targets.

pub mod check;
pub mod counting;
pub mod fuzz;
pub mod goldens;
pub mod inputs;
pub mod neighbours;
pub mod soak;
pub mod trainings;
