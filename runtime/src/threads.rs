//! The threads that share the kernels of a step: one pool for the process.
//!
//! A step enters the pool once. Every thread runs the same generated function
//! with its own number and takes its share of each kernel; where all must have
//! come that far, they meet. Threads wait by spinning for some microseconds,
//! then they give way, and between steps they sleep.
//!
//! The pool serves one step at a time. Who finds it busy, because another
//! thread of the program is training too, runs its step alone: results do not
//! depend on the number of threads.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::thread::{self, Thread};

use bilro_compiler::codegen::module::Executable;

/// Looks at a flag so often before giving way to other threads: some 20 µs.
const SPINS: usize = 4_000;
/// Gives way so often before sleeping: far longer than a step of any network
/// that is trained in a loop takes to come back.
const YIELDS: usize = 200;

static POOL: Mutex<Pool> = Mutex::new(Pool { workers: Vec::new() });

struct Pool {
    workers: Vec<Worker>,
}

struct Worker {
    mailbox: Arc<Mailbox>,
    thread: Thread,
}

/// Where a worker finds its next task. `Some` tasks are posted by the one who
/// holds the pool's lock, and taken by the worker.
#[derive(Default)]
struct Mailbox {
    posted: AtomicBool,
    task: Mutex<Option<Task>>,
}

/// One thread's part of a step.
struct Task {
    step: *const Step<'static>,
    thread: usize,
}

// SAFETY: the step outlives the task (`run` waits for all workers before it
// returns) and is only used through shared references to what is `Sync`, and
// through raw pointers whose use by several threads `run`'s caller allows.
unsafe impl Send for Task {}

/// What all threads of a step share; lives on the stack of [`run`].
struct Step<'a> {
    executable: &'a Executable,
    table: &'a [*mut u8],
    threads: usize,
    gate: Gate,
    /// Workers that are not done.
    left: AtomicUsize,
}

/// Where threads meet.
struct Gate {
    threads: usize,
    arrived: AtomicUsize,
    /// Counts meetings.
    opened: AtomicU64,
}

impl Gate {
    fn new(threads: usize) -> Gate {
        Gate { threads, arrived: AtomicUsize::new(0), opened: AtomicU64::new(0) }
    }

    /// Returns when all threads have called it as often.
    fn meet(&self) {
        let before = self.opened.load(Ordering::Acquire);
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 == self.threads {
            // Nobody arrives again before it is open.
            self.arrived.store(0, Ordering::Relaxed);
            self.opened.store(before + 1, Ordering::Release);
        } else {
            wait_until(|| self.opened.load(Ordering::Acquire) != before);
        }
    }
}

/// Spins, then gives way to other threads.
fn wait_until(ready: impl Fn() -> bool) {
    for _ in 0..SPINS {
        if ready() {
            return;
        }
        std::hint::spin_loop();
    }
    while !ready() {
        thread::yield_now();
    }
}

#[cfg(target_arch = "x86_64")]
unsafe extern "sysv64" fn meet(gate: *const u8) {
    // SAFETY: only `take_part` hands it out, with a gate that outlives the step.
    unsafe { (*gate.cast::<Gate>()).meet() }
}

#[cfg(not(target_arch = "x86_64"))]
unsafe extern "C" fn meet(gate: *const u8) {
    // SAFETY: only `take_part` hands it out, with a gate that outlives the step.
    unsafe { (*gate.cast::<Gate>()).meet() }
}

impl Step<'_> {
    /// One thread's part.
    ///
    /// # Safety
    /// As [`Executable::run`], for all threads of the step together.
    unsafe fn take_part(&self, thread: usize) {
        let gate = (&raw const self.gate).cast();
        // SAFETY: the caller's promise; all threads of the step have the same
        // gate, which lets them go when all have come, and whose acquire and
        // release make what was written before visible after.
        unsafe { self.executable.run_shared(self.table, thread, self.threads, meet, gate) }
    }
}

/// Runs an executable on up to so many threads, this one among them.
///
/// # Safety
/// As [`Executable::run`]; the memory may be used from other threads until it
/// returns.
pub(crate) unsafe fn run(executable: &Executable, table: &[*mut u8], threads: usize) {
    if threads > 1 && executable.is_shared() {
        let pool = match POOL.try_lock() {
            Ok(pool) => Some(pool),
            // Whoever panicked left whole workers behind.
            Err(TryLockError::Poisoned(pool)) => Some(pool.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        if let Some(mut pool) = pool {
            pool.grow(threads - 1);
            let workers = pool.workers.len().min(threads - 1);
            if workers > 0 {
                // SAFETY: the caller's promise.
                return unsafe { share(executable, table, &pool, workers) };
            }
        }
    }
    // SAFETY: the caller's promise.
    unsafe { executable.run(table) }
}

/// # Safety
/// As [`run`].
unsafe fn share(
    executable: &Executable,
    table: &[*mut u8],
    pool: &MutexGuard<'_, Pool>,
    workers: usize,
) {
    // Before anybody starts: a panic between here and the end would leave
    // workers with a step that is gone.
    assert_eq!(table.len(), executable.regions(), "one pointer for each region");
    let threads = workers + 1;
    let step = Step {
        executable,
        table,
        threads,
        gate: Gate::new(threads),
        left: AtomicUsize::new(workers),
    };
    for (i, worker) in pool.workers[..workers].iter().enumerate() {
        let step = (&raw const step).cast();
        worker.post(Task { step, thread: i + 1 });
    }
    // SAFETY: the caller's promise. Nothing here unwinds (the table has been
    // checked, generated code cannot), so that the step is not left before all
    // workers are done with it.
    unsafe { step.take_part(0) };
    wait_until(|| step.left.load(Ordering::Acquire) == 0);
}

impl Pool {
    /// Starts threads until there are so many, or no more can be had.
    fn grow(&mut self, workers: usize) {
        while self.workers.len() < workers {
            let mailbox = Arc::new(Mailbox::default());
            let own = mailbox.clone();
            let name = format!("bilro-{}", self.workers.len() + 1);
            let spawned = thread::Builder::new().name(name).spawn(move || own.serve());
            let Ok(handle) = spawned else { return };
            self.workers.push(Worker { mailbox, thread: handle.thread().clone() });
        }
    }
}

impl Worker {
    fn post(&self, task: Task) {
        *self.mailbox.task.lock().unwrap_or_else(|e| e.into_inner()) = Some(task);
        self.mailbox.posted.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

impl Mailbox {
    /// A worker's life.
    fn serve(&self) {
        loop {
            self.wait();
            let task = self.task.lock().unwrap_or_else(|e| e.into_inner()).take();
            let Some(task) = task else { continue };
            // SAFETY: whoever posted the task waits in `share` until `left` is
            // zero, so that the step, and all that it refers to, is there; that
            // the memory may be used is the promise of `run`'s caller.
            let step = unsafe { &*task.step };
            // SAFETY: as above.
            unsafe { step.take_part(task.thread) };
            // The last use of the step.
            step.left.fetch_sub(1, Ordering::Release);
        }
    }

    /// Returns when a task has been posted: soon, if it comes soon.
    fn wait(&self) {
        for i in 0..SPINS + YIELDS {
            if self.posted.swap(false, Ordering::Acquire) {
                return;
            }
            if i < SPINS { std::hint::spin_loop() } else { thread::yield_now() }
        }
        while !self.posted.swap(false, Ordering::Acquire) {
            // `post` unparks after it has posted, and a token given before the
            // park is kept: nothing is missed.
            thread::park();
        }
    }
}
