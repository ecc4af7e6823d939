//! What the tests share: samples of every operation, machine code and
//! interpreter side by side, and the golden values.

pub mod check;
pub mod goldens;
