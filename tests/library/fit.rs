//! Training over epochs: monitoring, restoring, printing, callbacks, and how it
//! ends.

use std::ops::ControlFlow;

use bilro::data::Dataset;
use bilro::ndarray::{Array1, Array2};
use bilro::prelude::*;
use bilro::schedule::{ReduceLROnPlateau, StepLR};
use bilro::{Epoch, Error, History, Stop};

mod counted;
#[cfg(unix)]
mod interrupted;
mod told;

network! {
    /// Enough parameters to memorise noise.
    struct Net {
        input x: [8];
        target class: class(2);
        layer fc1 = Linear(64);
        layer norm = BatchNorm1d;
        layer fc2 = Linear(2);
        output logits = fc2(relu(norm(fc1(x))));
        loss cross_entropy(logits, class);
    }
}

type Data = bilro::data::Classification;

/// Examples whose class is the sign of the first of eight numbers, with every
/// fifth label wrong.
fn noisy(examples: usize, seed: u64) -> Data {
    let mut generator = bilro::rng::Generator::new(seed);
    let x = Array2::from_shape_simple_fn((examples, 8), || {
        generator.random_u64() as u32 as f32 / u32::MAX as f32 - 0.5
    });
    let class = Array1::from_shape_fn(examples, |i| u32::from((x[[i, 0]] > 0.0) != (i % 5 == 0)));
    Dataset::new(x, class).unwrap()
}

fn trainer() -> Trainer<Net> {
    Net::trainer(Sgd::new(0.5).momentum(0.9)).seed(1).threads(1).build().unwrap()
}

fn bits(model: &Model<Net>) -> Vec<u32> {
    let parameters = model.named_parameters();
    parameters.flat_map(|(_, p)| p.iter().map(|x| x.to_bits()).collect::<Vec<_>>()).collect()
}

/// The epoch with the lowest validation loss, from the losses themselves.
fn lowest(history: &History) -> usize {
    let loss = |epoch: &&Epoch| epoch.validation.as_ref().unwrap().loss;
    history.epochs.iter().min_by(|a, b| loss(a).total_cmp(&loss(b))).unwrap().number
}

#[test]
fn early_stopping_restores_the_best_epoch_bit_for_bit() {
    let (train, test) = (noisy(60, 1), noisy(100, 2));
    let mut trainer = trainer();
    let mut after = Vec::new();
    let fit = Fit::epochs(500).batch_size(20).validate(&test).early_stopping(7);
    let history =
        trainer.fit_with(&train, fit, |trainer, _| after.push(bits(trainer.model()))).unwrap();
    let best = lowest(&history);
    assert_eq!(history.stop, Stop::Early { best_epoch: best });
    assert_eq!(history.best_epoch, Some(best));
    assert_eq!(history.best().unwrap().number, best);
    assert_eq!(history.epochs.len(), best + 7);
    assert_eq!(history.losses.len(), trainer.steps());
    // Running statistics are among the parameters, and all have changed since.
    assert!(trainer.model().named_parameters().any(|(name, _)| name == "norm.running_mean"));
    assert_eq!(bits(trainer.model()), after[best - 1]);
    assert_ne!(after[best - 1], after[best + 6]);
    let loss = history.best().unwrap().validation.as_ref().unwrap().loss;
    assert_eq!(trainer.model().evaluate(&test).unwrap().loss(), loss);
    // Training can continue.
    trainer.fit(&train, Fit::epochs(1).batch_size(20)).unwrap();
}

#[test]
fn the_best_epoch_is_restored_and_saved_on_request() {
    let (train, test) = (noisy(60, 1), noisy(100, 2));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("best.safetensors");
    for (restore, early) in
        [(None, false), (Some(true), false), (Some(false), true), (Some(true), true)]
    {
        let mut trainer = trainer();
        let mut after = Vec::new();
        let mut fit = Fit::epochs(30).batch_size(20).validate(&test).save_best(&path);
        if let Some(restore) = restore {
            fit = fit.restore_best(restore);
        }
        if early {
            fit = fit.early_stopping(3);
        }
        let history = trainer
            .fit_with(&train, fit, |trainer, epoch| {
                after.push(bits(trainer.model()));
                // The file is the best so far, after every epoch.
                let saved = Net::model().weights(&path).build()?;
                assert_eq!(epoch.is_best, epoch.history.best_epoch == Some(epoch.number));
                assert_eq!(bits(&saved), after[epoch.history.best_epoch.unwrap() - 1]);
                Ok(())
            })
            .unwrap();
        let best = history.best_epoch.unwrap();
        assert_eq!(best, lowest(&history));
        assert_eq!(matches!(history.stop, Stop::Early { .. }), early);
        let expected = if restore == Some(true) { best } else { history.epochs.len() };
        assert_eq!(bits(trainer.model()), after[expected - 1], "{restore:?} {early}");
        assert_ne!(best, history.epochs.len());
        let saved = Net::model().weights(&path).build().unwrap();
        assert_eq!(bits(&saved), after[best - 1]);
    }
}

