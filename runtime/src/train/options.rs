//! Options of `fit`: epochs, batches, schedules, validation, early stopping, progress.

use std::path::PathBuf;

use ndarray::{Dimension, Ix1, Ix2};

use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::model::Trainer;
use crate::schedule::Schedule;

/// How often a schedule changes the learning rate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Per {
    Step,
    Epoch,
}

/// How often [`Fit::checkpoints`] are written.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Every {
    /// Every this many epochs; at least 1.
    Epochs(usize),
    /// Every this many steps of `fit`; at least 1.
    Steps(usize),
    /// After the first step at least this many minutes after the last checkpoint; above 0.
    Minutes(f64),
}

/// The checkpoint that training resumes from.
#[derive(Clone, Debug)]
pub(super) enum Resume {
    No,
    /// The newest checkpoint in the folder of checkpoints.
    Newest,
    From(PathBuf),
}

/// Options of [`Trainer::fit`](crate::Trainer::fit).
///
/// ```
/// use bilro::prelude::*;
///
/// # network! {
/// #     struct Digits {
/// #         input image: [64];
/// #         target digit: class(10);
/// #         output logits = image -> Linear(10);
/// #         loss cross_entropy(logits, digit);
/// #     }
/// # }
/// let (train, test) = data::digits()?.split(0.8, 7)?;
/// let mut trainer = Digits::trainer(Sgd::new(0.1)).build()?;
/// let fit = Fit::epochs(100).batch_size(64).validate(&test).early_stopping(3);
/// let history = trainer.fit(&train, fit)?;
/// assert!(history.best().unwrap().loss < history.epochs[0].loss);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Debug)]
pub struct Fit<'v, A = f32, DX: Dimension = Ix2, B = u32, DY: Dimension = Ix1> {
    pub(super) epochs: usize,
    pub(super) batch_size: usize,
    pub(super) drop_last: bool,
    pub(super) shuffle: bool,
    pub(super) seed: Option<u64>,
    pub(super) schedule: Option<(Per, Box<dyn Schedule>)>,
    pub(super) validation: Option<&'v Dataset<A, DX, B, DY>>,
    pub(super) evaluate_train: bool,
    pub(super) patience: Option<usize>,
    pub(super) min_improvement: f64,
    pub(super) restore_best: Option<bool>,
    pub(super) save_best: Option<PathBuf>,
    pub(super) checkpoints: Option<PathBuf>,
    pub(super) checkpoint_every: Every,
    pub(super) keep_checkpoints: usize,
    pub(super) resume: Resume,
    pub(super) progress: bool,
    pub(super) report_every: usize,
    pub(super) warn_when_loss_rises: bool,
    #[cfg(feature = "ctrl-c")]
    pub(super) stop_on_ctrl_c: bool,
}

impl<'v, A, DX: Dimension, B, DY: Dimension> Fit<'v, A, DX, B, DY> {
    /// A number of passes over the data, in shuffled batches of 32, without output.
    pub fn epochs(epochs: usize) -> Self {
        Fit {
            epochs,
            batch_size: 32,
            drop_last: false,
            shuffle: true,
            seed: None,
            schedule: None,
            validation: None,
            evaluate_train: false,
            patience: None,
            min_improvement: 0.0,
            restore_best: None,
            save_best: None,
            checkpoints: None,
            checkpoint_every: Every::Epochs(1),
            keep_checkpoints: 3,
            resume: Resume::No,
            progress: false,
            report_every: 1,
            warn_when_loss_rises: true,
            #[cfg(feature = "ctrl-c")]
            stop_on_ctrl_c: false,
        }
    }

