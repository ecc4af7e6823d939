//! Loom's replacements of the standard library's threads and shared memory.

use std::cell::{Cell, RefCell};
use std::io;
use std::sync::LockResult;

use loom::sync::MutexGuard;

pub(crate) use loom::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence,
};
pub(crate) use loom::sync::{Arc, Mutex};
pub(crate) use std::sync::TryLockError;

pub(crate) use crate::cache_line::CacheLine;
use crate::pool::Fault;

/// Few: each thread is several objects of loom.
pub(crate) const MAX_THREADS: usize = 4;

/// Whether a fault is injected.
pub(crate) fn is(fault: Fault) -> bool {
    FAULT.get() == Some(fault)
}

thread_local! {
    /// All threads of an execution are one thread of the system.
    pub(crate) static FAULT: Cell<Option<Fault>> = const { Cell::new(None) };
    /// How often a thread without work spins before it sleeps.
    pub(crate) static SPINS: Cell<u32> = const { Cell::new(0) };
    /// All conditions of an execution.
    static CONDITIONS: RefCell<Vec<std::sync::Arc<loom::sync::Condvar>>> =
        const { RefCell::new(Vec::new()) };
}

/// Forgets the conditions of the execution before.
pub(crate) fn begin() {
    CONDITIONS.take();
}

/// Ends all waits for conditions without a reason, as the system may at any time.
pub(crate) fn wake_spuriously() {
    for condition in CONDITIONS.with_borrow(Clone::clone) {
        condition.notify_all();
    }
}

/// Whether a thread has nothing to do.
pub(crate) struct Idle;

impl Idle {
    pub fn new() -> Idle {
        Idle
    }

    pub fn spin(&mut self, spins: u32) -> bool {
        let continues = spins <= SPINS.get();
        if continues {
            loom::hint::spin_loop();
        }
        continues
    }
}

/// A condition, known to [`wake_spuriously`].
pub(crate) struct Condvar(std::sync::Arc<loom::sync::Condvar>);

impl Condvar {
    pub fn new() -> Condvar {
        let condition = std::sync::Arc::new(loom::sync::Condvar::new());
        CONDITIONS.with_borrow_mut(|all| all.push(condition.clone()));
        Condvar(condition)
    }

    pub fn wait<'m, T>(&self, guard: MutexGuard<'m, T>) -> LockResult<MutexGuard<'m, T>> {
        self.0.wait(guard)
    }

    pub fn notify_one(&self) {
        self.0.notify_one();
    }
}

/// Starts a thread, which may begin at any later moment.
pub(crate) fn start(_: String, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    loom::thread::spawn(run);
    Ok(())
}
