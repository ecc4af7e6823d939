//! The library as users hold it: one program with a module for each subject, since every program
//! of tests takes seconds to link.
//!
//! What needs a process of its own (a variable of the environment, a signal, standard output) starts
//! this program again with the name of one test.

// Public, so that `missing_docs` looks at what `network!` writes.
pub mod activations;
pub mod api;
pub mod documents;
pub mod embedding;
pub mod errors;
pub mod fit;
pub mod goldens;
pub mod gradients;
pub mod interop;
pub mod language;
pub mod modes;
pub mod optimizers;
pub mod rng;
pub mod saving;
pub mod schedules;
pub mod tidy;
pub mod trainer;
pub mod training;
pub mod verification;
