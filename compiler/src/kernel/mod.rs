pub mod expr;
mod functions;
pub mod scalar;
pub mod program;
