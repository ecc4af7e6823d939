//! Programs to machine code. Nothing above this module knows how.
//!
//! Takes programs and the places of their tensors; produces an
//! [`Executable`](module::Executable) that runs them in order.
//!
//! - [`isa`]: what programs are lowered for.
//! - `pointers`, `liveness`: what an emitter wants to know of a program.
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
