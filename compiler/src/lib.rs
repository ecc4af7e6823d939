//! The compiler of bilro: graph in, machine code out. It knows no data set and
//! no file.
//!
//! A tour, in the order in which a network goes through:
//!
//! 1. [`network`]: a network is declared call by call; [`ops`] and [`layers`]
//!    are what can be called, [`shape`] says what fits. `network!` drives the
//!    same builder while it expands, which is how mistakes get their token.
//! 2. [`graph`]: the forward graph; [`autodiff`] adds its gradient as nodes,
//!    [`optim`] the update of every parameter.
//! 3. [`simplify`]: composite operations become primitive ones; rewrites.
//! 4. [`fuse`](mod@fuse): nodes that go together become [`kernel`]s over [`tensor`]s.
//! 5. [`plan`](mod@plan): where every tensor lies.
//! 6. [`lower`](mod@lower): kernels become programs for an instruction set: loops
//!    and vector instructions, as data.
//! 7. [`schedule`](mod@schedule): what several threads share, and where they meet.
//! 8. [`codegen`]: programs become machine code.
//!
//! [`pipeline`] runs 2 to 7, and is the list of passes. After each, in debug
//! builds and where asked, a verifier checks what that stage guarantees.
//!
//! The interpreter of the runtime evaluates the graph of step 2 by [`eval`],
//! and shares nothing with 3 to 8.

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
pub mod shape;
pub mod simplify;
pub mod target;
#[cfg(any(test, feature = "eval"))]
mod text;
