//! Code generation: programs become machine code.
//!
//! Takes an [`Artifact`](crate::artifact::Artifact); produces an
//! [`Executable`](module::Executable) that runs its programs in order.
//!
//! - `pointers`: induction pointers, which loops increment instead of multiplying.
//! - `liveness`: live ranges of registers.
//! - [`clif`]: emits a program as Cranelift IR.
//! - `x86`: emits a program as x86-64 code with 256-bit or 512-bit vectors.
//! - [`module`]: links functions into executable memory.
//! - [`sanitized`]: calls of code that checks its accesses, in guarded memory.
//!
//! The `unsafe` code is in the last two.

pub mod clif;
mod liveness;
pub mod module;
mod pointers;
pub mod sanitized;
#[cfg(test)]
pub(crate) mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;
