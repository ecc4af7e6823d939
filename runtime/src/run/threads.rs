//! The thread pool: work sharing by phases, with atomic claims of shares.
//!
//! A step is a list of phases, and a phase is a number of shares. All threads
//! read one word that has the open phase; a thread claims a share of it, the one
//! of its own number first, and runs it. The thread that finishes the last share
//! opens the next phase. So no thread waits for one that has not started: the
//! other threads run its share, and a step on a busy machine takes at worst about
//! as long as on one thread. Results do not depend on which thread runs a share.
//!
//! Idle threads spin for some microseconds, then they sleep until a phase is
//! opened that has a share for them.
//!
//! The pool serves one step at a time. A caller that finds it busy, because
//! another thread of the program is training too, runs its step alone; so does
//! one for which that has been measured to be faster ([`Pace`]).

mod pace;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use bilro_compiler::codegen::module::Executable;
use bilro_compiler::phases::Phase;

use crate::memory::CacheLine;

pub(crate) use pace::Pace;

/// The maximum number of threads in a step.
const MAX_THREADS: usize = 64;

/// How long an idle thread spins before it sleeps.
const SPIN_TIME: Duration = Duration::from_micros(50);

static POOL: Pool = Pool::new();

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
    if !pace.shares() || !POOL.run(&Kernels { executable, phases, table }, threads) {
        // SAFETY: guaranteed by the caller.
        unsafe { executable.run(table) }
    }
    pace.record(started.elapsed().as_secs_f64());
}

/// The work of a step.
trait Work: Sync {
    /// The number of phases, which run one after the other.
    fn phases(&self) -> usize;
    /// The number of shares that a phase is split into for a number of threads: at
    /// least one, at most one per thread.
    fn shares(&self, phase: usize, threads: usize) -> usize;
    /// Runs a share of a phase. Each share runs once, after all earlier phases, whose
    /// writes are visible.
    fn run(&self, phase: usize, share: usize, shares: usize);
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

/// A running step; stored on its caller's stack.
struct Step<'a> {
    work: &'a dyn Work,
    threads: usize,
    /// The number of its first phase.
    first: u64,
    failed: AtomicBool,
    /// The payload of the first panic.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

impl Step<'_> {
    /// Runs a share. After a panic, shares are no longer run, but still counted as
    /// finished.
    fn run(&self, phase: u64, share: usize, shares: usize) {
        if self.failed.load(Ordering::Relaxed) {
            return;
        }
        let phase = (phase - self.first) as usize;
        let work = AssertUnwindSafe(|| self.work.run(phase, share, shares));
        if let Err(panic) = catch_unwind(work) {
            self.failed.store(true, Ordering::Relaxed);
            self.panic.lock().unwrap_or_else(|e| e.into_inner()).get_or_insert(panic);
        }
    }

    /// The open word after a number of finished phases of the step.
    fn after(&self, phases: usize) -> Open {
        let end = phases == self.work.phases();
        let shares = if end { 0 } else { self.work.shares(phases, self.threads) };
        debug_assert!(end || (1..=self.threads).contains(&shares));
        Open { phase: self.first + phases as u64, threads: self.threads, shares }
    }
}

/// The open phase, packed into one word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Open {
    /// The phase's number, counted over all steps.
    phase: u64,
    /// Threads of the step: the caller and the first workers.
    threads: usize,
    /// Shares of the phase; 0 between steps.
    shares: usize,
}

impl Open {
    fn pack(self) -> u64 {
        self.phase << 16 | (self.threads as u64) << 8 | self.shares as u64
    }

    fn unpack(word: u64) -> Open {
        let byte = |shift: u32| (word >> shift & 0xFF) as usize;
        Open { phase: word >> 16, threads: byte(8), shares: byte(0) }
    }
}

/// A thread's slot in the pool; the first is the caller's.
struct Slot {
    /// The last phase of which the share with the slot's number was claimed.
    claimed: AtomicU64,
    lock: Mutex<()>,
    wake: Condvar,
}

