//! Threads and shared memory as the [pool](super::pool) uses them: those of the standard library.
//! `tests/pool` has replacements of loom's.

use std::io;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

pub(super) use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence,
};
pub(super) use std::sync::{Arc, Condvar, Mutex, TryLockError};

use super::pool::Fault;
pub(super) use crate::memory::CacheLine;

/// Whether a fault is injected: not here.
#[inline(always)]
pub(super) const fn is(_: Fault) -> bool {
    false
}

/// The maximum number of threads in a step.
pub(super) const MAX_THREADS: usize = 64;

/// How long an idle thread spins before it sleeps.
pub(super) const SPIN_TIME: Duration = Duration::from_micros(50);

/// The time that a thread has had nothing to do.
pub(super) struct Idle(Option<Instant>);

impl Idle {
    /// None yet.
    pub fn new() -> Idle {
        Idle(None)
    }

    /// Spins for the `spins`th time; whether to continue.
    #[inline]
    pub fn spin(&mut self, spins: u32) -> bool {
        std::hint::spin_loop();
        // Reading the clock takes longer than reading the word.
        !spins.is_multiple_of(16) || self.0.get_or_insert_with(Instant::now).elapsed() <= SPIN_TIME
    }
}

/// Starts a thread.
///
/// # Errors
/// If the system starts no more.
pub(super) fn start(name: String, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let started = Arc::new(Barrier::new(2));
    let barrier = started.clone();
    thread::Builder::new().name(name).spawn(move || {
        barrier.wait();
        drop(barrier);
        run();
    })?;
    // A thread allocates when it starts: waiting for that here keeps later steps free of
    // allocations.
    started.wait();
    Ok(())
}
