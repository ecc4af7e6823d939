//! The thread pool under loom: its own source, with loom's threads, atomics, locks and conditions,
//! in every interleaving up to a number of preemptions (moments at which a thread that could go on is
//! stopped), and with every value that an atomic load may return.
//!
//! Each scenario runs steps whose shares read what the phase before has written, all in loom's
//! cells: an access that is not ordered after the write before it is found, and so is one to a step
//! that has ended. A thread that is never woken is found as a deadlock. Faults injected into the
//! protocol must be found by the same scenarios.

#[path = "../../runtime/src/memory/cache_line.rs"]
mod cache_line;
#[path = "../../runtime/src/run/threads/pool.rs"]
mod pool;
mod sync;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use pool::{Fault, Pool, Work};

/// Adds to the preemptions of every scenario; a tenfold number of executions and more for each.
const MORE_PREEMPTIONS: &str = "BILRO_MORE_PREEMPTIONS";

/// The payload of panics on purpose: phase and share.
#[derive(PartialEq, Eq, Debug)]
struct Purpose(usize, usize);

/// A step: each share of a phase writes its own cell, after it has read all cells of the phase
/// before.
struct Chain {
    /// The maximum numbers of shares.
    max_shares: Vec<usize>,
    cells: Vec<Vec<UnsafeCell<usize>>>,
    /// Read by all uses of the step, and written after it has ended.
    alive: UnsafeCell<()>,
    /// The phase and the share that panic.
    panics: Option<Purpose>,
}

// SAFETY: loom checks all accesses to its cells.
unsafe impl Sync for Chain {}
// SAFETY: as above.
unsafe impl Send for Chain {}

impl Chain {
    fn new(max_shares: &[usize]) -> Chain {
        let cells = |shares: &usize| (0..*shares).map(|_| UnsafeCell::new(0)).collect();
        Chain {
            max_shares: max_shares.into(),
            cells: max_shares.iter().map(cells).collect(),
            alive: UnsafeCell::new(()),
            panics: None,
        }
    }

    fn panicking(max_shares: &[usize], phase: usize, share: usize) -> Chain {
        Chain { panics: Some(Purpose(phase, share)), ..Chain::new(max_shares) }
    }

    /// How often a share has run.
    fn runs(&self, phase: usize, share: usize) -> usize {
        // SAFETY: loom checks that no thread writes at the same time.
        self.cells[phase][share].with(|cell| unsafe { *cell })
    }

    fn is_used(&self) {
        self.alive.with(|_| ());
    }

    /// Runs it on a pool, and checks it; `false` if the pool is busy.
    fn run_on(self, pool: &Pool, threads: usize) -> bool {
        let result = catch_unwind(AssertUnwindSafe(|| pool.run(&self, threads)));
        // No other thread uses it any more.
        self.alive.with_mut(|_| ());
        match result {
            Ok(true) => {
                assert_eq!(self.panics, None, "a panic is raised in the caller");
                for (phase, shares) in self.max_shares.iter().enumerate() {
                    for share in 0..*shares.min(&threads) {
                        assert_eq!(self.runs(phase, share), 1, "phase {phase}, share {share}");
                    }
                }
                true
            }
            Ok(false) => false,
            Err(panic) => {
                let found = panic.downcast::<Purpose>().expect("only a share panics");
                assert_eq!(Some(*found), self.panics);
                true
            }
        }
    }
}

impl Work for Chain {
    fn phases(&self) -> usize {
        self.is_used();
        self.max_shares.len()
    }

    fn shares(&self, phase: usize, threads: usize) -> usize {
        self.is_used();
        self.max_shares[phase].min(threads)
    }

    fn run(&self, phase: usize, share: usize, shares: usize) {
        self.is_used();
        assert!(share < shares);
        if self.panics == Some(Purpose(phase, share)) {
            std::panic::panic_any(Purpose(phase, share));
        }
        if let Some(before) = phase.checked_sub(1) {
            for share in 0..self.max_shares[before] {
                assert_eq!(self.runs(before, share), 1, "phase {before} is not complete");
            }
        }
        // SAFETY: loom checks that no thread accesses it at the same time.
        self.cells[phase][share].with_mut(|cell| unsafe { *cell += 1 });
    }
}

/// A program that uses a pool.
struct Scenario {
    name: &'static str,
    run: fn(),
    /// Spins of a thread without work before it sleeps.
    spins: u32,
    /// The maximum number of preemptions in an execution.
    preemptions: usize,
}

