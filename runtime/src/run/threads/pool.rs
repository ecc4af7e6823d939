//! The pool's protocol: work sharing by phases, with atomic claims of shares.
//!
//! A step is a list of phases, and a phase is a number of shares. All threads read one word that
//! has the open phase; a thread claims a share of it, the one of its own number first, and runs it.
//! The thread that finishes the last share opens the next phase. So no thread waits for one that
//! has not started: the other threads run its share, and a step on a busy machine takes at worst
//! about as long as on one thread.
//!
//! Idle threads spin for some microseconds, then they sleep until a phase is opened that has a
//! share for them.
//!
//! This file uses threads and shared memory through `sync` only, and nothing of the compiler:
//! `tests/pool` compiles it against loom's replacements of `sync`, and runs it in every
//! interleaving up to a bound. There `sync` injects [`Fault`]s too, which the model must find.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::null_mut;

use super::sync::{
    Arc, AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, CacheLine, Condvar, Idle, MAX_THREADS,
    Mutex, Ordering, TryLockError, fence, is, start,
};

/// A deliberate fault of the protocol. Elsewhere than in `tests/pool`, `is` is `false` at compile
/// time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    /// The first finished share of a phase opens the next phase.
    MissingBarrier,
    /// Two threads can claim the same share.
    DoubleClaim,
    /// A thread sleeps without reading again whether a phase has been opened.
    LostWakeUp,
    /// A thread may be notified after it has read the open phase, and before it waits.
    UnlockedWake,
    /// No fence orders the store of the open phase before the load of the sleeping threads.
    MissingFence,
    /// The open phase is stored without `Release`: threads may not see its step.
    UnpublishedPhase,
    /// Finished shares are counted without `AcqRel`: the next phase may not see their writes.
    UnpublishedShare,
    /// A caller returns when it finds no more share to run, while others still run.
    UnawaitedShares,
}

/// The work of a step.
pub(super) trait Work: Sync {
    /// The number of phases, which run one after the other.
    fn phases(&self) -> usize;
    /// The number of shares that a phase is split into for a number of threads: at
    /// least one, at most one per thread.
    fn shares(&self, phase: usize, threads: usize) -> usize;
    /// Runs a share of a phase. Each share runs once, after all earlier phases, whose
    /// writes are visible.
    fn run(&self, phase: usize, share: usize, shares: usize);
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
            let mut first = self.panic.lock().unwrap_or_else(|e| e.into_inner());
            match *first {
                None => *first = Some(panic),
                // Dropping it could panic on a thread of the pool.
                Some(_) => std::mem::forget(panic),
            }
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
pub(super) struct Open {
    /// The phase's number, counted over all steps.
    pub phase: u64,
    /// Threads of the step: the caller and the first workers; 0 if the pool is closed.
    pub threads: usize,
    /// Shares of the phase; 0 between steps.
    pub shares: usize,
}

impl Open {
    /// The word of a new pool: a phase that no slot has claimed, without shares.
    const FIRST: Open = Open { phase: 1, threads: 1, shares: 0 };

    pub fn pack(self) -> u64 {
        self.phase << 16 | (self.threads as u64) << 8 | self.shares as u64
    }

    pub fn unpack(word: u64) -> Open {
        let byte = |shift: u32| (word >> shift & 0xFF) as usize;
        Open { phase: word >> 16, threads: byte(8), shares: byte(0) }
    }

    /// The slots of the threads that wait for this word, as bits.
    fn concerned(self) -> u64 {
        match self {
            Open { threads: 0, .. } => u64::MAX,
            // The caller waits for the end of the step.
            Open { shares: 0, .. } => 1,
            // The thread that opens the phase runs it.
            Open { shares: 1, .. } => 0,
            Open { threads, .. } => u64::MAX >> (64 - threads),
        }
    }
}

/// A thread's slot in the pool; the first is the caller's.
struct Slot {
    /// The last phase of which the share with the slot's number was claimed.
    claimed: AtomicU64,
    lock: Mutex<()>,
    wake: Condvar,
}

/// Workers, which run shares of the steps of callers. They end when it is dropped.
pub(super) struct Pool {
    /// The number of workers. The thread that holds the lock may run a step.
    workers: Mutex<usize>,
    shared: Arc<Shared>,
}

/// What the threads of a pool share.
struct Shared {
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
    /// A pool without workers.
    pub fn new() -> Pool {
        let slot = |_| {
            let claimed = AtomicU64::new(0);
            CacheLine(Slot { claimed, lock: Mutex::new(()), wake: Condvar::new() })
        };
        Pool {
            workers: Mutex::new(0),
            shared: Arc::new(Shared {
                open: CacheLine(AtomicU64::new(Open::FIRST.pack())),
                finished: CacheLine(AtomicUsize::new(0)),
                step: CacheLine(AtomicPtr::new(null_mut())),
                asleep: CacheLine(AtomicU64::new(0)),
                slots: std::array::from_fn(slot),
            }),
        }
    }