#[test]
fn improvements_that_are_too_small_do_not_count() {
    let train = noisy(60, 1);
    let run = |fit: Fit<'_>| {
        let mut trainer = Net::trainer(Sgd::new(0.001)).seed(1).build().unwrap();
        trainer.fit(&train, fit.batch_size(60)).unwrap()
    };
    // The loss falls by little in every epoch; without validation the training
    // loss is monitored.
    let all = run(Fit::epochs(12).early_stopping(2));
    assert!(all.epochs.windows(2).all(|pair| pair[1].loss < pair[0].loss));
    assert_eq!((all.stop, all.best_epoch), (Stop::Finished, Some(12)));
    let step = all.epochs[0].loss - all.epochs[1].loss;
    // Three epochs together suffice where one does not.
    let some = run(Fit::epochs(12).early_stopping(4).min_improvement(2.5 * step));
    assert_eq!(some.stop, Stop::Finished);
    let none = run(Fit::epochs(12).early_stopping(2).min_improvement(2.5 * step));
    assert_eq!(none.stop, Stop::Early { best_epoch: 3 });
    assert_eq!(none.epochs.len(), 3);
}

#[test]
fn callbacks_read_every_epoch_change_the_rate_and_stop() {
    let train = noisy(64, 1);
    let mut trainer = trainer();
    let mut weights = Vec::new();
    let fit = Fit::epochs(10).batch_size(16);
    let history = trainer
        .fit_with(&train, fit, |trainer, epoch| {
            weights.push(trainer.model().params().fc2.weight.to_owned());
            assert_eq!(epoch.number, weights.len());
            assert_eq!((epoch.epochs, epoch.history.epochs.len()), (10, epoch.number));
            assert_eq!(epoch.history.losses.len(), 4 * epoch.number);
            assert_eq!(*epoch.epoch, epoch.history.epochs[epoch.number - 1]);
            trainer.set_learning_rate(0.5 / (epoch.number + 1) as f32)?;
            match epoch.number {
                6 => Ok(ControlFlow::Break(())),
                _ => Ok(ControlFlow::Continue(())),
            }
        })
        .unwrap();
    assert_eq!(history.stop, Stop::Callback);
    assert_eq!(history.epochs.len(), 6);
    let rates: Vec<f32> = history.epochs.iter().map(|epoch| epoch.learning_rate).collect();
    assert_eq!(rates, [1, 2, 3, 4, 5, 6].map(|n| 0.5 / n as f32));
    assert!(weights.windows(2).all(|pair| pair[0] != pair[1]));
    assert_eq!(weights[5], trainer.model().params().fc2.weight);

    // A callback that only reads changes nothing.
    let (mut looked, mut alone) = (self::trainer(), self::trainer());
    let fit = || Fit::epochs(3).batch_size(16);
    looked
        .fit_with(&train, fit(), |trainer, _| {
            trainer.model().evaluate(&train).unwrap();
        })
        .unwrap();
    alone.fit(&train, fit()).unwrap();
    assert_eq!(bits(looked.model()), bits(alone.model()));
}

#[test]
fn learning_rates_follow_a_schedule() {
    let data = noisy(40, 1);
    let rates = |history: &History| -> Vec<f32> {
        history.epochs.iter().map(|epoch| epoch.learning_rate).collect()
    };
    let mut one = trainer();
    let start = one.learning_rate();
    let fit = Fit::epochs(4).batch_size(10).schedule(StepLR::new(2).gamma(0.5));
    let history = one.fit(&data, fit).unwrap();
    assert_eq!(rates(&history), [start, start, start / 2.0, start / 2.0]);

    // Four steps per epoch; the recorded rate is that of the last step.
    let mut one = trainer();
    let fit = Fit::epochs(3).batch_size(10).schedule_by_step(StepLR::new(3).gamma(0.5));
    let history = one.fit(&data, fit).unwrap();
    assert_eq!(rates(&history), [start / 2.0, start / 4.0, start / 8.0]);

    // After the first epoch, the monitored loss does not improve by that much.
    let mut one = trainer();
    let plateau = ReduceLROnPlateau::new().factor(0.5).patience(0).threshold(0.999);
    let fit = Fit::epochs(3).batch_size(10).validate(&data).schedule(plateau);
    let history = one.fit(&data, fit).unwrap();
    assert_eq!(rates(&history), [start, start, start / 2.0]);

    let wrong = Fit::epochs(1).schedule(StepLR::new(0));
    assert!(matches!(trainer().fit(&data, wrong), Err(Error::InvalidArgument { .. })));
}

