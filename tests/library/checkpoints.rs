//! Checkpoints: training resumes from any of them and ends with the bits of uninterrupted training,
//! however it was interrupted, and on any instruction set and number of threads.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use bilro::data::{Classification, Dataset};
use bilro::ndarray::{Array1, Array2};
use bilro::prelude::*;
use bilro::schedule::{CosineAnnealingLR, LinearLR, ReduceLROnPlateau, Schedule, StepLR};
use bilro::{Error, History, Stop};

mod damaged;
#[cfg(unix)]
mod killed;
mod trainers;

network! {
    /// Layers with state, and weights: running statistics, dropout, weights of classes.
    struct Net {
        input x: [6];
        target class: class(3);
        layer fc1 = Linear(12);
        layer norm = BatchNorm1d;
        layer fc2 = Linear(3);
        let hidden = x -> fc1 -> norm -> ReLU -> Dropout(0.3);
        output logits = fc2(hidden);
        loss cross_entropy(logits, class, weight = [1.0, 2.0, 0.5]);
    }
}

fn noisy(examples: usize, seed: u64) -> Classification {
    let mut generator = bilro::rng::Generator::new(seed);
    let x = Array2::from_shape_simple_fn((examples, 6), || generator.uniform(-1.0, 1.0));
    let class = Array1::from_shape_fn(examples, |i| u32::from(x[[i, 0]] > 0.0) + (i % 2) as u32);
    Dataset::new(x, class).unwrap()
}

/// A setup of training: the trainer, and the options of `fit`.
struct Setup {
    name: &'static str,
    trainer: fn() -> bilro::TrainerBuilder<Net>,
    fit: for<'v> fn(usize, &'v Classification) -> Fit<'v>,
}

/// A custom schedule that depends on the losses.
#[derive(Debug, Default)]
struct MeanLoss {
    sum: f64,
    count: f64,
}

impl Schedule for MeanLoss {
    fn check(&self) -> bilro::Result<()> {
        Ok(())
    }

    fn learning_rate(&self, base: f32, time: usize) -> f32 {
        base * (0.5 + (self.sum / self.count.max(1.0)) as f32) / (1.0 + time as f32 / 100.0)
    }

    fn observe(&mut self, _: usize, loss: f64) {
        self.sum += loss;
        self.count += 1.0;
    }

    fn state(&self) -> Vec<f64> {
        vec![self.sum, self.count]
    }

    fn restore(&mut self, state: &[f64]) -> bilro::Result<()> {
        let [sum, count] = *state else { return Err("a sum and a count".into()) };
        (self.sum, self.count) = (sum, count);
        Ok(())
    }
}

const SETUPS: &[Setup] = &[
    Setup {
        name: "momentum, dropout, a schedule by step",
        trainer: || Net::trainer(Sgd::new(0.2).momentum(0.9)),
        fit: |epochs, _| {
            Fit::epochs(epochs).batch_size(16).schedule_by_step(CosineAnnealingLR::new(40))
        },
    },
    Setup {
        name: "AMSGrad, accumulated batches, a seed of its own, early stopping, a plateau by epoch",
        trainer: || Net::trainer(Adam::new(0.02).amsgrad()).accumulate(3),
        fit: |epochs, test| {
            Fit::epochs(epochs)
                .batch_size(16)
                .seed(11)
                .validate(test)
                .early_stopping(4)
                .min_improvement(1e9)
                .schedule(
                    LinearLR::new(2).then(2, ReduceLROnPlateau::new().patience(0).threshold(0.5)),
                )
        },
    },
    Setup {
        name: "clipping, scaled learning rates, frozen parameters, a plateau by step, the best epoch",
        trainer: || {
            let optimizer = RMSprop::new(0.01).momentum(0.5).centered();
            let trainer = Net::trainer(optimizer).clip_norm(0.5).accumulate(2);
            trainer.scale_learning_rate("fc2", 0.5).freeze("fc1.bias")
        },
        fit: |epochs, test| {
            Fit::epochs(epochs)
                .batch_size(16)
                .drop_last(true)
                .evaluate_train(true)
                .validate(test)
                .restore_best(true)
                .schedule_by_step(ReduceLROnPlateau::new().patience(2).cooldown(1))
        },
    },
    Setup {
        name: "no shuffling, a custom schedule",
        trainer: || Net::trainer(NAdam::new(0.01)).clip_value(0.1),
        fit: |epochs, _| {
            let schedule = StepLR::new(3).then(7, MeanLoss::default());
            Fit::epochs(epochs).batch_size(16).shuffle(false).schedule_by_step(schedule)
        },
    },
];