    /// Runs all phases on up to `threads` threads, the calling one included. If the
    /// pool is busy, or no second thread can be started, it does nothing and returns
    /// `false`.
    ///
    /// # Panics
    /// If `work` panics on any thread, as soon as no thread uses it.
    pub fn run(&self, work: &dyn Work, threads: usize) -> bool {
        let mut workers = match self.workers.try_lock() {
            Ok(workers) => workers,
            // The pool's state is consistent whenever the lock is released.
            Err(TryLockError::Poisoned(workers)) => workers.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        let threads = threads.min(MAX_THREADS);
        self.grow(&mut workers, threads - 1);
        let threads = threads.min(*workers + 1);
        if threads < 2 || work.phases() == 0 {
            return false;
        }

        let shared = &*self.shared;
        let first = Open::unpack(shared.open.0.load(Ordering::Relaxed)).phase;
        let (failed, panic) = (AtomicBool::new(false), Mutex::new(None));
        let step = Step { work, threads, first, failed, panic };
        shared.step.0.store((&raw const step).cast_mut().cast(), Ordering::Relaxed);
        let mut open = step.after(0);
        shared.open(open);
        let end = step.after(work.phases());
        while open != end {
            shared.help(0, open);
            if is(Fault::UnawaitedShares) {
                return true;
            }
            open = shared.wait(0, open, &mut Idle::new());
        }
        drop(workers);
        // All shares are finished: no thread uses the step any more.
        if let Some(panic) = step.panic.into_inner().unwrap_or_else(|e| e.into_inner()) {
            resume_unwind(panic);
        }
        true
    }

    /// Starts threads until `requested` workers are running, or no more can be started.
    fn grow(&self, workers: &mut usize, requested: usize) {
        while *workers < requested {
            let slot = *workers + 1;
            let shared = self.shared.clone();
            if start(format!("bilro-{slot}"), move || shared.serve(slot)).is_err() {
                return;
            }
            *workers = slot;
        }
    }

    /// The slots whose threads sleep, as bits.
    #[cfg(test)]
    #[allow(dead_code, reason = "not by all programs that compile this file")]
    pub fn asleep(&self) -> u64 {
        self.shared.asleep.0.load(Ordering::Relaxed)
    }
}

impl Drop for Pool {
    /// Ends the workers; no step is running, because steps borrow the pool.
    fn drop(&mut self) {
        let open = Open::unpack(self.shared.open.0.load(Ordering::Relaxed));
        self.shared.open(Open { phase: open.phase + 1, threads: 0, shares: 0 });
    }
}

impl Shared {
    /// The loop of a worker.
    fn serve(&self, slot: usize) {
        let mut idle = Idle::new();
        let mut open = Open::unpack(self.open.0.load(Ordering::Acquire));
        while open.threads > 0 {
            if slot < open.threads && self.help(slot, open) {
                idle = Idle::new();
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
            let order = match is(Fault::UnpublishedShare) {
                false => Ordering::AcqRel,
                true => Ordering::Relaxed,
            };
            let finished = self.finished.0.fetch_add(1, order) + 1;
            if finished == shares || is(Fault::MissingBarrier) {
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
        if is(Fault::DoubleClaim) {
            claimed.store(phase, Ordering::Relaxed);
            return last < phase;
        }
        let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
        last < phase && claimed.compare_exchange(last, phase, success, failure).is_ok()
    }

    /// Opens a phase, ends the step or closes the pool, and wakes the threads concerned.
    fn open(&self, open: Open) {
        let order = match is(Fault::UnpublishedPhase) {
            false => Ordering::Release,
            true => Ordering::Relaxed,
        };
        self.open.0.store(open.pack(), order);
        let concerned = open.concerned();
        if concerned == 0 {
            return;
        }
        // Between the store of `open` and the load of `asleep`: see `sleep`.
        if !is(Fault::MissingFence) {
            fence(Ordering::SeqCst);
        }
        let mut asleep = self.asleep.0.load(Ordering::Relaxed) & concerned;
        while asleep != 0 {
            let slot = asleep.trailing_zeros();
            asleep &= asleep - 1;
            // So that no other thread wakes it too.
            self.asleep.0.fetch_and(!(1 << slot), Ordering::Relaxed);
            let CacheLine(Slot { lock, wake, .. }) = &self.slots[slot as usize];
            // With the lock free, the thread waits, or has not read `open` yet.
            if !is(Fault::UnlockedWake) {
                drop(lock.lock().unwrap_or_else(|e| e.into_inner()));
            }
            wake.notify_one();
        }
    }

    /// Waits until the open word differs from `before`, and returns it. Spins first, and
    /// sleeps if there has been nothing to do since `idle` for too long.
    fn wait(&self, slot: usize, before: Open, idle: &mut Idle) -> Open {
        let before = before.pack();
        for spins in 1u32.. {
            let open = self.open.0.load(Ordering::Acquire);
            if open != before {
                return Open::unpack(open);
            }
            if !idle.spin(spins) {
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
            self.asleep.0.fetch_or(1 << slot, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            let open = self.open.0.load(Ordering::Acquire);
            if open != before && !is(Fault::LostWakeUp) {
                break open;
            }
            guard = wake.wait(guard).unwrap_or_else(|e| e.into_inner());
            if is(Fault::LostWakeUp) {
                break self.open.0.load(Ordering::Acquire);
            }
        };
        self.asleep.0.fetch_and(!(1 << slot), Ordering::Relaxed);
        Open::unpack(open)
    }
}
