//! Options of `fit`.
//!
//! What a [`Fit`] says: how long and in what batches to train, what to watch,
//! what to tell.

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
    /// After so many epochs, at least 1.
    Epochs(usize),
    /// After so many steps of `fit`, at least 1.
    Steps(usize),
    /// After the first step that is done when so many minutes, above 0, have gone by.
    Minutes(f64),
}

/// What training goes on from.
#[derive(Clone, Debug)]
pub(super) enum Resume {
    No,
    /// The newest in the folder of checkpoints.
    Newest,
    From(PathBuf),
}

/// How [`Trainer::fit`](crate::Trainer::fit) trains.
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
    /// So many times over the data, in shuffled batches of 32, without telling.
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

    /// Examples in a batch, 32 by default; the last of an epoch may have
    /// fewer.
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.batch_size = batch_size;
        self
    }

    /// Whether to leave out the last batch of an epoch where it has fewer
    /// examples than the others; not left out by default. Where epochs are
    /// shuffled, it is other examples every time.
    pub fn drop_last(mut self, drop_last: bool) -> Self {
        self.drop_last = drop_last;
        self
    }

    /// Whether every epoch goes through the examples in an order of its own,
    /// the default, or always in theirs.
    pub fn shuffle(mut self, shuffle: bool) -> Self {
        self.shuffle = shuffle;
        self
    }

    /// The seed of the orders. By default, the generator that drew the
    /// parameters goes on, as in a PyTorch script with one `manual_seed`.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Makes the learning rate of every epoch, counted from 0, what a schedule
    /// says; it stays as it is by default. A schedule that goes by the loss, as
    /// [`ReduceLROnPlateau`](crate::schedule::ReduceLROnPlateau), is told the one
    /// that is watched.
    pub fn schedule(mut self, schedule: impl Schedule + 'static) -> Self {
        self.schedule = Some((Per::Epoch, Box::new(schedule)));
        self
    }

    /// The same for every step, counted from 0; a schedule that goes by the loss
    /// is told that of every step.
    pub fn schedule_by_step(mut self, schedule: impl Schedule + 'static) -> Self {
        self.schedule = Some((Per::Step, Box::new(schedule)));
        self
    }

    /// Evaluates these examples after every epoch; none by default. Their loss
    /// is then the one that is watched: by
    /// [`early_stopping`](Self::early_stopping),
    /// [`restore_best`](Self::restore_best), [`save_best`](Self::save_best) and
    /// [`History::best_epoch`](crate::History::best_epoch). Where nothing is
    /// validated, it is the training loss, [`Epoch::loss`](crate::Epoch::loss).
    pub fn validate(mut self, data: &'v Dataset<A, DX, B, DY>) -> Self {
        self.validation = Some(data);
        self
    }

    /// Whether to evaluate the training examples as well after every epoch, as
    /// the model then is: loss and metrics, to compare with those of the
    /// validation. Not by default, because it takes time, and the training loss
    /// is known without it: as the mean over the epoch, while the model changed.
    pub fn evaluate_train(mut self, evaluate_train: bool) -> Self {
        self.evaluate_train = evaluate_train;
        self
    }

    /// Stops when the watched loss has not improved for so many epochs in a
    /// row, at least 1, and gives the model the parameters of its best epoch.
    /// NaN is no improvement; before the first epoch whose loss is a number there
    /// is nothing to improve on, and no epoch counts. By default, all epochs are
    /// run.
    pub fn early_stopping(mut self, patience: usize) -> Self {
        self.patience = Some(patience);
        self
    }

    /// By how much the watched loss must fall below the lowest so far for
    /// [`early_stopping`](Self::early_stopping) to count it as better; 0, by
    /// any amount, by default. Several epochs may do it together: what is
    /// compared with is the loss that was last counted as better. Which epoch
    /// is the best does not depend on it.
    pub fn min_improvement(mut self, min_improvement: f64) -> Self {
        self.min_improvement = min_improvement;
        self
    }

    /// Whether to end with the parameters of the best epoch. By default, they
    /// are restored where early stopping has stopped, and only there; `true`
    /// restores them however training ends: after all epochs, by a callback, an
    /// interruption or an error too; `false` never.
    ///
    /// Restored is the model: parameters and whatever else a file of it holds,
    /// as running statistics, bit by bit. What the optimizer keeps for itself,
    /// such as momentum, the learning rate and the number of steps stay as they
    /// are at the end.
    pub fn restore_best(mut self, restore_best: bool) -> Self {
        self.restore_best = Some(restore_best);
        self
    }

    /// Writes the model to this file, as [`Model::save`](crate::Model::save)
    /// does, after every epoch whose watched loss is the lowest so far. A file
    /// that was there is replaced by the first epoch; by none whose loss is NaN.
    /// By default, nothing is written.
    pub fn save_best(mut self, path: impl Into<PathBuf>) -> Self {
        self.save_best = Some(path.into());
        self
    }

    /// Writes checkpoints to this folder, from which [`resume`](Self::resume) goes on as if training
    /// had never ended, with the same bits: after every epoch unless
    /// [`checkpoint_every`](Self::checkpoint_every) says otherwise, when training ends, and when Ctrl-C interrupts
    /// it. The last 3 are kept, see [`keep_checkpoints`](Self::keep_checkpoints). By default, none is written.
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
    /// // Run once or a hundred times, and killed in between: the result is the same.
    /// let fit = Fit::epochs(4).checkpoints(folder).checkpoint_every(Every::Minutes(10.0)).resume(true);
    /// let history = trainer.fit(&data, fit)?;
    /// assert_eq!(history.epochs.len(), 4);
    /// # Ok::<(), bilro::Error>(())
    /// ```
    ///
    /// A checkpoint has the name `checkpoint-` and the number of steps that `fit` has made, and is a
    /// file as [`Trainer::save_checkpoint`] writes it, with how far training is: the epoch and the
    /// batch in it, the order of the examples, the schedule, early stopping and its best parameters,
    /// the history. It is on the disk before an older one is removed; files of other names are never
    /// removed. The folder is made where it is missing. Where it has checkpoints already that are newer than
    /// what training goes on from, as those of another run, `fit` returns [`Error::Setting`] and has not trained.
    ///
    /// What a callback keeps outside of the trainer is the program's own to keep. An epoch whose
    /// checkpoint was not written in time is run again, with its callback.
    pub fn checkpoints(mut self, folder: impl Into<PathBuf>) -> Self {
        self.checkpoints = Some(folder.into());
        self
    }

    /// How often [`checkpoints`](Self::checkpoints) are written; by default, `Every::Epochs(1)`. One that
    /// falls on the last step of an epoch is written when the epoch has been evaluated and its
    /// callback has returned.
    pub fn checkpoint_every(mut self, every: Every) -> Self {
        self.checkpoint_every = every;
        self
    }

    /// How many [`checkpoints`](Self::checkpoints) are kept, the last ones; at least 1, 3 by default.
    pub fn keep_checkpoints(mut self, count: usize) -> Self {
        self.keep_checkpoints = count;
        self
    }

    /// Whether to go on from the newest checkpoint in the folder of [`checkpoints`](Self::checkpoints),
    /// where there is one; not by default. Trainer, data and options are made as before:
    /// what would not lead to the same bits is [`Error::Checkpoint`](crate::Error::Checkpoint), with
    /// all differences, and nothing has changed. Seeds of the model, number of threads, instruction set,
    /// and what is told may be others, and so may `epochs`, to train for longer, and early stopping.
    ///
    /// A newest checkpoint that is damaged is left out, and training goes on from the one
    /// before it, with the same bits in the end. [`History::resumed`](crate::History::resumed) and a line of
    /// [`progress`](Self::progress) say so. Where there are checkpoints and none is whole, that is
    /// [`Error::Damaged`](crate::Error::Damaged).
    ///
    /// The history is that of the whole training, and reports of epochs are as if it had never ended,
    /// but for times. A training that is done is not run again: `fit` returns what it
    /// returned then.
    pub fn resume(mut self, resume: bool) -> Self {
        self.resume = if resume { Resume::Newest } else { Resume::No };
        self
    }

    /// As [`resume`](Self::resume), from one file, which must be there.
    pub fn resume_from(mut self, path: impl Into<PathBuf>) -> Self {
        self.resume = Resume::From(path.into());
        self
    }

    /// Whether to tell how it goes: a bar in a terminal, with the feature
    /// `progress`, and a line for every epoch. Not by default.
    pub fn progress(mut self, progress: bool) -> Self {
        self.progress = progress;
        self
    }

    /// Where progress is told, writes a line for every so many epochs only, and
    /// for the last; 1 by default. `report_every(epochs / 10)` gives ten.
    pub fn report_every(mut self, epochs: usize) -> Self {
        self.report_every = epochs;
        self
    }

    /// Where progress is told, whether a line says so when its training loss is
    /// above that of the line before; it does by default.
    /// [`Epoch::loss_rose`](crate::Epoch::loss_rose) records it for every epoch
    /// in any case.
    pub fn warn_when_loss_rises(mut self, warn: bool) -> Self {
        self.warn_when_loss_rises = warn;
        self
    }

    /// Whether Ctrl-C, and on Unix the signal SIGTERM, end training instead of the program; not by
    /// default. The step that runs is finished, a checkpoint is written where
    /// [`checkpoints`](Self::checkpoints) are, the model keeps what it has learned, and
    /// [`History::stop`](crate::History::stop) is
    /// [`Stop::Interrupted`](crate::Stop::Interrupted). A second Ctrl-C, or one
    /// while no `fit` listens, ends the program with code 130; a second SIGTERM ends it as SIGTERM
    /// does.
    ///
    /// The first `fit` that asks installs a handler for the whole process, by
    /// the crates `ctrlc` and `signal-hook`, in the place of any that is there. Where the program
    /// has set one with `ctrlc` itself, `fit` returns
    /// [`Error::CtrlC`](crate::Error::CtrlC) and has not trained; such a program
    /// stops training by a callback.
    #[cfg(feature = "ctrl-c")]
    pub fn stop_on_ctrl_c(mut self, stop: bool) -> Self {
        self.stop_on_ctrl_c = stop;
        self
    }

    /// Tells the schedule how a time went, and has the trainer follow it to the
    /// next, where it changes so often.
    pub(super) fn follow<N>(
        &mut self,
        trainer: &mut Trainer<N>,
        per: Per,
        time: usize,
        last_loss: Option<f64>,
    ) -> Result<()> {
        let Some((_, schedule)) = self.schedule.as_mut().filter(|(own, _)| *own == per) else {
            return Ok(());
        };
        if let (Some(loss), Some(last)) = (last_loss, time.checked_sub(1)) {
            schedule.observe(last, loss);
        }
        trainer.follow(&**schedule, time)
    }

    /// The sizes of the batches of an epoch over so many examples: that of all
    /// but the last, and the last one's.
    pub(super) fn batch_sizes(&self, examples: usize) -> impl Iterator<Item = usize> {
        let whole = Some(self.batch_size).filter(|size| *size <= examples);
        let rest = Some(examples % self.batch_size).filter(|rest| *rest > 0 && !self.drop_last);
        whole.into_iter().chain(rest)
    }

    /// Whether these settings can be trained with, on so many examples.
    pub(super) fn check(&self, examples: usize) -> Result<()> {
        let counts = [
            ("epochs", self.epochs),
            ("batch_size", self.batch_size),
            ("early_stopping", self.patience.unwrap_or(1)),
            ("report_every", self.report_every),
            ("keep_checkpoints", self.keep_checkpoints),
            ("checkpoint_every", match self.checkpoint_every {
                Every::Epochs(n) | Every::Steps(n) => n,
                Every::Minutes(_) => 1,
            }),
        ];
        let wrong = |name: &str, expected: String, found: String| {
            Err(Error::Setting { name: name.into(), expected, found })
        };
        for (name, found) in counts {
            if found == 0 {
                return wrong(name, "at least 1".into(), "0".into());
            }
        }
        if !(self.min_improvement.is_finite() && self.min_improvement >= 0.0) {
            let expected = "a finite number that is not negative".into();
            return wrong("min_improvement", expected, self.min_improvement.to_string());
        }
        if let Every::Minutes(minutes) = self.checkpoint_every
            && !(minutes.is_finite() && minutes > 0.0)
        {
            let expected = "a finite number of minutes above 0".into();
            return wrong("checkpoint_every", expected, minutes.to_string());
        }
        if matches!(self.resume, Resume::Newest) && self.checkpoints.is_none() {
            let expected = "said beside `checkpoints(folder)`, which says where they are".into();
            return wrong("resume(true)", expected, "said alone".into());
        }
        if self.drop_last && self.batch_size > examples {
            let expected = format!(
                "at most {examples}, the number of examples, where `drop_last` leaves out a smaller batch"
            );
            return wrong("batch_size", expected, self.batch_size.to_string());
        }
        Ok(())
    }
}
