//! Steps on several threads: the thread pool of the process, and executables as its work.
//!
//! The [pool] serves one step at a time. A caller that finds it busy, because another thread of the
//! program is training too, runs its step alone; so does one for which that has been measured to be
//! faster ([`Pace`]). Results do not depend on which thread runs a share.

mod pace;
mod pool;
mod sync;
#[cfg(test)]
mod tests;

use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::Instant;

use bilro_compiler::codegen::module::Executable;
use bilro_compiler::phases::Phase;

use pool::{Pool, Work};

pub(crate) use pace::Pace;

/// Runs an executable on up to `threads` threads, the calling one included, if that
/// is faster than on one.
///
/// # Safety
/// As [`Executable::run`]; other threads may access the memory until this
/// returns. The phases are the executable's.
pub(crate) unsafe fn run(
    executable: &Executable,
    phases: &[Phase],
    pace: &mut Pace,
    table: &[*mut u8],
    threads: usize,
) {
    if threads < 2 || phases.is_empty() {
        // SAFETY: guaranteed by the caller.
        return unsafe { executable.run(table) };
    }
    let started = Instant::now();
    let work = Kernels { executable, phases, table };
    if !pace.shares() || !pool().is_some_and(|pool| pool.run(&work, threads)) {
        // SAFETY: guaranteed by the caller.
        unsafe { executable.run(table) }
    }
    pace.record(started.elapsed().as_secs_f64());
}

/// The pool of the process; null before its first use, and in the child of a `fork`, which has
/// none of the threads. Pools are never freed.
static POOL: AtomicPtr<Pool> = AtomicPtr::new(null_mut());

/// The pool of the process; none if the system does not allow one.
fn pool() -> Option<&'static Pool> {
    // SAFETY: the pointer is null, or of a pool that is never freed.
    unsafe { POOL.load(Ordering::Acquire).as_ref() }.or_else(new_pool)
}

#[cold]
fn new_pool() -> Option<&'static Pool> {
    // Also if another thread does the same at this moment: the handler may run twice.
    #[cfg(unix)]
    // SAFETY: in a child of a process with threads the handler may store to an atomic, and does no
    // more.
    if unsafe { libc::pthread_atfork(None, None, Some(forget_pool)) } != 0 {
        return None;
    }
    let new = Box::leak(Box::new(Pool::new()));
    let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
    match POOL.compare_exchange(null_mut(), new, success, failure) {
        Ok(_) => Some(new),
        // Another thread was faster.
        Err(_) => pool(),
    }
}

/// Runs in the child of a `fork`. The pool's locks may be held by threads that do not exist there,
/// so that its memory, some KiB, is lost.
#[cfg(unix)]
extern "C" fn forget_pool() {
    POOL.store(null_mut(), Ordering::Release);
}

struct Kernels<'a> {
    executable: &'a Executable,
    phases: &'a [Phase],
    table: &'a [*mut u8],
}

// SAFETY: the caller of `run` in this module allows other threads to use the
// pointers; all other fields are `Sync`.
unsafe impl Sync for Kernels<'_> {}

impl Work for Kernels<'_> {
    fn phases(&self) -> usize {
        self.phases.len()
    }

    fn shares(&self, phase: usize, threads: usize) -> usize {
        self.phases[phase].shares(threads)
    }

    fn run(&self, phase: usize, share: usize, shares: usize) {
        // SAFETY: guaranteed by the caller of `run` in this module; the pool runs each
        // share once, and phases in order.
        unsafe { self.executable.run_share(&self.phases[phase], share, shares, self.table) }
    }
}
