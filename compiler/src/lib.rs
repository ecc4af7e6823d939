//! The compiler of bilro.
pub mod autodiff;
#[cfg(feature = "codegen")]
pub mod codegen;
pub mod error;
#[cfg(feature = "eval")]
pub mod eval;
pub mod fuse;
pub mod graph;
pub mod kernel;
pub mod layers;
pub mod network;
pub mod ops;
pub mod optim;
pub mod plan;
pub mod shape;
pub mod simplify;
pub mod tensor;
