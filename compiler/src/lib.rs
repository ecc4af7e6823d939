//! The compiler of bilro.