    /// Examples in a batch; default 32. The last batch of an epoch may have fewer.
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.batch_size = batch_size;
        self
    }

    /// Whether to leave out the last batch of an epoch if it has fewer examples than
    /// the others; default `false`. If epochs are shuffled, other examples are left
    /// out each time.
    pub fn drop_last(mut self, drop_last: bool) -> Self {
        self.drop_last = drop_last;
        self
    }

    /// Whether every epoch has a new random order of the examples, the default, or
    /// that of the data set.
    pub fn shuffle(mut self, shuffle: bool) -> Self {
        self.shuffle = shuffle;
        self
    }

    /// The seed of the orders. By default, they continue the random numbers of the
    /// parameters, as in a PyTorch script with one `manual_seed`.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// A schedule for the learning rate of every epoch, counted from 0; constant by
    /// default. A schedule that depends on the loss, as
    /// [`ReduceLROnPlateau`](crate::schedule::ReduceLROnPlateau), observes the
    /// monitored loss, see [`validate`](Self::validate).
    pub fn schedule(mut self, schedule: impl Schedule + 'static) -> Self {
        self.schedule = Some((Per::Epoch, Box::new(schedule)));
        self
    }

    /// The same for every step, counted from 0; a schedule that depends on the loss
    /// observes that of every step.
    pub fn schedule_by_step(mut self, schedule: impl Schedule + 'static) -> Self {
        self.schedule = Some((Per::Step, Box::new(schedule)));
        self
    }

    /// Evaluates these examples after every epoch; none by default. Their loss
    /// is the monitored one, used by [`early_stopping`](Self::early_stopping),
    /// [`restore_best`](Self::restore_best), [`save_best`](Self::save_best) and
    /// [`History::best_epoch`](crate::History::best_epoch). Without validation
    /// data it is the training loss, [`Epoch::loss`](crate::Epoch::loss).
    pub fn validate(mut self, data: &'v Dataset<A, DX, B, DY>) -> Self {
        self.validation = Some(data);
        self
    }

    /// Whether to evaluate the training examples too after every epoch: loss and
    /// metrics of the current model, to compare with those of the validation.
    /// Default `false`, because it takes time, and the training loss is known
    /// without it, as the mean over the epoch, while the model changed.
    pub fn evaluate_train(mut self, evaluate_train: bool) -> Self {
        self.evaluate_train = evaluate_train;
        self
    }

    /// Stops after `patience` epochs in a row, at least 1, without an improvement of
    /// the monitored loss, and restores the parameters of the best epoch. NaN is no
    /// improvement; epochs before the first loss that is a number do not count. By
    /// default, all epochs are run.
    pub fn early_stopping(mut self, patience: usize) -> Self {
        self.patience = Some(patience);
        self
    }

    /// The minimum decrease of the monitored loss that
    /// [`early_stopping`](Self::early_stopping) counts as an improvement; default
    /// 0, any decrease. Small decreases add up over epochs: a loss is compared with
    /// the last one that counted as an improvement. The best epoch does not depend on
    /// this.
    pub fn min_improvement(mut self, min_improvement: f64) -> Self {
        self.min_improvement = min_improvement;
        self
    }

    /// Whether to end with the parameters of the best epoch. By default, they
    /// are restored only after early stopping; `true` restores them however
    /// training ends, also after all epochs, by a callback, an interruption or an
    /// error; `false` never.
    ///
    /// The model is restored bit by bit: parameters and running statistics.
    /// Optimizer state such as momentum, the learning rate and the number of steps
    /// stay as they are at the end.
    pub fn restore_best(mut self, restore_best: bool) -> Self {
        self.restore_best = Some(restore_best);
        self
    }

    /// Writes the model to this file, as [`Model::save`](crate::Model::save)
    /// does, after every epoch whose monitored loss is the lowest so far, never
    /// after one whose loss is NaN. The first such epoch replaces an existing file.
    /// By default, nothing is written.
    pub fn save_best(mut self, path: impl Into<PathBuf>) -> Self {
        self.save_best = Some(path.into());
        self
    }

    /// Writes checkpoints to this folder: files from which [`resume`](Self::resume) continues a
    /// training that was killed, and ends with the same bits. One is written after
    /// every epoch, unless [`checkpoint_every`](Self::checkpoint_every) is set, at the end of
    /// training, and if Ctrl-C interrupts it. By default none is written.
    ///
    /// ```
    /// use bilro::prelude::*;
    ///
    /// # network! {
    /// #     struct Digits {
    /// #         input image: [64];
    /// #         target digit: class(10);
    /// #         output logits = image -> Linear(10);
    /// #         loss cross_entropy(logits, digit);
    /// #     }
    /// # }
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let folder = &directory.path().join("digits");
    /// # /*
    /// let folder = "runs/digits";
    /// # */
    /// let data = data::digits()?;
    /// let mut trainer = Digits::trainer(Sgd::new(0.1).momentum(0.9)).seed(7).build()?;
    /// // Killed and run again any number of times, the program ends with the same result.
    /// let fit = Fit::epochs(4).checkpoints(folder).checkpoint_every(Every::Minutes(10.0)).resume(true);
    /// let history = trainer.fit(&data, fit)?;
    /// assert_eq!(history.epochs.len(), 4);
    /// # Ok::<(), bilro::Error>(())
    /// ```
    ///
    /// A file is named `checkpoint-<steps of fit>.safetensors`. It has the state of the trainer,
    /// as [`Trainer::save_checkpoint`] writes it, and of `fit`: epoch and batch, order of the
    /// examples, schedule, early stopping with the best parameters, history. The last 3 are kept,
    /// see [`keep_checkpoints`](Self::keep_checkpoints): an older one is removed after the new one
    /// is on the disk, and files with other names are never removed. A missing folder is created;
    /// each `fit` of a program needs a separate folder. If the folder has checkpoints newer than the
    /// one that training resumes from, such as those of another run, `fit` returns
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) without training.
    ///
    /// Variables of a callback are not in a checkpoint. If training is killed between the end of an
    /// epoch and its checkpoint, the callback is called for that epoch again.
    pub fn checkpoints(mut self, folder: impl Into<PathBuf>) -> Self {
        self.checkpoints = Some(folder.into());
        self
    }

    /// How often [`checkpoints`](Self::checkpoints) are written; default `Every::Epochs(1)`. After
    /// the last step of an epoch, a checkpoint is written after evaluation and callback.
    pub fn checkpoint_every(mut self, every: Every) -> Self {
        self.checkpoint_every = every;
        self
    }

    /// How many [`checkpoints`](Self::checkpoints) are kept, the newest ones; at least 1, default 3.
    pub fn keep_checkpoints(mut self, count: usize) -> Self {
        self.keep_checkpoints = count;
        self
    }

    /// Whether to resume from the newest checkpoint in the folder of
    /// [`checkpoints`](Self::checkpoints); default `false`. If the folder has none, training starts
    /// from the beginning. Trainer, data and options must be those of the run that wrote it:
    /// otherwise `fit` returns [`Error::Checkpoint`](crate::Error::Checkpoint) with all differences,
    /// and nothing is changed. Only these may differ: the seed of the model, threads, instruction
    /// set, backend, verification, options of progress and checkpoints, `epochs`, `evaluate_train`,
    /// and options of early stopping and of the best epoch.
    ///
    /// A damaged newest checkpoint is skipped, and training resumes from the one before it;
    /// [`History::resumed`](crate::History::resumed) lists the skipped ones, and with
    /// [`progress`](Self::progress) a line reports it. If all are damaged, `fit`
    /// returns [`Error::Damaged`](crate::Error::Damaged).
    ///
    /// History and epoch reports are those of the whole training, except for times. A finished
    /// training is not run again: `fit` returns its history, and the model is as it was.
    pub fn resume(mut self, resume: bool) -> Self {
        self.resume = if resume { Resume::Newest } else { Resume::No };
        self
    }

    /// Like [`resume`](Self::resume), from a file, which must exist.
    pub fn resume_from(mut self, path: impl Into<PathBuf>) -> Self {
        self.resume = Resume::From(path.into());
        self
    }

    /// Whether to print progress: a bar in a terminal, with the feature `progress`,
    /// and a line for every epoch. Default `false`.
    pub fn progress(mut self, progress: bool) -> Self {
        self.progress = progress;
        self
    }

    /// Prints progress only every `epochs` epochs, and for the last; default 1.
    /// `report_every(epochs / 10)` prints ten lines.
    pub fn report_every(mut self, epochs: usize) -> Self {
        self.report_every = epochs;
        self
    }

    /// Whether a progress line notes that its training loss is above that of the line
    /// before; default `true`. [`Epoch::loss_rose`](crate::Epoch::loss_rose)
    /// records it for every epoch in any case.
    pub fn warn_when_loss_rises(mut self, warn: bool) -> Self {
        self.warn_when_loss_rises = warn;
        self
    }

    /// Whether Ctrl-C, and on Unix SIGTERM, ends training instead of the program; default `false`.
    /// The current step is finished, a checkpoint is written if there are
    /// [`checkpoints`](Self::checkpoints), the model stays as trained so far, and
    /// [`History::stop`](crate::History::stop) is
    /// [`Stop::Interrupted`](crate::Stop::Interrupted). A second Ctrl-C, or one
    /// while no `fit` listens, ends the program with code 130; a second SIGTERM ends it by that signal.
    ///
    /// The first `fit` with this option installs handlers for the process, by
    /// the crates `ctrlc` and `signal-hook`, replacing any others. If the program has set one with
    /// `ctrlc` itself, `fit` returns [`Error::CtrlC`](crate::Error::CtrlC) without
    /// training; such a program stops training by a callback.
    #[cfg(feature = "ctrl-c")]
    pub fn stop_on_ctrl_c(mut self, stop: bool) -> Self {
        self.stop_on_ctrl_c = stop;
        self
    }

    /// Passes the last loss to the schedule and sets the learning rate for a time, if the
    /// schedule is per step or per epoch as `per`.
    pub(super) fn follow<N>(
        &mut self,
        trainer: &mut Trainer<N>,
        per: Per,
        time: usize,
        last_loss: Option<f64>,
    ) -> Result<()> {
        let Some((_, schedule)) = self.schedule.as_mut().filter(|(unit, _)| *unit == per) else {
            return Ok(());
        };
        if let (Some(loss), Some(last)) = (last_loss, time.checked_sub(1)) {
            schedule.observe(last, loss);
        }
        trainer.follow(&**schedule, time)
    }

    /// The sizes of batches in an epoch: of full batches, and of a smaller last one.
    pub(super) fn batch_sizes(&self, examples: usize) -> impl Iterator<Item = usize> {
        let full = Some(self.batch_size).filter(|size| *size <= examples);
        let last = Some(examples % self.batch_size).filter(|size| *size > 0 && !self.drop_last);
        full.into_iter().chain(last)
    }

    /// Checks the options, for a number of training examples.
    pub(super) fn check(&self, examples: usize) -> Result<()> {
        let counts = [
            ("epochs", self.epochs),
            ("batch_size", self.batch_size),
            ("early_stopping", self.patience.unwrap_or(1)),
            ("report_every", self.report_every),
            ("keep_checkpoints", self.keep_checkpoints),
            (
                "checkpoint_every",
                match self.checkpoint_every {
                    Every::Epochs(n) | Every::Steps(n) => n,
                    Every::Minutes(_) => 1,
                },
            ),
        ];
        let invalid = |name: &str, expected: String, found: String| {
            Err(Error::InvalidArgument { name: name.into(), expected, found })
        };
        for (name, found) in counts {
            if found == 0 {
                return invalid(name, "at least 1".into(), "0".into());
            }
        }
        if !(self.min_improvement.is_finite() && self.min_improvement >= 0.0) {
            let expected = "a finite number that is not negative".into();
            return invalid("min_improvement", expected, self.min_improvement.to_string());
        }
        if let Every::Minutes(minutes) = self.checkpoint_every
            && !(minutes.is_finite() && minutes > 0.0)
        {
            let expected = "a finite number of minutes above 0".into();
            return invalid("checkpoint_every", expected, minutes.to_string());
        }
        if matches!(self.resume, Resume::Newest) && self.checkpoints.is_none() {
            let expected = "set together with `checkpoints(folder)`, the folder to read".into();
            return invalid("resume(true)", expected, "set without it".into());
        }
        if self.drop_last && self.batch_size > examples {
            let expected = format!(
                "at most {examples}, the number of examples, where `drop_last` leaves out a smaller batch"
            );
            return invalid("batch_size", expected, self.batch_size.to_string());
        }
        Ok(())
    }
}
