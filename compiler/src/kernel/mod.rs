pub mod evaluate;
pub mod expr;
mod functions;
pub mod scalar;
pub mod verify;
pub mod program;
