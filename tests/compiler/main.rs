//! Tests of the compiler across its stages: one program with a module per subject, since every test
//! program takes seconds to link.

// Public, so that `missing_docs` checks the output of `network!`.
pub mod conformance;
pub mod equality;
pub mod fusion;
pub mod products;
pub mod sanitizer;
pub mod soak;
pub mod verification;