const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "phases of two shares",
        run: || {
            assert!(Chain::new(&[2, 2]).run_on(&Pool::new(), 2));
        },
        spins: 0,
        preemptions: 2,
    },
    Scenario {
        name: "a phase of one share between two others",
        run: || {
            assert!(Chain::new(&[2, 1, 2]).run_on(&Pool::new(), 2));
        },
        spins: 0,
        preemptions: 1,
    },
    Scenario {
        name: "threads that spin before they sleep",
        run: || {
            assert!(Chain::new(&[2, 2]).run_on(&Pool::new(), 2));
        },
        spins: 1,
        preemptions: 1,
    },
    Scenario {
        name: "two steps, between which the worker sleeps or not",
        run: || {
            let pool = Pool::new();
            assert!(Chain::new(&[2]).run_on(&pool, 2));
            assert!(Chain::new(&[2]).run_on(&pool, 2));
        },
        spins: 0,
        preemptions: 1,
    },
    Scenario {
        name: "three threads",
        run: || {
            assert!(Chain::new(&[3]).run_on(&Pool::new(), 3));
        },
        spins: 0,
        preemptions: 0,
    },
    Scenario {
        name: "a phase with fewer shares than threads",
        run: || {
            assert!(Chain::new(&[1, 2]).run_on(&Pool::new(), 3));
        },
        spins: 0,
        preemptions: 0,
    },
    Scenario {
        name: "a pool that grows",
        run: || {
            let pool = Pool::new();
            assert!(Chain::new(&[2]).run_on(&pool, 2));
            assert!(Chain::new(&[3]).run_on(&pool, 3));
        },
        spins: 0,
        preemptions: 0,
    },
    Scenario {
        name: "a share that panics in the first phase",
        run: || {
            let pool = Pool::new();
            assert!(Chain::panicking(&[2, 2], 0, 1).run_on(&pool, 2));
            assert!(Chain::new(&[2]).run_on(&pool, 2));
        },
        spins: 0,
        preemptions: 1,
    },
    Scenario {
        name: "a share that panics in the last phase",
        run: || {
            let pool = Pool::new();
            assert!(Chain::panicking(&[1, 2], 1, 0).run_on(&pool, 2));
            assert!(Chain::new(&[2]).run_on(&pool, 2));
        },
        spins: 0,
        preemptions: 1,
    },
    Scenario {
        name: "two callers at once",
        run: || {
            let pool = Arc::new(Pool::new());
            let other = pool.clone();
            let caller = thread::spawn(move || Chain::new(&[2]).run_on(&other, 2));
            let ran = Chain::new(&[2]).run_on(&pool, 2);
            assert!(caller.join().unwrap() || ran, "the pool serves one of them");
        },
        spins: 0,
        preemptions: 1,
    },
    Scenario {
        name: "waits that end without a reason",
        run: || {
            let disturbance = thread::spawn(sync::wake_spuriously);
            assert!(Chain::new(&[2, 2]).run_on(&Pool::new(), 2));
            disturbance.join().unwrap();
        },
        spins: 0,
        preemptions: 1,
    },
];

impl Scenario {
    /// Runs it in every interleaving; returns their number.
    fn check(&self) -> usize {
        let executions = std::sync::Arc::new(AtomicUsize::new(0));
        let count = executions.clone();
        let (run, spins) = (self.run, self.spins);
        let more = std::env::var(MORE_PREEMPTIONS).map_or(0, |more| more.parse().unwrap());
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(self.preemptions + more);
        builder.check(move || {
            count.fetch_add(1, Ordering::Relaxed);
            sync::SPINS.set(spins);
            sync::begin();
            run();
        });
        executions.load(Ordering::Relaxed)
    }
}

/// Replaces the messages of panics: some scenarios panic in every execution. The first line of other
/// messages is printed.
fn print_failures_only() {
    std::panic::set_hook(Box::new(|panic| {
        if !panic.payload().is::<Purpose>() {
            let message = panic.payload_as_str().unwrap_or("a panic");
            println!("failure: {}", message.lines().next().unwrap_or_default());
        }
    }));
}

#[test]
fn every_interleaving_is_correct() {
    print_failures_only();
    for scenario in SCENARIOS {
        let started = Instant::now();
        println!("scenario: {}", scenario.name);
        println!("{} executions, {:.1?}", scenario.check(), started.elapsed());
    }
}

const FAULTS: &[Fault] = &[
    Fault::MissingBarrier,
    Fault::DoubleClaim,
    Fault::LostWakeUp,
    Fault::UnlockedWake,
    Fault::MissingFence,
    Fault::UnpublishedPhase,
    Fault::UnpublishedShare,
    Fault::UnawaitedShares,
];

/// The number of a fault, for a child process.
const FAULT: &str = "BILRO_TEST_FAULT";

/// The child process, which fails if it finds the fault. Loom may abort it: a failed execution leaves
/// its threads in the middle of their work.
#[test]
fn finds_a_fault() {
    let Ok(fault) = std::env::var(FAULT) else { return };
    print_failures_only();
    sync::FAULT.set(Some(FAULTS[fault.parse::<usize>().unwrap()]));
    for scenario in SCENARIOS {
        println!("scenario: {}", scenario.name);
        scenario.check();
    }
}

#[test]
fn every_fault_is_found() {
    for (number, fault) in FAULTS.iter().enumerate() {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "finds_a_fault", "--nocapture"])
            .env(FAULT, number.to_string())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let last = |start: &str| text.lines().filter_map(|l| l.strip_prefix(start)).next_back();
        assert!(!output.status.success(), "{fault:?} is not found:\n{text}");
        let first = text.lines().find_map(|line| line.strip_prefix("failure: "));
        let (scenario, failure) = (last("scenario: ").unwrap(), first.unwrap_or("a signal"));
        println!("{fault:?} is found by `{scenario}`: {failure}");
    }
}
