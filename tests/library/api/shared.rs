//! One model shared by many threads, and clones of models.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use bilro::ndarray::{Array2, Axis, s};
use bilro::prelude::*;
use bilro::{DynModel, DynTrainer, Optimizer};
use bilro_compiler::graph::NodeId;
use bilro_compiler::optim::{Update, WrongNumber};

use super::{Digits, digits, trainer};

network! {
    /// Dropout differs in every step.
    struct Random {
        input x: [8];
        target y: [2];
        output p = x -> Linear(16) -> Dropout(0.5) -> Linear(2);
        loss mse_loss(p, y);
    }
}

fn bits(array: &Array2<f32>) -> Vec<u32> {
    array.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn models_and_trainers_may_be_sent_and_shared() {
    fn check<T: Send + Sync>() {}
    check::<Model<Digits>>();
    check::<Trainer<Digits>>();
    check::<DynModel>();
    check::<DynTrainer>();
}

/// For any simultaneous calls, and any size of the code cache.
#[test]
fn one_model_serves_many_threads_with_the_same_bits() {
    let data = data::digits().unwrap().rows(..60).unwrap();
    for (backend, threads, cache) in [
        (Backend::Jit, 1, 64 << 20),
        (Backend::Jit, 2, 64 << 20),
        (Backend::Jit, 1, 0),
        (Backend::Jit, 2, 20_000),
        (Backend::Interpreter, 1, 0),
    ] {
        let builder = Digits::model().seed(3).backend(backend).threads(threads);
        let model = Arc::new(builder.code_cache(cache).build().unwrap());
        let expected: Vec<Vec<u32>> = (0..12)
            .map(|rows| {
                let image = data.x().slice_move(s![..=5 * rows, ..]);
                bits(&model.predict(digits::Input { image }).unwrap().logits)
            })
            .collect();
        let batch = || digits::Batch { image: data.x(), digit: data.y() };
        let loss = model.evaluate(&data).unwrap().loss();
        let gradients = model.gradients(batch()).unwrap().fc2.weight.clone();
        thread::scope(|scope| {
            for number in 0..8 {
                let (model, data, expected) = (model.clone(), &data, &expected);
                let (batch, gradients) = (&batch, &gradients);
                scope.spawn(move || {
                    for round in 0..if backend == Backend::Jit { 60 } else { 4 } {
                        let rows = (round * 7 + number) % 12;
                        let image = data.x().slice_move(s![..=5 * rows, ..]);
                        let found = model.predict(digits::Input { image }).unwrap().logits;
                        assert_eq!(bits(&found), expected[rows]);
                        if round % 10 == number {
                            assert_eq!(model.evaluate(data).unwrap().loss(), loss);
                            assert_eq!(model.gradients(batch()).unwrap().fc2.weight, *gradients);
                        }
                    }
                });
            }
        });
    }
}

#[test]
fn a_clone_has_separate_parameters_training_and_random_numbers() {
    let x = Array2::from_shape_fn((4, 8), |(i, j)| (i * 8 + j) as f32 / 32.0);
    let y = Array2::from_shape_fn((4, 2), |(i, j)| (i + j) as f32);
    let batch = || random::Batch { x: x.view(), y: y.view() };
    for backend in [Backend::Jit, Backend::Interpreter] {
        let mut first = Random::trainer(Adam::new(0.01)).seed(1).backend(backend).build().unwrap();
        for _ in 0..5 {
            first.step(batch()).unwrap();
        }
        let copy = first.model().clone();
        let weight = |model: &Model<Random>| bits(&model.params().linear1.weight.to_owned());
        let before = weight(&copy);
        assert_eq!(before, weight(first.model()));
        // The clone draws the same numbers as the model.
        let draws = |model: &Model<Random>| model.gradients(batch()).unwrap().loss.to_bits();
        let drawn = draws(&copy);
        assert_eq!(drawn, draws(first.model()));
        first.step(batch()).unwrap();
        assert_ne!(weight(first.model()), before);
        assert_ne!(draws(first.model()), drawn);
        assert_eq!((weight(&copy), draws(&copy)), (before.clone(), drawn));
        // Trainers of two clones start alike, regardless of the model's own optimizer state.
        let run = |model: Model<Random>| {
            let mut trainer = model.into_trainer(Adam::new(0.01)).build().unwrap();
            for _ in 0..5 {
                trainer.step(batch()).unwrap();
            }
            weight(trainer.model())
        };
        let after = run(copy.try_clone().unwrap());
        assert_eq!(run(copy.clone()), after);
        assert_ne!(after, before);
        assert_eq!(weight(&copy), before);
        // The model continues as if there were no clone.
        let mut again = Random::trainer(Adam::new(0.01)).seed(1).backend(backend).build().unwrap();
        for _ in 0..8 {
            again.step(batch()).unwrap();
        }
        for _ in 0..2 {
            first.step(batch()).unwrap();
        }
        assert_eq!(weight(first.model()), weight(again.model()));
    }
}

/// A clone that replaces a trainer's model has no optimizer state.
#[test]
fn a_clone_that_replaces_a_trainers_model_starts_anew() {
    let data = data::digits().unwrap().rows(..32).unwrap();
    let batch = || digits::Batch { image: data.x(), digit: data.y() };
    let mut trainer = Digits::trainer(Sgd::new(0.1).momentum(0.9)).accumulate(2).build().unwrap();
    for _ in 0..3 {
        trainer.step(batch()).unwrap();
    }
    let copy = trainer.model().clone();
    let mut fresh = copy.clone().into_trainer(Sgd::new(0.1).momentum(0.9)).accumulate(2).build();
    let fresh = fresh.as_mut().unwrap();
    *trainer.model_mut() = copy;
    for _ in 0..4 {
        assert_eq!(trainer.step(batch()).unwrap(), fresh.step(batch()).unwrap());
    }
    let weight = |trainer: &Trainer<Digits>| bits(&trainer.model().params().fc1.weight.to_owned());
    assert_eq!(weight(&trainer), weight(fresh));
}

#[test]
fn code_is_freed_with_its_last_user() {
    let data = data::digits().unwrap().rows(..10).unwrap();
    let input = || digits::Input { image: data.x() };
    let mut model = Digits::model().seed(1).build().unwrap();
    let expected = bits(&model.predict(input()).unwrap().logits);
    let copy = model.clone();
    model.empty_cache();
    assert_eq!(bits(&copy.predict(input()).unwrap().logits), expected);
    drop(copy);
    assert_eq!(bits(&model.predict(input()).unwrap().logits), expected);
}

/// An optimizer that panics in its update.
#[derive(Debug)]
struct Panicking;

impl Optimizer for Panicking {
    fn name(&self) -> &'static str {
        "panicking"
    }
    fn check(&self) -> Result<(), WrongNumber> {
        Ok(())
    }
    fn learning_rate(&self) -> f32 {
        0.1
    }
    fn scalar(&self, _: &str, _: u64, rate: f32) -> Option<f32> {
        Some(rate)
    }
    fn update(&self, _: &mut Update<'_>) -> NodeId {
        panic!("as told")
    }
}

#[test]
fn a_panic_in_one_call_does_not_poison_the_model() {
    let data = data::digits().unwrap().rows(..20).unwrap();
    let batch = || digits::Batch { image: data.x(), digit: data.y() };
    let input = || digits::Input { image: data.x() };
    let model = trainer(Backend::Jit, 1).into_model();
    let expected = bits(&model.predict(input()).unwrap().logits);
    let mut trainer = model.into_trainer(Panicking).build().unwrap();
    for _ in 0..2 {
        assert!(catch_unwind(AssertUnwindSafe(|| trainer.step(batch()))).is_err());
        assert_eq!(bits(&trainer.model().predict(input()).unwrap().logits), expected);
    }
    let mut trainer = trainer.into_model().into_trainer(Sgd::new(0.1)).build().unwrap();
    assert!(trainer.step(batch()).unwrap() >= trainer.step(batch()).unwrap());
    assert_eq!(trainer.model().predict(input()).unwrap().logits.len_of(Axis(0)), 20);
}
