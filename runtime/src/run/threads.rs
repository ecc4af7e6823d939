//! The thread pool.
//!
//! A step is a list of phases, and a phase is a number of shares. All threads
//! look at one word, which says what phase is open; a thread claims a share of
//! it, its own first, runs it, and whoever finishes the last one opens the next
//! phase. So nobody waits for a thread that has not come: what it leaves, others
//! do, and a step on a busy machine takes at worst about as long as on one
//! thread. Which thread runs a share changes no result.
//!
//! Threads that find nothing to do look again and again for some microseconds,
//! then they sleep, until a phase is opened that has a share for them.
//!
//! The pool serves one step at a time. Who finds it busy, because another
//! thread of the program is training too, runs its step alone; and so does who
//! has found that to be faster ([`Pace`]).

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

/// So many threads take part at most.
const MOST: usize = 64;

/// How long a thread looks for something to do before it sleeps.
const PATIENCE: Duration = Duration::from_micros(50);

static POOL: Pool = Pool::new();

/// Runs an executable on up to so many threads, this one among them, where that
/// is faster.
///
/// # Safety
/// As [`Executable::run`]; the memory may be used from other threads until it
/// returns. The phases are the executable's.
pub(crate) unsafe fn run(
    executable: &Executable,
    phases: &[Phase],
    pace: &mut Pace,
    table: &[*mut u8],
    threads: usize,
) {
    if threads < 2 || phases.is_empty() {
        // SAFETY: the caller's promise.
        return unsafe { executable.run(table) };
    }
    let started = Instant::now();
    if !pace.shares() || !POOL.run(&Kernels { executable, phases, table }, threads) {
        // SAFETY: the caller's promise.
        unsafe { executable.run(table) }
    }
    pace.took(started.elapsed().as_secs_f64());
}

/// What a step does.
trait Work: Sync {
    /// How many phases there are, one after the other.
    fn phases(&self) -> usize;
    /// Into how many shares a phase is split for so many threads: at least one,
    /// at most as many as threads.
    fn shares(&self, phase: usize, threads: usize) -> usize;
    /// Runs a share of a phase. Each is run once, when all phases before are
    /// done; what those have written can be seen.
    fn run(&self, phase: usize, share: usize, shares: usize);
}

struct Kernels<'a> {
    executable: &'a Executable,
    phases: &'a [Phase],
    table: &'a [*mut u8],
}

// SAFETY: the pointers are used as `run` of this module is allowed to, from
// other threads too; the rest is `Sync`.
unsafe impl Sync for Kernels<'_> {}

impl Work for Kernels<'_> {
    fn phases(&self) -> usize {
        self.phases.len()
    }

    fn shares(&self, phase: usize, threads: usize) -> usize {
        self.phases[phase].shares(threads)
    }

    fn run(&self, phase: usize, share: usize, shares: usize) {
        // SAFETY: what `run` of this module is promised; the pool runs each
        // share once, and keeps phases in order.
        unsafe { self.executable.run_share(&self.phases[phase], share, shares, self.table) }
    }
}

/// A step under way; lives on its caller's stack.
struct Step<'a> {
    work: &'a dyn Work,
    threads: usize,
    /// The number of its first phase.
    first: u64,
    failed: AtomicBool,
    /// What the first panic had to say.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

impl Step<'_> {
    /// Runs a share. After a panic nothing is run any more, but all shares are
    /// finished as before.
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

    /// What is open when so many phases of the step are done.
    fn after(&self, phases: usize) -> Open {
        let end = phases == self.work.phases();
        let shares = if end { 0 } else { self.work.shares(phases, self.threads) };
        debug_assert!(end || (1..=self.threads).contains(&shares));
        Open { phase: self.first + phases as u64, threads: self.threads, shares }
    }
}

/// What there is to do now, in one word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Open {
    /// The phase's number; phases of all steps are counted.
    phase: u64,
    /// Threads that take part in the step: the caller and the first workers.
    threads: usize,
    /// Shares of the phase; none between steps.
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

/// A thread's place in the pool; the first is the caller's.
struct Seat {
    /// The last phase of which the share with the seat's number was claimed.
    claimed: AtomicU64,
    lock: Mutex<()>,
    bell: Condvar,
}

struct Pool {
    /// How many workers there are. Whoever has the lock may run a step.
    workers: Mutex<usize>,
    /// An [`Open`]. Only who has finished a phase's last share changes it, and
    /// between steps who has the lock.
    open: CacheLine<AtomicU64>,
    /// How many shares of the open phase are finished.
    finished: CacheLine<AtomicUsize>,
    /// The step that is under way. To be used by who has claimed a share only:
    /// the step is there until all are finished.
    step: CacheLine<AtomicPtr<Step<'static>>>,
    /// Who sleeps, or is about to; a bit a seat.
    asleep: CacheLine<AtomicU64>,
    seats: [CacheLine<Seat>; MOST],
}

impl Pool {
    const fn new() -> Pool {
        let open = 1 << 16; // Phase 1, which no seat has claimed; no share yet.
        Pool {
            workers: Mutex::new(0),
            open: CacheLine(AtomicU64::new(open)),
            finished: CacheLine(AtomicUsize::new(0)),
            step: CacheLine(AtomicPtr::new(null_mut())),
            asleep: CacheLine(AtomicU64::new(0)),
            seats: [const {
                let claimed = AtomicU64::new(0);
                CacheLine(Seat { claimed, lock: Mutex::new(()), bell: Condvar::new() })
            }; MOST],
        }
    }