#[test]
fn errors_keep_the_state_after_the_last_step() {
    let train = noisy(64, 1);
    let mut trainer = trainer();
    let mut after = Vec::new();
    let error = trainer
        .fit_with(&train, Fit::epochs(10).batch_size(16), |trainer, epoch| {
            after.push(bits(trainer.model()));
            trainer.set_learning_rate(if epoch.number == 3 { -1.0 } else { 0.1 })
        })
        .unwrap_err();
    assert!(matches!(error, Error::InvalidArgument { .. }), "{error}");
    assert_eq!((after.len(), trainer.steps()), (3, 12));
    assert_eq!(bits(trainer.model()), after[2]);

    // A single example has no variance: the last batch would be an error, which
    // is reported before the first.
    let odd = noisy(33, 1);
    let before = bits(trainer.model());
    let error = trainer.fit(&odd, Fit::epochs(2).batch_size(16)).unwrap_err();
    assert!(matches!(error, Error::SmallBatch { found: 1, .. }), "{error}");
    assert_eq!((trainer.steps(), bits(trainer.model())), (12, before));
    trainer.fit(&odd, Fit::epochs(2).batch_size(16).drop_last(true)).unwrap();

    // With `restore_best` an error also restores the best epoch.
    after.clear();
    let fit = Fit::epochs(10).batch_size(16).restore_best(true);
    let error = trainer.fit_with(&train, fit, |trainer, epoch| {
        after.push(bits(trainer.model()));
        trainer.set_learning_rate(if epoch.number == 2 { 1e30 } else { 0.1 })
    });
    assert!(matches!(error, Err(Error::NonFiniteLoss { .. })));
    assert!(after.contains(&bits(trainer.model())));
}

#[test]
fn the_last_batch_is_dropped_on_request() {
    let data = noisy(50, 1);
    let mut trainer = trainer();
    let history = trainer.fit(&data, Fit::epochs(2).batch_size(16).drop_last(true)).unwrap();
    assert_eq!(history.losses.len(), 6);
    let mean = |losses: &[f32]| losses.iter().map(|x| f64::from(*x)).sum::<f64>() / 3.0;
    for (epoch, losses) in history.epochs.iter().zip(history.losses.chunks(3)) {
        assert!((epoch.loss - mean(losses)).abs() < 1e-12);
    }
    let error = trainer.fit(&data, Fit::epochs(2).batch_size(51).drop_last(true)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "batch_size must be at most 50, the number of examples, \
         where `drop_last` leaves out a smaller batch, but is 51"
    );
}

#[test]
fn the_training_examples_are_evaluated_on_request() {
    let (train, test) = (noisy(64, 1), noisy(40, 2));
    let mut trainer = trainer();
    let fit = Fit::epochs(4).batch_size(16).validate(&test).evaluate_train(true);
    let history = trainer
        .fit_with(&train, fit, |trainer, epoch| {
            let (train, test) =
                (trainer.model().evaluate(&train)?, trainer.model().evaluate(&test)?);
            let (on_train, on_test) =
                (epoch.train.as_ref().unwrap(), epoch.validation.as_ref().unwrap());
            assert_eq!((on_train.loss, on_test.loss), (train.loss(), test.loss()));
            assert_eq!(on_train.metric("accuracy"), Some(train.accuracy()));
            assert_eq!(on_test.metric("accuracy"), Some(test.accuracy()));
            Ok(())
        })
        .unwrap();
    assert_eq!(history.epochs.len(), 4);
    let history = trainer.fit(&train, Fit::epochs(1)).unwrap();
    assert_eq!((&history.epochs[0].train, &history.epochs[0].validation), (&None, &None));
}

