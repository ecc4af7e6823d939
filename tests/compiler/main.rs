//! The compiler across its stages: one program with a module for each subject, since every program
//! of tests takes seconds to link.

// Public, so that `missing_docs` looks at what `network!` writes.
pub mod conformance;
pub mod differential;
pub mod equality;
pub mod fusion;
pub mod products;
pub mod verification;
