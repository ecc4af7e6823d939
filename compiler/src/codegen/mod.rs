//! Programs to machine code. Nothing above this module knows how.
//!
//! Takes programs and the places of their tensors; produces an
//! [`Executable`](module::Executable) that runs them in order.

pub mod isa;
