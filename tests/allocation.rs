//! A compiled step allocates nothing; reading a file allocates memory in
//! proportion to its contents.

#[path = "allocation/readers.rs"]
mod readers;

use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bilro::data;
use bilro::prelude::*;
use bilro_tests::counting::{ALLOCATIONS, Counting};

network! {
    struct Digits {
        input image: [64];
        target digit: class(10);
        output logits = image -> Linear(128) -> ReLU -> Linear(10);
        loss cross_entropy(logits, digit);
    }
}

network! {
    /// With sums over batches.
    struct Weighted {
        input image: [64];
        target digit: class(10);
        output logits = image -> Linear(10);
        loss cross_entropy(logits, digit, ignore_index = 3) + 0.5 * cross_entropy(logits, digit);
    }
}

/// One test at a time: allocations are counted over all threads.
static EXCLUSIVE: Mutex<()> = Mutex::new(());

fn exclusive() -> MutexGuard<'static, ()> {
    EXCLUSIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The minimum of several calls: allocations of other threads, as of the test
/// harness, do not occur in each.
fn fewest_allocations(mut steps: impl FnMut()) -> usize {
    let mut count = || {
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        steps();
        ALLOCATIONS.load(Ordering::Relaxed) - before
    };
    (0..5).map(|_| count()).min().unwrap_or(usize::MAX)
}

#[test]
fn a_step_allocates_nothing() {
    let _alone = exclusive();
    let data = data::digits().unwrap();
    let batch = || digits::Batch { image: data.x(), digit: data.y() };
    for threads in [1, 2] {
        let mut trainer = Digits::trainer(Sgd::new(0.1)).threads(threads).build().unwrap();
        trainer.step(batch()).unwrap();
        let allocations = fewest_allocations(|| {
            for _ in 0..10 {
                trainer.step(batch()).unwrap();
            }
        });
        assert_eq!(allocations, 0, "{threads} threads");
    }
    // With all options of training; in the same test, since allocations are
    // counted over all threads.
    let mut trainer = Digits::trainer(Adam::new(0.001).amsgrad())
        .clip_norm(1.0)
        .accumulate(3)
        .scale_learning_rate("linear1", 0.5)
        .threads(2)
        .build()
        .unwrap();
    for _ in 0..3 {
        trainer.step(batch()).unwrap();
    }
    let allocations = fewest_allocations(|| {
        for step in 0..9 {
            trainer.set_learning_rate(0.001 / (step + 1) as f32).unwrap();
            trainer.step(batch()).unwrap();
        }
    });
    assert_eq!(allocations, 0, "Adam with all options");

    let batch = || weighted::Batch { image: data.x(), digit: data.y() };
    let mut trainer = Weighted::trainer(Sgd::new(0.1)).threads(2).build().unwrap();
    trainer.step(batch()).unwrap();
    let allocations = fewest_allocations(|| {
        for _ in 0..10 {
            trainer.step(batch()).unwrap();
        }
    });
    assert_eq!(allocations, 0, "a weighted loss");
}
