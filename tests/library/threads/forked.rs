//! `fork`: a child that predicts and trains. A child of its own runs the test, so that only its
//! thread and those of the pool exist at the fork.

use std::process::Command;
use std::time::{Duration, Instant};

use super::*;

const FORKS: &str = "BILRO_TEST_FORKS";

/// Forks while the threads of the pool spin, fall asleep and sleep.
const CHILDREN: u64 = 60;

/// The time after which a child hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// The exit status of a process that `run` has computed in, as the child of a `fork`.
fn in_child(run: impl FnOnce() -> bool) -> i32 {
    // SAFETY: no other thread is in a call of the library or holds a lock that the child needs:
    // those of the pool wait. The child calls nothing after `run` but `_exit`.
    match unsafe { libc::fork() } {
        -1 => panic!("{}", std::io::Error::last_os_error()),
        0 => {
            let result = catch_unwind(AssertUnwindSafe(run));
            // SAFETY: it ends this process.
            unsafe { libc::_exit(if result.unwrap_or(false) { 0 } else { 1 }) }
        }
        child => {
            let started = Instant::now();
            let mut status = 0;
            loop {
                // SAFETY: the child is this process's, and has not been waited for.
                if unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) } == child {
                    return status;
                }
                if started.elapsed() > LIMIT {
                    // SAFETY: as above.
                    unsafe { libc::kill(child, libc::SIGKILL) };
                    panic!("the child hangs");
                }
                thread::sleep(Duration::from_micros(200));
            }
        }
    }
}

fn step(trainer: &mut Trainer<Net>, data: &Classification, activation: usize) -> u32 {
    let activation = ACTIVATIONS[activation];
    let batch = net::Batch { x: data.x(), class: data.y(), activation };
    trainer.step(batch).unwrap().to_bits()
}

/// Steps with code that is compiled already, and with new code; and a prediction.
fn work(trainer: &mut Trainer<Net>, data: &Classification) -> (Vec<u32>, Vec<u32>) {
    let mut results: Vec<u32> = (0..3).map(|_| step(trainer, data, 0)).collect();
    results.push(step(trainer, data, 1));
    results.extend(predict(trainer.model(), data, 4));
    (results, parameters(trainer.model()))
}

/// The process whose children are forked.
#[test]
fn forks() {
    let Ok(scenario) = std::env::var(FORKS) else { return };
    let data = examples(64);
    let start = || {
        let mut trainer = trainer(2);
        step(&mut trainer, &data, 0);
        trainer
    };
    let expected = work(&mut start(), &data);
    match scenario.as_str() {
        "idle" => {
            for child in 0..CHILDREN {
                let mut trainer = start();
                // The pool has just been used: its threads spin for 50 µs.
                let delay = Instant::now();
                while delay.elapsed() < Duration::from_micros(child * 3) {}
                assert_eq!(in_child(|| work(&mut trainer, &data) == expected), 0);
                assert_eq!(work(&mut trainer, &data), expected, "the parent continues");
            }
        }
        "nested" => {
            let mut trainer = start();
            let run = |trainer: &mut Trainer<Net>| {
                let mut copy = start();
                in_child(|| work(&mut copy, &data) == expected) == 0
                    && work(trainer, &data) == expected
            };
            assert_eq!(in_child(|| run(&mut trainer)), 0);
        }
        "busy" => {
            // Another thread uses the pool at the moment of the fork.
            let (ended, ready) = (AtomicBool::new(false), Barrier::new(2));
            thread::scope(|scope| {
                scope.spawn(|| {
                    let mut other = start();
                    ready.wait();
                    while !ended.load(Ordering::Relaxed) {
                        step(&mut other, &data, 0);
                    }
                });
                ready.wait();
                for _ in 0..CHILDREN {
                    let mut trainer = start();
                    // Without new code: the other thread may hold the lock of the heap of code.
                    let run = |trainer: &mut Trainer<Net>| {
                        (0..3).map(|_| step(trainer, &data, 0)).collect::<Vec<_>>()
                    };
                    assert_eq!(in_child(|| run(&mut trainer) == expected.0[..3]), 0);
                }
                ended.store(true, Ordering::Relaxed);
            });
        }
        scenario => panic!("{scenario}"),
    }
    println!("\nall children end");
}

#[test]
fn the_child_of_a_fork_predicts_and_trains() {
    for scenario in ["idle", "nested", "busy"] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "threads::forked::forks", "--nocapture"])
            .env(FORKS, scenario)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("all children end"), "{scenario}:\n{text}\n{errors}");
    }
}
