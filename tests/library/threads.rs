//! Threads: many calls of one model, models dropped while others compute, panics in code of users,
//! `fork`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use bilro::data::{Classification, Dataset};
use bilro::ndarray::{Array1, Array2, s};
use bilro::prelude::*;
use bilro::schedule::Schedule;
use bilro::{EpochReport, History};

#[cfg(unix)]
mod forked;

network! {
    /// Code for each batch size and activation.
    struct Net {
        input x: [16];
        target class: class(4);
        choice activation = tanh | relu | sigmoid;
        layer fc1 = Linear(32);
        layer fc2 = Linear(4);
        output logits = x -> fc1 -> activation -> Dropout(0.2) -> fc2;
        loss cross_entropy(logits, class);
    }
}

/// Examples whose class follows from the first two numbers.
fn examples(count: usize) -> Classification {
    let mut generator = bilro::rng::Generator::new(7);
    let x = Array2::from_shape_simple_fn((count, 16), || generator.uniform(-1.0, 1.0));
    let bit = |x: f32| u32::from(x > 0.0);
    let class = Array1::from_shape_fn(count, |i| 2 * bit(x[[i, 0]]) + bit(x[[i, 1]]));
    Dataset::new(x, class).unwrap()
}

fn trainer(threads: usize) -> Trainer<Net> {
    Net::trainer(Adam::new(0.01)).seed(3).threads(threads).build().unwrap()
}

fn bits<'a>(values: impl IntoIterator<Item = &'a f32>) -> Vec<u32> {
    values.into_iter().map(|x| x.to_bits()).collect()
}

fn parameters(model: &Model<Net>) -> Vec<u32> {
    model.named_parameters().flat_map(|(_, p)| bits(&p)).collect()
}

const ACTIVATIONS: [net::Activation; 3] =
    [net::Activation::Tanh, net::Activation::Relu, net::Activation::Sigmoid];

/// A call for some number of rows and one of the activations, and its result's bits.
fn predict(model: &Model<Net>, data: &Classification, call: usize) -> Vec<u32> {
    let x = data.x().slice_move(s![..1 + call % 7, ..]);
    let activation = ACTIVATIONS[call % 3];
    bits(&model.predict(net::Input { x, activation }).unwrap().logits)
}

/// Calls of [`predict`] that differ.
const CALLS: usize = 21;

/// More threads than workspaces and, with a small code cache, code that is evicted while it runs.
#[test]
fn sixty_four_threads_predict_the_bits_of_one() {
    const THREADS: usize = 64;
    let data = examples(40);
    let alone = Net::model().seed(3).threads(1).build().unwrap();
    let expected: Vec<_> = (0..CALLS).map(|call| predict(&alone, &data, call)).collect();
    for (threads, cache, rounds) in [(1, 64 << 20, 60), (2, 64 << 20, 60), (2, 20_000, 4)] {
        let model =
            Arc::new(Net::model().seed(3).threads(threads).code_cache(cache).build().unwrap());
        let start = Barrier::new(THREADS);
        thread::scope(|scope| {
            for number in 0..THREADS {
                let (model, start, data, expected) = (model.clone(), &start, &data, &expected);
                scope.spawn(move || {
                    start.wait();
                    for round in 0..rounds {
                        let call = (number + round * 5) % CALLS;
                        assert_eq!(predict(&model, data, call), expected[call]);
                    }
                });
            }
        });
    }
}

/// Clones share code: they are dropped, and lose their code, while the trainer computes by it.
#[test]
fn models_are_dropped_while_other_threads_compute() {
    let data = examples(64);
    let batch = || net::Batch { x: data.x(), class: data.y(), activation: ACTIVATIONS[0] };
    let steps = |trainer: &mut Trainer<Net>| {
        let losses: Vec<_> = (0..40).map(|_| trainer.step(batch()).unwrap()).collect();
        (bits(&losses), parameters(trainer.model()))
    };
    let expected = steps(&mut trainer(1));
    for threads in [1, 2] {
        let mut trainer = trainer(threads);
        let model = Arc::new(trainer.model().clone());
        let results: Vec<_> = (0..CALLS).map(|call| predict(&model, &data, call)).collect();
        let ended = AtomicBool::new(false);
        thread::scope(|scope| {
            for number in 0..3 {
                let (mut model, data, results, ended) = (model.clone(), &data, &results, &ended);
                scope.spawn(move || {
                    let mut call = number;
                    // The `Arc` is dropped by whichever thread is last.
                    while !ended.load(Ordering::Relaxed) {
                        call = (call + 1) % CALLS;
                        let mut clone = Model::clone(&model);
                        assert_eq!(predict(&clone, data, call), results[call]);
                        if call % 3 == 0 {
                            clone.empty_cache();
                        }
                        model = Arc::new(clone);
                        // A trainer of its own, dropped after a step.
                        let other = Model::clone(&model).into_trainer(Sgd::new(0.1));
                        let batch = net::Batch {
                            x: data.x(),
                            class: data.y(),
                            activation: ACTIVATIONS[call % 3],
                        };
                        other.build().unwrap().step(batch).unwrap();
                    }
                });
            }
            drop(model);
            assert_eq!(steps(&mut trainer), expected);
            ended.store(true, Ordering::Relaxed);
        });
    }
}

