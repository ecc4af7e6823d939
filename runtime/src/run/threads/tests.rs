//! Tests of the pool, with work that counts the shares run.
//!
//! Compiled in `tests/pool` too, without the rest of the library.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::pool::{Open, Pool, Work};
use super::sync::{MAX_THREADS, SPIN_TIME};

/// Miri takes a thousand times as long.
const ROUNDS: usize = if cfg!(miri) { 20 } else { 2_000 };

/// Phases by their maximum number of shares; counts the finished ones.
struct Counted {
    max_shares: Vec<usize>,
    /// For each phase, the number of finished shares.
    finished: Vec<AtomicUsize>,
    threads: AtomicUsize,
    /// The time that each share sleeps.
    pause: Duration,
    panics: Option<usize>,
}

impl Counted {
    fn new(max_shares: &[usize]) -> Counted {
        let finished = max_shares.iter().map(|_| AtomicUsize::new(0)).collect();
        let threads = AtomicUsize::new(1);
        Counted {
            max_shares: max_shares.into(),
            finished,
            threads,
            pause: Duration::ZERO,
            panics: None,
        }
    }

    fn expected(&self) -> Vec<usize> {
        let threads = self.threads.load(Ordering::Relaxed);
        self.max_shares.iter().map(|n| *n.min(&threads)).collect()
    }

    fn finished(&self) -> Vec<usize> {
        self.finished.iter().map(|n| n.load(Ordering::Relaxed)).collect()
    }
}

impl Work for Counted {
    fn phases(&self) -> usize {
        self.max_shares.len()
    }

    fn shares(&self, phase: usize, threads: usize) -> usize {
        self.threads.store(threads, Ordering::Relaxed);
        self.max_shares[phase].min(threads)
    }

    fn run(&self, phase: usize, share: usize, shares: usize) {
        assert!(share < shares);
        let finished = self.finished();
        assert_eq!(
            finished[..phase],
            self.expected()[..phase],
            "phase {phase} has begun too early"
        );
        assert!(finished[phase + 1..].iter().all(|n| *n == 0), "phase {phase} was not waited for");
        if !self.pause.is_zero() {
            thread::sleep(self.pause);
        }
        assert_ne!(self.panics, Some(phase), "on purpose");
        self.finished[phase].fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn every_share_runs_once_and_phases_keep_their_order() {
    let pool = Pool::new();
    for round in 0..ROUNDS {
        // The pool grows, and later steps use fewer threads.
        let threads = [2, 3, 7, 2, 5][round % 5];
        let work = Counted::new(&[64, 1, 3, 1, 1, 64, 2]);
        assert!(pool.run(&work, threads));
        assert_eq!(work.threads.load(Ordering::Relaxed), threads);
        assert_eq!(work.finished(), work.expected(), "{threads} threads, round {round}");
        if round % 100 == 0 && !cfg!(miri) {
            // Workers fall asleep.
            thread::sleep(3 * SPIN_TIME);
        }
    }
    let asleep = || pool.asleep();
    let started = Instant::now();
    while asleep() != 0b111_1110 {
        assert!(started.elapsed() < Duration::from_secs(60), "only {:b} are asleep", asleep());
        thread::sleep(SPIN_TIME);
    }
}

#[test]
fn shares_that_take_long_are_waited_for() {
    let pool = Pool::new();
    let mut work = Counted::new(&[2, 1, 2]);
    work.pause = 20 * SPIN_TIME;
    for threads in [2, 3] {
        work.finished.iter().for_each(|n| n.store(0, Ordering::Relaxed));
        assert!(pool.run(&work, threads));
        assert_eq!(work.finished(), [2, 1, 2]);
    }
}

#[test]
fn a_panic_reaches_the_caller_and_the_pool_stays_usable() {
    let pool = Pool::new();
    for phase in [0, 1, 2] {
        let mut work = Counted::new(&[3, 1, 3]);
        work.panics = Some(phase);
        // Long enough for workers to start and panic too.
        work.pause = SPIN_TIME;
        let panicked = catch_unwind(AssertUnwindSafe(|| pool.run(&work, 3))).unwrap_err();
        assert!(panicked.downcast_ref::<String>().unwrap().contains("on purpose"));
        assert!(work.finished()[phase..].iter().all(|n| *n == 0));
        let work = Counted::new(&[3, 1, 3]);
        assert!(pool.run(&work, 3));
        assert_eq!(work.finished(), [3, 1, 3]);
    }
}

#[test]
fn a_busy_pool_runs_nothing() {
    let pool = Pool::new();
    struct Nested<'a>(&'a Pool);
    impl Work for Nested<'_> {
        fn phases(&self) -> usize {
            1
        }
        fn shares(&self, _: usize, threads: usize) -> usize {
            threads
        }
        fn run(&self, _: usize, _: usize, _: usize) {
            assert!(!self.0.run(&Counted::new(&[2]), 2));
        }
    }
    assert!(pool.run(&Nested(&pool), 2));
    assert!(!pool.run(&Counted::new(&[]), 2), "nothing to do");
}

#[test]
fn an_open_phase_packs_into_a_word() {
    let open = Open { phase: 1 << 40 | 5, threads: MAX_THREADS, shares: MAX_THREADS };
    assert_eq!(Open::unpack(open.pack()), open);
}
