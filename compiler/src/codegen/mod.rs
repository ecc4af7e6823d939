//! Code generation: programs become machine code. Nothing above this module knows how.
//!
//! Takes an [`Artifact`](crate::artifact::Artifact); produces an
//! [`Executable`](module::Executable) that runs its programs in order.
//!
//! - `pointers`: induction pointers, which loops move instead of multiplying.
//! - `liveness`: live ranges of registers.
//! - [`clif`]: a program as a function in Cranelift's language.
//! - `x86`: a program as x86-64's wider instructions.
//! - [`module`]: functions to memory that can be run; the only `unsafe` here.

pub mod clif;
mod liveness;
pub mod module;
mod pointers;
#[cfg(test)]
pub(crate) mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;