    /// Runs all phases on up to so many threads, this one among them. If the
    /// pool is busy, or there is no second thread to be had, it does nothing and
    /// says so.
    ///
    /// # Panics
    /// When `work` does, on whatever thread, as soon as no thread uses it.
    fn run(&'static self, work: &dyn Work, threads: usize) -> bool {
        let mut workers = match self.workers.try_lock() {
            Ok(workers) => workers,
            // A panic of `work`; the pool itself is as it should be.
            Err(TryLockError::Poisoned(workers)) => workers.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        let threads = threads.min(MOST);
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
        // All shares are finished: nobody uses the step any more.
        if let Some(panic) = step.panic.into_inner().unwrap_or_else(|e| e.into_inner()) {
            resume_unwind(panic);
        }
        true
    }

    /// Starts threads until there are so many, or no more can be had.
    fn grow(&'static self, workers: &mut usize, wanted: usize) {
        while *workers < wanted {
            let seat = *workers + 1;
            let builder = thread::Builder::new().name(format!("bilro-{seat}"));
            let started = Arc::new(Barrier::new(2));
            let here = started.clone();
            let life = move || {
                here.wait();
                drop(here);
                self.serve(seat);
            };
            if builder.spawn(life).is_err() {
                return;
            }
            // What a thread allocates when it starts, it has then: no later
            // step has to do with it.
            started.wait();
            *workers = seat;
        }
    }

    /// A worker's life.
    fn serve(&self, seat: usize) {
        let mut idle = None;
        let mut open = Open::unpack(self.open.0.load(Ordering::Acquire));
        loop {
            if seat < open.threads && self.help(seat, open) {
                idle = None;
            }
            open = self.wait(seat, open, &mut idle);
        }
    }

    /// Runs what is left of a phase, the seat's own share first; says whether
    /// there was any.
    fn help(&self, seat: usize, open: Open) -> bool {
        let Open { phase, shares, .. } = open;
        let mut helped = false;
        for share in (seat..seat + shares).map(|share| share % shares) {
            if !self.claim(phase, share) {
                continue;
            }
            // SAFETY: a share of the phase has been claimed and is not finished,
            // so that the phase's step is under way, and is there. It was stored
            // before the phase was opened, which `open` has told.
            let step = unsafe { &*self.step.0.load(Ordering::Relaxed) };
            step.run(phase, share, shares);
            helped = true;
            if self.finished.0.fetch_add(1, Ordering::AcqRel) + 1 == shares {
                self.finished.0.store(0, Ordering::Relaxed);
                // The step may end with this.
                self.open(step.after((phase + 1 - step.first) as usize));
            }
        }
        helped
    }

    /// Claims a share of a phase that is open, or was: then all have been
    /// claimed, and nobody can claim them again.
    fn claim(&self, phase: u64, share: usize) -> bool {
        let claimed = &self.seats[share].0.claimed;
        let last = claimed.load(Ordering::Relaxed);
        let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
        last < phase && claimed.compare_exchange(last, phase, success, failure).is_ok()
    }

    /// Opens a phase, or none.
    fn open(&self, open: Open) {
        // Stored before it is asked who sleeps: see `sleep`.
        self.open.0.store(open.pack(), Ordering::SeqCst);
        let concerned: u64 = match open.shares {
            // The caller.
            0 => 1,
            // Whoever opens it will run it.
            1 => return,
            _ => u64::MAX >> (MOST - open.threads),
        };
        let mut asleep = self.asleep.0.load(Ordering::SeqCst) & concerned;
        while asleep != 0 {
            let seat = asleep.trailing_zeros();
            asleep &= asleep - 1;
            // Not to be woken twice.
            self.asleep.0.fetch_and(!(1 << seat), Ordering::SeqCst);
            let CacheLine(Seat { lock, bell, .. }) = &self.seats[seat as usize];
            // Then it waits, or has not looked yet.
            drop(lock.lock().unwrap_or_else(|e| e.into_inner()));
            bell.notify_one();
        }
    }

    /// Returns what is open, when it is something else than before. Without
    /// anything to do since `idle` it sleeps if need be.
    fn wait(&self, seat: usize, before: Open, idle: &mut Option<Instant>) -> Open {
        let before = before.pack();
        for spins in 1u32.. {
            let open = self.open.0.load(Ordering::Acquire);
            if open != before {
                return Open::unpack(open);
            }
            std::hint::spin_loop();
            // Telling the time takes longer than looking.
            if spins % 16 == 0 && idle.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                break;
            }
        }
        self.sleep(seat, before)
    }

    fn sleep(&self, seat: usize, before: u64) -> Open {
        let CacheLine(Seat { lock, bell, .. }) = &self.seats[seat];
        let mut guard = lock.lock().unwrap_or_else(|e| e.into_inner());
        let open = loop {
            // Either this is seen by whoever opens something else, or it is
            // seen here what they have opened. In the first case they notify
            // under the lock, which is free only while this waits.
            self.asleep.0.fetch_or(1 << seat, Ordering::SeqCst);
            let open = self.open.0.load(Ordering::SeqCst);
            if open != before {
                break open;
            }
            guard = bell.wait(guard).unwrap_or_else(|e| e.into_inner());
        };
        self.asleep.0.fetch_and(!(1 << seat), Ordering::SeqCst);
        Open::unpack(open)
    }
}
