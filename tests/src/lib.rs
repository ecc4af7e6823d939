//! What the tests share: samples of every operation, machine code and
//! interpreter side by side, random networks, and the golden values.

pub mod chains;
pub mod check;
pub mod goldens;
pub mod neighbours;
pub mod networks;
pub mod trainings;