/// The results of training, except for times.
#[derive(PartialEq, Debug)]
struct Outcome {
    parameters: Vec<u32>,
    losses: Vec<u32>,
    epochs: String,
    stop: Stop,
    learning_rate: u32,
    steps: usize,
    /// Of further training, which depends on the complete state of the trainer.
    next_loss: u32,
    next: Vec<u32>,
}

fn bits(model: &Model<Net>) -> Vec<u32> {
    let parameters = model.named_parameters();
    parameters.flat_map(|(_, p)| p.iter().map(|x| x.to_bits()).collect::<Vec<_>>()).collect()
}

fn outcome(trainer: &mut Trainer<Net>, history: &History) -> Outcome {
    let mut epochs = history.epochs.clone();
    epochs.iter_mut().for_each(|epoch| epoch.examples_per_second = 0.0);
    let (parameters, learning_rate) = (bits(trainer.model()), trainer.learning_rate().to_bits());
    let (steps, data) = (trainer.steps(), noisy(20, 3));
    let next_loss = trainer.step(net::Batch { x: data.x(), class: data.y() }).unwrap().to_bits();
    trainer.apply_accumulated().unwrap();
    // The next order of examples.
    trainer.fit(&noisy(50, 4), Fit::epochs(1)).unwrap();
    Outcome {
        parameters,
        losses: history.losses.iter().map(|loss| loss.to_bits()).collect(),
        epochs: format!("{epochs:?} best {:?}", history.best_epoch),
        stop: history.stop,
        learning_rate,
        steps,
        next_loss,
        next: bits(trainer.model()),
    }
}

/// A short text of an outcome, for other processes.
fn digest(outcome: &Outcome) -> String {
    let mut crc = flate2::Crc::new();
    crc.update(format!("{outcome:?}").as_bytes());
    format!("{:08x}", crc.sum())
}

const EPOCHS: usize = 7;

fn data() -> (Classification, Classification) {
    (noisy(70, 1), noisy(30, 2))
}

fn run(setup: &Setup, seed: u64, threads: usize, options: impl Fn(Fit<'_>) -> Fit<'_>) -> Outcome {
    let (train, test) = data();
    let mut trainer = (setup.trainer)().seed(seed).threads(threads).build().unwrap();
    let history = trainer.fit(&train, options((setup.fit)(EPOCHS, &test))).unwrap();
    outcome(&mut trainer, &history)
}

/// The checkpoints of a folder, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files
}

/// Trains with a checkpoint after every step; returns the outcome without checkpoints, and the files.
fn trained(setup: &Setup, folder: &Path) -> (Outcome, Vec<PathBuf>) {
    let plain = run(setup, 5, 1, |fit| fit);
    let checked = run(setup, 5, 1, |fit| {
        fit.checkpoints(folder).checkpoint_every(Every::Steps(1)).keep_checkpoints(1000)
    });
    assert_eq!(checked, plain, "{}: checkpoints change nothing", setup.name);
    (plain, files(folder))
}

#[test]
fn training_resumes_from_every_checkpoint_with_the_same_bits() {
    for setup in SETUPS {
        let folder = tempfile::tempdir().unwrap();
        let (expected, files) = trained(setup, folder.path());
        assert!(files.len() >= expected.losses.len(), "{}", setup.name);
        let (train, test) = data();
        // One trainer for all files: resuming replaces its earlier state.
        let mut trainer = (setup.trainer)().seed(99).threads(2).build().unwrap();
        for file in files {
            let fit = (setup.fit)(EPOCHS, &test).resume_from(&file);
            let history = trainer.fit(&train, fit).unwrap();
            assert_eq!(history.resumed.as_ref().unwrap().path, file);
            let found = outcome(&mut trainer, &history);
            assert!(
                found == expected,
                "{}: {} ends with another outcome",
                setup.name,
                file.display()
            );
        }
    }
}