#[test]
fn a_rising_loss_is_recorded() {
    let train = noisy(60, 1);
    let mut trainer = trainer();
    let history = trainer
        .fit_with(&train, Fit::epochs(8).batch_size(60), |trainer, epoch| {
            // A step uphill, once.
            trainer.set_learning_rate(if epoch.number == 4 { 50.0 } else { 0.05 })
        })
        .unwrap();
    assert!(!history.epochs[0].loss_rose);
    for pair in history.epochs.windows(2) {
        assert_eq!(pair[1].loss_rose, pair[1].loss > pair[0].loss);
    }
    assert!(history.epochs[5].loss_rose && !history.epochs[1].loss_rose);
}

#[test]
fn invalid_numbers_are_rejected() {
    let data = noisy(60, 1);
    let mut trainer = trainer();
    let before = bits(trainer.model());
    let mut error = |fit: Fit<'_>| trainer.fit(&data, fit).unwrap_err().to_string();
    let fit = || Fit::epochs(3);
    assert_eq!(error(Fit::epochs(0)), "epochs must be at least 1, but is 0");
    assert_eq!(error(fit().batch_size(0)), "batch_size must be at least 1, but is 0");
    assert_eq!(error(fit().early_stopping(0)), "early_stopping must be at least 1, but is 0");
    assert_eq!(error(fit().report_every(0)), "report_every must be at least 1, but is 0");
    let expected = "min_improvement must be a finite number that is not negative, but is";
    assert_eq!(error(fit().min_improvement(-1.0)), format!("{expected} -1"));
    assert_eq!(error(fit().min_improvement(f64::NAN)), format!("{expected} NaN"));
    // A file is not a folder, and is not replaced by one.
    let file = tempfile::NamedTempFile::new().unwrap();
    let message = error(fit().save_best(file.path().join("best.safetensors")));
    assert!(message.contains("cannot be made: "), "{message}");
    assert_eq!((trainer.steps(), bits(trainer.model())), (0, before));
}

/// Mistakes in the last example, or in the validation's, are reported before
/// the first step.
#[test]
fn mismatched_examples_are_rejected_before_the_first_step() {
    let good = noisy(60, 1);
    let mut wrong_class = good.y().to_owned();
    wrong_class[47] = 2;
    let wrong_class = Dataset::new(good.x().to_owned(), wrong_class).unwrap();
    let narrow = Dataset::new(Array2::zeros((3, 7)), Array1::zeros(3)).unwrap();
    let mut trainer = trainer();
    let before = bits(trainer.model());
    let mut error = |data: &Data, fit| trainer.fit(data, fit).unwrap_err().to_string();
    let fit = || Fit::epochs(2).batch_size(10);
    let of_class = |name: &str| {
        format!(
            "`{name}` has index 2 at row 47, but its indices are below 2, since they count from 0: \
             where yours begin at 1, take 1 from all of them (labels of a data set: \
             `data.map_y(|y| y - 1)?`)"
        )
    };
    assert_eq!(error(&wrong_class, fit()), of_class("class"));
    let validated = fit().validate(&wrong_class);
    assert_eq!(error(&good, validated), format!("in the validation data: {}", of_class("class")));
    assert_eq!(
        error(&good, fit().validate(&narrow)),
        "in the validation data: `x` takes examples of shape [8], but was given [7]"
    );
    // The last batch has one example, which has no variance.
    let error = trainer.fit(&noisy(61, 1), fit()).unwrap_err();
    assert!(matches!(error, Error::SmallBatch { found: 1, .. }), "{error}");
    assert_eq!((trainer.steps(), bits(trainer.model())), (0, before));
    assert!(trainer.fit(&good, fit().validate(&good)).is_ok());
}

/// A callback that panics leaves the trainer between two steps.
#[test]
fn a_panic_in_a_callback_leaves_the_parameters() {
    let data = noisy(60, 1);
    let (mut panics, mut full) = (trainer(), trainer());
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        panics.fit_with(&data, Fit::epochs(5), |_, epoch| assert!(epoch.number < 2, "enough"))
    }));
    assert!(caught.is_err());
    full.fit(&data, Fit::epochs(2)).unwrap();
    assert_eq!(panics.steps(), full.steps());
    assert_eq!(bits(panics.model()), bits(full.model()));
    for trainer in [&mut panics, &mut full] {
        trainer.fit(&data, Fit::epochs(1)).unwrap();
    }
    assert_eq!(bits(panics.model()), bits(full.model()));
}
