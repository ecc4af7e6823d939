pub mod evaluate;
pub mod expr;
mod functions;
pub mod program;
pub mod scalar;
pub mod verify;