/// Threads have numbers, by which they find their workspaces.
#[test]
fn threads_that_end_leave_the_model_usable() {
    let data = examples(8);
    let model = Arc::new(Net::model().seed(3).threads(2).build().unwrap());
    let expected: Vec<_> = (0..CALLS).map(|call| predict(&model, &data, call)).collect();
    for number in 0..200 {
        let (model, data, call) = (model.clone(), data.clone(), number % CALLS);
        let found = thread::spawn(move || predict(&model, &data, call)).join().unwrap();
        assert_eq!(found, expected[call]);
    }
}

/// A panic unwinds through `fit`; the trainer is as after the last step.
#[test]
fn a_panic_in_a_callback_leaves_the_trainer_after_its_last_step() {
    let data = examples(48);
    let fit = |epochs| Fit::epochs(epochs).batch_size(16);
    let mut expected = trainer(2);
    expected.fit(&data, fit(2)).unwrap();
    let after_two = parameters(expected.model());
    expected.fit(&data, fit(3)).unwrap();

    let mut trainer = trainer(2);
    let panicking = |_: &mut Trainer<Net>, epoch: &EpochReport<'_>| {
        assert!(epoch.number < 2, "on purpose");
    };
    // The best parameters are not restored: that is the end of `fit`.
    let fit_best = fit(5).restore_best(true);
    let panic = catch_unwind(AssertUnwindSafe(|| trainer.fit_with(&data, fit_best, panicking)));
    assert!(panic.unwrap_err().downcast_ref::<&str>().unwrap().contains("on purpose"));
    assert_eq!((trainer.steps(), parameters(trainer.model())), (6, after_two));
    trainer.fit(&data, fit(3)).unwrap();
    assert_eq!(parameters(trainer.model()), parameters(expected.model()));
}

#[test]
fn a_panic_in_a_callback_leaves_checkpoints_to_resume_from() {
    let data = examples(48);
    let folder = tempfile::tempdir().unwrap();
    let fit = || {
        let fit = Fit::epochs(4).batch_size(16).checkpoints(folder.path());
        fit.checkpoint_every(bilro::Every::Steps(2)).resume(true)
    };
    let losses = |history: History| bits(&history.losses);
    let mut uninterrupted = trainer(2);
    let expected = losses(uninterrupted.fit(&data, Fit::epochs(4).batch_size(16)).unwrap());
    for number in [1, 3] {
        let panicking = |_: &mut Trainer<Net>, epoch: &EpochReport<'_>| {
            assert!(epoch.number < number, "on purpose");
        };
        let mut trainer = trainer(2);
        let panic = catch_unwind(AssertUnwindSafe(|| trainer.fit_with(&data, fit(), panicking)));
        assert!(panic.is_err());
    }
    let mut trainer = trainer(2);
    assert_eq!(losses(trainer.fit(&data, fit()).unwrap()), expected);
    assert_eq!(parameters(trainer.model()), parameters(uninterrupted.model()));
}

/// A schedule that panics at a time.
#[derive(Debug)]
struct Panicking(usize);

impl Schedule for Panicking {
    fn check(&self) -> bilro::Result<()> {
        Ok(())
    }

    fn learning_rate(&self, base: f32, time: usize) -> f32 {
        assert!(time < self.0, "on purpose");
        base
    }
}

#[test]
fn a_panic_in_a_schedule_leaves_the_trainer_after_its_last_step() {
    let data = examples(48);
    let mut expected = trainer(2);
    expected.fit(&data, Fit::epochs(1).batch_size(16)).unwrap();
    let mut trainer = trainer(2);
    let fit = Fit::epochs(2).batch_size(16).schedule_by_step(Panicking(3));
    assert!(catch_unwind(AssertUnwindSafe(|| trainer.fit(&data, fit))).is_err());
    assert_eq!(trainer.steps(), 3);
    assert_eq!(parameters(trainer.model()), parameters(expected.model()));
    let step = |trainer: &mut Trainer<Net>| {
        let batch = net::Batch { x: data.x(), class: data.y(), activation: ACTIVATIONS[0] };
        trainer.step(batch).unwrap().to_bits()
    };
    assert_eq!(step(&mut trainer), step(&mut expected));
}
