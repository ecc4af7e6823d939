//! The thread pool of the library, compiled without the rest of it: its tests run under Miri and
//! the thread sanitizer, and the test program `model` runs it under loom.

#![cfg(test)]

#[path = "../../runtime/src/memory/cache_line.rs"]
mod cache_line;

mod memory {
    pub(crate) use crate::cache_line::CacheLine;
}

#[path = "../../runtime/src/run/threads"]
mod threads {
    mod pool;
    mod sync;
    mod tests;
}
