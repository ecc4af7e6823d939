//! What bilro does, to read and to run: each file beside this one is a program,
//! run by `cargo run --release --example NAME`.