struct Pool {
    /// The number of workers. The thread that holds the lock may run a step.
    workers: Mutex<usize>,
    /// An [`Open`]. Written only by the thread that has finished a phase's last share,
    /// and between steps by the one that holds the lock.
    open: CacheLine<AtomicU64>,
    /// The number of finished shares of the open phase.
    finished: CacheLine<AtomicUsize>,
    /// The running step. Valid only for a thread that has claimed a share: the step
    /// lives until all shares are finished.
    step: CacheLine<AtomicPtr<Step<'static>>>,
    /// The threads that sleep or are about to: one bit per slot.
    asleep: CacheLine<AtomicU64>,
    slots: [CacheLine<Slot>; MAX_THREADS],
}

impl Pool {
    const fn new() -> Pool {
        let open = 1 << 16; // Phase 1, which no slot has claimed; no share yet.
        Pool {
            workers: Mutex::new(0),
            open: CacheLine(AtomicU64::new(open)),
            finished: CacheLine(AtomicUsize::new(0)),
            step: CacheLine(AtomicPtr::new(null_mut())),
            asleep: CacheLine(AtomicU64::new(0)),
            slots: [const {
                let claimed = AtomicU64::new(0);
                CacheLine(Slot { claimed, lock: Mutex::new(()), wake: Condvar::new() })
            }; MAX_THREADS],
        }
    }

