//! The compiler of bilro: graph in, machine code out. It has no access to data sets
//! or files.
//!
//! The pipeline, in order:
//!
//! 1. [`declaration`]: a network is declared call by call. [`ops`] and [`layers`]
//!    define the callable functions, [`shape`] checks the shapes. `network!` drives the
//!    same builder while it expands, so that mistakes point at a token.
//! 2. [`purpose`]: the [`graph`] of the requested roots; [`autodiff`] adds the gradient as nodes,
//!    [`optim`] the update of every parameter.
//! 3. [`simplify`]: decomposes composite operations into primitive ones; rewrites.
//! 4. [`fuse`](mod@fuse): groups of nodes become [`kernel`]s over [`buffer`]s, with
//!    formulas ([`expr`]) for each element.
//! 5. [`plan`](mod@plan): memory planning, an offset for every buffer.
//! 6. [`lower`](mod@lower): kernels become [`program`]s for a [`target`]: loops and vector
//!    instructions, as data.
//! 7. [`phases`]: which kernels run on several threads, and the barriers between them.
//! 8. [`artifact`]: the programs with the interface for calling them.
//! 9. [`codegen`]: programs become machine code.
//!
//! [`pipeline`] runs 3 to 8, and is the list of passes. After each, in debug
//! builds and on request, a verifier checks the guarantees of that pass.
//!
//! The interpreter of the runtime evaluates the graph of step 2 by [`eval`],
//! and shares nothing with 3 to 9.

#[cfg(feature = "codegen")]
pub mod artifact;
pub mod autodiff;
pub mod buffer;
#[cfg(feature = "codegen")]
pub mod codegen;
pub mod declaration;
pub mod error;
#[cfg(feature = "eval")]
pub mod eval;
pub mod expr;
#[doc(hidden)]
pub mod faults;
pub mod fuse;
pub mod graph;
pub mod kernel;
pub mod layers;
#[cfg(feature = "codegen")]
pub mod lower;
pub mod ops;
pub mod optim;
#[cfg(feature = "codegen")]
pub mod partial_sums;
#[cfg(all(test, feature = "codegen"))]
mod pass_tests;
#[cfg(feature = "codegen")]
pub mod phases;
#[cfg(feature = "codegen")]
pub mod pipeline;
pub mod plan;
pub mod program;
pub mod purpose;
mod pytorch;
#[cfg(feature = "codegen")]
pub mod sanitize;
pub mod shape;
pub mod simplify;
pub mod target;
#[cfg(any(test, feature = "eval"))]
mod text;
