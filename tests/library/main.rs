//! Tests of the library through its public interface: one program with a module per subject, since
//! every test program takes seconds to link.
//!
//! A test that needs a process of its own (an environment variable, a signal, standard output) runs
//! this program again with the name of one test.

// Public, so that `missing_docs` checks the output of `network!`.
pub mod activations;
pub mod api;
pub mod checkpoints;
pub mod conditions;
pub mod documents;
pub mod drawn;
pub mod elementwise;
pub mod embedding;
pub mod errors;
pub mod expansion;
pub mod fit;
pub mod fuzzing;
pub mod goldens;
pub mod gradients;
pub mod interop;
pub mod language;
pub mod modes;
pub mod optimizers;
pub mod pieces;
pub mod rng;
pub mod sanitizer;
pub mod saving;
pub mod schedules;
pub mod selections;
pub mod threads;
pub mod tidy;
pub mod trainer;
pub mod training;
pub mod verification;