/// One setup stops early, and all schedules change the learning rate.
#[test]
fn setups_use_the_options_that_they_are_for() {
    let outcomes: Vec<Outcome> = SETUPS.iter().map(|setup| run(setup, 5, 1, |fit| fit)).collect();
    assert!(matches!(outcomes[1].stop, Stop::Early { .. }), "{:?}", outcomes[1].stop);
    for (setup, outcome) in SETUPS.iter().zip(&outcomes) {
        assert_ne!(
            outcome.learning_rate,
            (setup.trainer)().build().unwrap().learning_rate().to_bits()
        );
    }
}

#[test]
fn longer_training_resumes_where_shorter_training_ended() {
    let (train, test) = data();
    let setup = &SETUPS[0];
    let folder = tempfile::tempdir().unwrap();
    for epochs in [2, 2, 3, EPOCHS, EPOCHS] {
        let mut trainer = (setup.trainer)().seed(5).build().unwrap();
        let fit =
            (setup.fit)(epochs, &test).checkpoints(folder.path()).keep_checkpoints(2).resume(true);
        let history = trainer.fit(&train, fit).unwrap();
        assert_eq!(history.epochs.len(), epochs);
        if epochs == EPOCHS {
            assert_eq!(outcome(&mut trainer, &history), run(setup, 5, 1, |fit| fit));
        }
    }
    assert_eq!(files(folder.path()).len(), 2);
    // Fewer epochs than are done already are rejected.
    let mut trainer = (setup.trainer)().build().unwrap();
    let fit = (setup.fit)(3, &test).checkpoints(folder.path()).resume(true);
    let error = trainer.fit(&train, fit).unwrap_err().to_string();
    assert!(error.contains("epochs: here 3, in the checkpoint at least 7"), "{error}");
}