    /// Runs all phases on up to `threads` threads, the calling one included. If the
    /// pool is busy, or no second thread can be started, it does nothing and returns
    /// `false`.
    ///
    /// # Panics
    /// If `work` panics on any thread, as soon as no thread uses it.
    fn run(&'static self, work: &dyn Work, threads: usize) -> bool {
        let mut workers = match self.workers.try_lock() {
            Ok(workers) => workers,
            // By a panic of `work`; the pool's state is consistent.
            Err(TryLockError::Poisoned(workers)) => workers.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        let threads = threads.min(MAX_THREADS);
        self.grow(&mut workers, threads - 1);
        let threads = threads.min(*workers + 1);
        if threads < 2 || work.phases() == 0 {
            return false;
        }

        let first = Open::unpack(self.open.0.load(Ordering::Relaxed)).phase;
        let (failed, panic) = (AtomicBool::new(false), Mutex::new(None));
        let step = Step { work, threads, first, failed, panic };
        self.step.0.store((&raw const step).cast_mut().cast(), Ordering::Relaxed);
        let mut open = step.after(0);
        self.open(open);
        let end = step.after(work.phases());
        while open != end {
            self.help(0, open);
            open = self.wait(0, open, &mut None);
        }
        // All shares are finished: no thread uses the step any more.
        if let Some(panic) = step.panic.into_inner().unwrap_or_else(|e| e.into_inner()) {
            resume_unwind(panic);
        }
        true
    }

    /// Starts threads until `requested` workers are running, or no more can be started.
    fn grow(&'static self, workers: &mut usize, requested: usize) {
        while *workers < requested {
            let slot = *workers + 1;
            let builder = thread::Builder::new().name(format!("bilro-{slot}"));
            let started = Arc::new(Barrier::new(2));
            let barrier = started.clone();
            let worker = move || {
                barrier.wait();
                drop(barrier);
                self.serve(slot);
            };
            if builder.spawn(worker).is_err() {
                return;
            }
            // A thread allocates when it starts: waiting for that here keeps later
            // steps free of allocations.
            started.wait();
            *workers = slot;
        }
    }

    /// The loop of a worker.
    fn serve(&self, slot: usize) {
        let mut idle = None;
        let mut open = Open::unpack(self.open.0.load(Ordering::Acquire));
        loop {
            if slot < open.threads && self.help(slot, open) {
                idle = None;
            }
            open = self.wait(slot, open, &mut idle);
        }
    }

    /// Runs the unclaimed shares of a phase, the slot's own share first; returns whether
    /// there was any.
    fn help(&self, slot: usize, open: Open) -> bool {
        let Open { phase, shares, .. } = open;
        let mut helped = false;
        for share in (slot..slot + shares).map(|share| share % shares) {
            if !self.claim(phase, share) {
                continue;
            }
            // SAFETY: a share of the phase has been claimed and is not finished,
            // so that the phase's step is running, and alive. It was stored before
            // the phase was opened, and reading `open` synchronizes with that.
            let step = unsafe { &*self.step.0.load(Ordering::Relaxed) };
            step.run(phase, share, shares);
            helped = true;
            if self.finished.0.fetch_add(1, Ordering::AcqRel) + 1 == shares {
                self.finished.0.store(0, Ordering::Relaxed);
                // After this the step may have ended.
                self.open(step.after((phase + 1 - step.first) as usize));
            }
        }
        helped
    }

    /// Claims a share of a phase that is or was open. If it is no longer open, all its
    /// shares have been claimed, and the claim fails.
    fn claim(&self, phase: u64, share: usize) -> bool {
        let claimed = &self.slots[share].0.claimed;
        let last = claimed.load(Ordering::Relaxed);
        let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
        last < phase && claimed.compare_exchange(last, phase, success, failure).is_ok()
    }

    /// Opens a phase, or ends the step, and wakes the threads concerned.
    fn open(&self, open: Open) {
        // Stored before `asleep` is read: see `sleep`.
        self.open.0.store(open.pack(), Ordering::SeqCst);
        let concerned: u64 = match open.shares {
            // The caller waits for the end of the step.
            0 => 1,
            // The thread that opens the phase runs it.
            1 => return,
            _ => u64::MAX >> (MAX_THREADS - open.threads),
        };
        let mut asleep = self.asleep.0.load(Ordering::SeqCst) & concerned;
        while asleep != 0 {
            let slot = asleep.trailing_zeros();
            asleep &= asleep - 1;
            // So that no other thread wakes it too.
            self.asleep.0.fetch_and(!(1 << slot), Ordering::SeqCst);
            let CacheLine(Slot { lock, wake, .. }) = &self.slots[slot as usize];
            // With the lock free, the thread waits, or has not read `open` yet.
            drop(lock.lock().unwrap_or_else(|e| e.into_inner()));
            wake.notify_one();
        }
    }

    /// Waits until the open word differs from `before`, and returns it. Spins first, and
    /// sleeps if there has been nothing to do since `idle` for too long.
    fn wait(&self, slot: usize, before: Open, idle: &mut Option<Instant>) -> Open {
        let before = before.pack();
        for spins in 1u32.. {
            let open = self.open.0.load(Ordering::Acquire);
            if open != before {
                return Open::unpack(open);
            }
            std::hint::spin_loop();
            // Reading the clock takes longer than reading the word.
            if spins % 16 == 0 && idle.get_or_insert_with(Instant::now).elapsed() > SPIN_TIME {
                break;
            }
        }
        self.sleep(slot, before)
    }

    fn sleep(&self, slot: usize, before: u64) -> Open {
        let CacheLine(Slot { lock, wake, .. }) = &self.slots[slot];
        let mut guard = lock.lock().unwrap_or_else(|e| e.into_inner());
        let open = loop {
            // Either the thread that opens another phase sees this bit, or this
            // thread sees the phase. In the first case it notifies after taking
            // the lock, which is free only while this thread waits.
            self.asleep.0.fetch_or(1 << slot, Ordering::SeqCst);
            let open = self.open.0.load(Ordering::SeqCst);
            if open != before {
                break open;
            }
            guard = wake.wait(guard).unwrap_or_else(|e| e.into_inner());
        };
        self.asleep.0.fetch_and(!(1 << slot), Ordering::SeqCst);
        Open::unpack(open)
    }
}