#[test]
fn training_stopped_by_its_callback_is_not_run_again() {
    let (train, folder) = (noisy(64, 1), tempfile::tempdir().unwrap());
    let mut called = Vec::new();
    let mut fit = |until: usize| {
        let mut trainer = Net::trainer(Sgd::new(0.1)).seed(5).build().unwrap();
        let fit = Fit::epochs(9)
            .checkpoints(folder.path())
            .checkpoint_every(Every::Steps(3))
            .resume(true);
        let history = trainer.fit_with(&train, fit, |trainer, report| {
            called.push(report.number);
            // Learning rates set by a callback are restored too.
            trainer.set_learning_rate(0.1 / report.number as f32)?;
            assert_eq!(report.history.epochs.len(), report.number);
            Ok(if report.number == until {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        });
        (outcome(&mut trainer, history.as_ref().unwrap()), history.unwrap().stop)
    };
    let first = fit(4);
    assert_eq!(first.1, Stop::Callback);
    assert_eq!(fit(4), first);
    assert_eq!(called, [1, 2, 3, 4]);
}

#[test]
fn checkpoints_are_written_at_their_interval_and_the_last_are_kept() {
    let numbers = |every: Every, keep: usize| {
        let folder = tempfile::tempdir().unwrap();
        let mut trainer = Net::trainer(Sgd::new(0.1)).build().unwrap();
        // Four steps an epoch.
        let fit = Fit::epochs(5).batch_size(16).checkpoints(folder.path());
        trainer.fit(&noisy(64, 1), fit.checkpoint_every(every).keep_checkpoints(keep)).unwrap();
        let name = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_string();
        let number = |path| name(path).strip_prefix("checkpoint-").unwrap().parse().unwrap();
        files(folder.path()).into_iter().map(number).collect::<Vec<usize>>()
    };
    assert_eq!(numbers(Every::Epochs(1), 3), [12, 16, 20]);
    assert_eq!(numbers(Every::Epochs(2), 9), [8, 16, 20]);
    assert_eq!(numbers(Every::Steps(6), 9), [6, 12, 18, 20]);
    assert_eq!(numbers(Every::Steps(7), 1), [20]);
    assert_eq!(numbers(Every::Minutes(1e9), 9), [20]);
    assert_eq!(numbers(Every::Minutes(1e-12), 99), (1..=20).collect::<Vec<_>>());
}

#[test]
fn checkpoints_of_another_run_are_left_alone() {
    let (train, folder) = (noisy(64, 1), tempfile::tempdir().unwrap());
    let trainer = || Net::trainer(Sgd::new(0.1)).seed(1).build().unwrap();
    let fit = || Fit::epochs(2).checkpoints(folder.path()).checkpoint_every(Every::Steps(1));
    fs::write(folder.path().join("notes.txt"), "mine").unwrap();
    trainer().fit(&train, fit().keep_checkpoints(99)).unwrap();
    let before = files(folder.path());

    let mut second = trainer();
    let (start, error) = (bits(second.model()), second.fit(&train, fit()).unwrap_err());
    assert!(matches!(error, Error::InvalidArgument { .. }), "{error}");
    assert!(error.to_string().contains("`resume(true)` resumes"), "{error}");
    // The same for resuming from a file older than others.
    let error = second.fit(&train, fit().resume_from(&before[1])).unwrap_err();
    assert!(error.to_string().contains("newer than the one to resume from"), "{error}");
    assert_eq!((bits(second.model()), second.steps()), (start, 0));
    assert_eq!(files(folder.path()), before);

    let elsewhere = tempfile::tempdir().unwrap();
    second.fit(&train, fit().checkpoints(elsewhere.path()).resume_from(&before[1])).unwrap();
    assert_eq!(files(folder.path()), before);
    assert_eq!(files(elsewhere.path()).len(), 2);
}

#[test]
fn all_differing_options_are_listed() {
    let (train, test) = data();
    let folder = tempfile::tempdir().unwrap();
    let setup = &SETUPS[1];
    let mut trainer = (setup.trainer)().seed(5).build().unwrap();
    let fit = (setup.fit)(3, &test).checkpoints(folder.path());
    trainer.fit(&train, fit).unwrap();

    let mut trainer = Net::trainer(Adam::new(0.02)).accumulate(2).clip_norm(1.0).build().unwrap();
    let before = (bits(trainer.model()), trainer.learning_rate());
    let fit = Fit::epochs(1)
        .batch_size(8)
        .drop_last(true)
        .schedule_by_step(StepLR::new(3))
        .checkpoints(folder.path())
        .resume(true);
    let error = trainer.fit(&noisy(64, 1), fit).unwrap_err();
    let Error::Checkpoint { mismatch, .. } = &error else { panic!("{error}") };
    let what: Vec<&str> = mismatch.differences.iter().map(|d| d.what.as_str()).collect();
    let expected = [
        "the optimizer",
        "the limit of gradients",
        "accumulate",
        "the number of examples",
        "the examples (a checksum)",
        "batch_size",
        "drop_last",
        "seed",
        "the schedule",
        "the validation data (a checksum)",
        "epochs",
    ];
    assert_eq!(what, expected);
    assert!(
        error.to_string().contains("\n  batch_size: here 8, in the checkpoint 16\n"),
        "{error}"
    );
    assert_eq!((bits(trainer.model()), trainer.learning_rate()), before);
    assert_eq!(trainer.steps(), 0);

    for (fit, name) in [
        (Fit::epochs(1).resume(true), "resume(true)"),
        (Fit::epochs(1).checkpoints(folder.path()).keep_checkpoints(0), "keep_checkpoints"),
        (Fit::epochs(1).checkpoint_every(Every::Steps(0)), "checkpoint_every"),
        (Fit::epochs(1).checkpoint_every(Every::Minutes(f64::NAN)), "checkpoint_every"),
        (Fit::epochs(1).checkpoint_every(Every::Minutes(0.0)), "checkpoint_every"),
    ] {
        let error = trainer.fit(&train, fit).unwrap_err();
        assert!(matches!(&error, Error::InvalidArgument { name: n, .. } if n == name), "{error}");
    }
}
