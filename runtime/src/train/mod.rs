//! `fit`: the training loop over epochs, with batches, shuffling, validation and callbacks.
//!
//! This file has the loop. `options` has the options of a [`Fit`], `history` its
//! results; `best` tracks the best epoch and stops early, `callback` has the
//! interface of callbacks, `progress` prints, `interrupt` handles Ctrl-C, `checkpoint`
//! writes checkpoints and resumes from them.

mod best;
mod callback;
mod checkpoint;
mod history;
#[cfg(feature = "ctrl-c")]
mod interrupt;
mod options;
mod progress;

use std::ops::ControlFlow;

use bilro_compiler::declaration::Declaration;
use bilro_compiler::faults::{self, Fault};
use bilro_compiler::purpose::Purpose;
use ndarray::{Array, ArrayView, Axis, Dimension, RemoveAxis};

pub use callback::{CallbackResult, EpochReport};
pub use history::{Epoch, History, Stop, Validation};
pub use options::{Every, Fit};

use crate::data::{Dataset, ShuffledOrder};
use crate::error::{Error, Result};
use crate::io::checkpoint::file_name;
use crate::io::replace;
use crate::memory;
use crate::model::measured::Measured;
use crate::model::network::FitsData;
use crate::model::{Model, Trainer};
use crate::rng::Generator;
use best::Best;
use checkpoint::{Checkpoints, Position};
use options::Per;
use progress::Progress;

impl<N> Trainer<N> {
    /// Trains over the data for some epochs.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for no epochs, a batch size of 0 and other numbers
    /// out of range, or a folder with checkpoints of another run; all errors of [`Trainer::step`]; [`Error::Memory`]
    /// if there is not enough for a batch, or for a copy of the parameters;
    /// [`Error::NonFiniteLoss`] at the first step whose loss is infinite or not
    /// a number, and [`Error::NonFiniteGradient`] at the first such gradient: that
    /// step has changed nothing. A batch whose targets have total weight 0 is not an
    /// error: its mean is NaN, and its step is skipped. [`Error::File`] if
    /// [`Fit::save_best`] or [`Fit::checkpoints`] cannot write;
    /// [`Error::Checkpoint`] and [`Error::Damaged`] for a checkpoint to resume from.
    ///
    /// Options, all examples, also of the validation data, the paths of files, and a
    /// checkpoint to resume from are checked before the first step: if one of them is
    /// rejected, nothing has changed. An error has the row in the data set.
    ///
    /// After an error, trainer and model are in the state after the last step, or
    /// of the best epoch with [`Fit::restore_best`], and stay usable. The history
    /// is lost; a callback can record it.
    pub fn fit<A: Copy + Default, DX: RemoveAxis, B: Copy + Default, DY: RemoveAxis>(
        &mut self,
        data: &Dataset<A, DX, B, DY>,
        fit: Fit<'_, A, DX, B, DY>,
    ) -> Result<History>
    where
        N: FitsData<A, DX, B, DY>,
    {
        self.fit_with(data, fit, |_, _| ())
    }

    /// As [`Trainer::fit`], and calls `callback` after every epoch, with the
    /// trainer, to inspect the model or to change the learning rate, and with a
    /// report. It may capture variables, and return nothing, a [`ControlFlow`] to
    /// stop, or a [`Result`]: see [`CallbackResult`].
    ///
    /// ```
    /// use std::ops::ControlFlow;
    ///
    /// use bilro::prelude::*;
    ///
    /// # network! {
    /// #     struct Digits {
    /// #         input image: [64];
    /// #         target digit: class(10);
    /// #         layer fc = Linear(10);
    /// #         output logits = fc(image);
    /// #         loss cross_entropy(logits, digit);
    /// #     }
    /// # }
    /// # let data = data::digits()?.rows(..200)?;
    /// # let mut trainer = Digits::trainer(Sgd::new(0.1)).build()?;
    /// let mut biases = Vec::new();
    /// let history = trainer.fit_with(&data, Fit::epochs(50), |trainer, epoch| {
    ///     biases.push(trainer.model().params().fc.bias.to_owned());
    ///     if epoch.loss < 0.5 {
    ///         return Ok(ControlFlow::Break(()));
    ///     }
    ///     trainer.set_learning_rate(0.1 / epoch.number as f32)?;
    ///     Ok(ControlFlow::Continue(()))
    /// })?;
    /// assert_eq!(biases.len(), history.epochs.len());
    /// # Ok::<(), bilro::Error>(())
    /// ```
    ///
    /// It is called after the epoch has been evaluated and the best parameters have been
    /// saved: training continues from the callback's changes to the model.
    ///
    /// # Errors
    /// As [`Trainer::fit`], and those of the callback.
    pub fn fit_with<A: Copy + Default, DX: RemoveAxis, B: Copy + Default, DY: RemoveAxis, R>(
        &mut self,
        data: &Dataset<A, DX, B, DY>,
        mut fit: Fit<'_, A, DX, B, DY>,
        mut callback: impl FnMut(&mut Trainer<N>, &EpochReport<'_>) -> R,
    ) -> Result<History>
    where
        N: FitsData<A, DX, B, DY>,
        R: CallbackResult,
    {
        fit.check(data.len())?;
        self.check(data, &fit)?;
        let mut run = Run {
            interrupt: Interrupt::new(&fit)?,
            best: Best::new(&fit),
            progress: Progress::new(
                fit.progress,
                fit.epochs,
                fit.report_every,
                fit.warn_when_loss_rises,
            ),
            history: History::default(),
        };
        let steps = self.steps();
        let ending =
            run.epochs(self, data, &mut fit, |trainer, report| callback(trainer, report).control());
        if ending.is_err() && self.steps() != steps {
            // Gradients of an epoch that has failed are no part of later training.
            self.discard_accumulated();
        }
        let is_restored = run.best.restore(&ending, self.model_mut());
        run.history.stop = ending?;
        run.progress.end(&run.history, run.best.epochs_without_improvement(), is_restored);
        Ok(run.history)
    }

    /// Checks everything before training begins: that all examples fit the network, and that
    /// the file can be written.
    fn check<A: Copy, DX: RemoveAxis, B: Copy, DY: RemoveAxis>(
        &self,
        data: &Dataset<A, DX, B, DY>,
        fit: &Fit<'_, A, DX, B, DY>,
    ) -> Result<()>
    where
        N: FitsData<A, DX, B, DY>,
    {
        let model = self.model();
        model.check(data)?;
        let purpose = Purpose::Gradients;
        for examples in fit.batch_sizes(data.len()) {
            model.engine.check_batch(&purpose, examples)?;
        }
        if let Some(data) = fit.validation {
            model.check(data).map_err(in_validation_data)?;
        }
        let checkpoint = fit.checkpoints.as_ref().map(|folder| folder.join(file_name(0)));
        let files = fit.save_best.as_deref().into_iter().chain(checkpoint.as_deref());
        files.into_iter().try_for_each(replace::check)
    }
}

/// Loss and metrics of examples that have been checked.
fn evaluate_on<N, A: Copy, DX: RemoveAxis, B: Copy, DY: RemoveAxis>(
    model: &Model<N>,
    data: &Dataset<A, DX, B, DY>,
) -> Result<Validation>
where
    N: FitsData<A, DX, B, DY>,
{
    let evaluation = model.evaluate_checked(data)?;
    Ok(Validation { loss: evaluation.loss(), metrics: evaluation.metrics().to_vec() })
}

/// Adds to an error in examples that it is in the validation data.
fn in_validation_data(error: Error) -> Error {
    Error::InData { data: "validation data", error: Box::new(error) }
}

/// The state of one call of `fit`.
struct Run {
    interrupt: Interrupt,
    best: Best,
    progress: Progress,
    history: History,
}

impl Run {
    /// Runs the epochs, until the last or an earlier stop.
    fn epochs<N, A: Copy + Default, DX: RemoveAxis, B: Copy + Default, DY: RemoveAxis>(
        &mut self,
        trainer: &mut Trainer<N>,
        data: &Dataset<A, DX, B, DY>,
        fit: &mut Fit<'_, A, DX, B, DY>,
        mut callback: impl FnMut(&mut Trainer<N>, &EpochReport<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<Stop>
    where
        N: FitsData<A, DX, B, DY>,
    {
        let Run { interrupt, best, progress, history } = self;
        let mut seeded_generator = fit.seed.map(Generator::new);
        let examples = data.len();
        let left_out = if fit.drop_last { examples % fit.batch_size } else { 0 };
        let in_epoch = examples - left_out;
        // The order, and a second one for shuffling.
        memory::check::<u32>(|| "the order of examples".into(), 2 * examples)?;
        let mut rows: Vec<u32> = (0..examples as u32).collect();
        let mut x = batch_buffer(&data.x(), fit.batch_size.min(examples))?;
        let mut y = batch_buffer(&data.y(), fit.batch_size.min(examples))?;
        let declaration = trainer.model().engine.declaration.clone();
        let Some(measure) = declaration.loss_measure().cloned() else {
            return Err(Error::NoLoss { network: declaration.name.clone() });
        };
        let options = checkpoint::options::<N, _, _, _, _>(&declaration, data, fit)?;
        let saved = checkpoint::find(trainer, fit, &options)?;
        let damaged = saved.as_ref().map_or_else(Vec::new, |saved| saved.damaged.clone());
        let mut checkpoints = Checkpoints::new(fit, options, damaged);
        let (mut first, mut saved_sums) = (1, None);
        if let Some(mut saved) = saved {
            progress.resume(&saved.resumed);
            *history = std::mem::take(&mut saved.history);
            let (batches, generator) = (saved.batches, saved.generator.clone());
            let stop = saved.callback_stopped.then_some(Stop::Callback);
            (first, saved_sums) = (saved.epoch, Some((batches, saved.measured.clone())));
            saved.restore(trainer, best);
            // The order of the epoch is drawn from it again.
            *shuffling(&mut seeded_generator, trainer) = generator;
            if batches == 0
                && let Some(stop) = best.stop().or(stop)
            {
                return Ok(stop);
            }
        }
        for number in first..=fit.epochs {
            let before =
                checkpoints.as_ref().map(|_| shuffling(&mut seeded_generator, trainer).clone());
            if fit.shuffle && !(faults::is(Fault::SameOrder) && number > 1) {
                let generator = shuffling(&mut seeded_generator, trainer);
                let mut order = ShuffledOrder::from_generator(generator.clone());
                order.next_epoch_into(examples as u32, &mut rows);
                *generator = order.into_generator();
            }
            progress.start(number, in_epoch);
            let mut measured = Measured::new(&measure);
            let (mut batches, sums) = saved_sums.take().unwrap_or_default();
            let done = batches.saturating_mul(fit.batch_size).min(in_epoch);
            if batches == 0 {
                let last = history.epochs.last().map(Epoch::monitored_loss);
                fit.follow(trainer, Per::Epoch, number - 1, last)?;
            } else {
                measured.set_terms(&sums);
                progress.skip(done);
            }
            let mut learning_rate = trainer.learning_rate();
            for rows in rows[done..in_epoch].chunks(fit.batch_size) {
                let mut x = x.slice_axis_mut(Axis(0), (..rows.len()).into());
                let mut y = y.slice_axis_mut(Axis(0), (..rows.len()).into());
                data.gather_into(rows, &mut x, &mut y)?;
                // The loss of a batch of total weight 0 is NaN, and no measure of progress.
                let last = history.losses.last().map(|loss| f64::from(*loss));
                let last = last.filter(|loss| !loss.is_nan());
                fit.follow(trainer, Per::Step, history.losses.len(), last)?;
                learning_rate = trainer.learning_rate();
                let loss = step(trainer, &declaration, x.view(), y.view())?;
                history.losses.push(loss);
                // With total weight 0 the mean is NaN, but the sums are finite.
                let sums = trainer.sums();
                if !loss.is_finite() && (sums.is_empty() || sums.iter().any(|sum| !sum.is_finite()))
                {
                    // The step was rejected, and is not counted.
                    return Err(Error::NonFiniteLoss { step: trainer.steps() + 1, loss });
                }
                measured.add_step(loss, sums, rows.len());
                progress.step(rows.len(), loss);
                batches += 1;
                let is_pressed = interrupt.is_pressed();
                if let (Some(checkpoints), Some(generator)) = (&mut checkpoints, &before) {
                    let is_last = batches == in_epoch.div_ceil(fit.batch_size);
                    let is_due = checkpoints.is_due_after_step(history.losses.len());
                    if is_pressed || (is_due && !is_last) {
                        let position = Position {
                            epoch: number,
                            batches,
                            generator,
                            measured: &measured,
                            history,
                            best,
                            callback_stopped: false,
                        };
                        checkpoints.write(trainer, fit, &position)?;
                    }
                }
                if is_pressed {
                    trainer.apply_accumulated()?;
                    return Ok(Stop::Interrupted);
                }
            }
            // Each epoch's batches are applied in that epoch.
            trainer.apply_accumulated()?;
            let examples_per_second = progress.examples_per_second();
            let loss = measured.value();
            let epoch = Epoch {
                number,
                loss,
                loss_rose: history.epochs.last().is_some_and(|before| loss > before.loss),
                learning_rate,
                examples_per_second,
                train: fit
                    .evaluate_train
                    .then(|| evaluate_on(trainer.model(), data))
                    .transpose()?,
                validation: fit
                    .validation
                    .map(|data| evaluate_on(trainer.model(), data))
                    .transpose()?,
            };
            let is_best = best.observe(&epoch, trainer.model())?;
            history.best_epoch = best.epoch();
            history.epochs.push(epoch);

            let early_stop = best.stop();
            let epoch = &history.epochs[number - 1];
            progress.finish(epoch, early_stop.is_some() || number == fit.epochs);
            let report = EpochReport { epoch, epochs: fit.epochs, is_best, history };
            let control = callback(trainer, &report)?;
            let stop = match control {
                _ if early_stop.is_some() => early_stop,
                ControlFlow::Break(()) => Some(Stop::Callback),
                // After the last epoch there is nothing to interrupt.
                _ if interrupt.is_pressed() && number < fit.epochs => Some(Stop::Interrupted),
                ControlFlow::Continue(()) => None,
            };
            if let Some(checkpoints) = &mut checkpoints
                && (stop.is_some()
                    || number == fit.epochs
                    || checkpoints.is_due_after_epoch(number, history.losses.len()))
            {
                let position = Position {
                    epoch: number + 1,
                    batches: 0,
                    generator: &shuffling(&mut seeded_generator, trainer).clone(),
                    measured: &Measured::new(&measure),
                    history,
                    best,
                    callback_stopped: stop == Some(Stop::Callback),
                };
                checkpoints.write(trainer, fit, &position)?;
            }
            if let Some(stop) = stop {
                progress.finish(&history.epochs[number - 1], true);
                return Ok(stop);
            }
        }
        Ok(Stop::Finished)
    }
}

/// The generator that shuffles: that of [`Fit::seed`], or else the model's.
fn shuffling<'g, N>(
    seeded: &'g mut Option<Generator>,
    trainer: &'g mut Trainer<N>,
) -> &'g mut Generator {
    seeded.as_mut().unwrap_or(&mut trainer.model_mut().engine.generator)
}

/// A step on some examples.
fn step<N, A, DX: Dimension, B, DY: Dimension>(
    trainer: &mut Trainer<N>,
    declaration: &Declaration,
    x: ArrayView<'_, A, DX>,
    y: ArrayView<'_, B, DY>,
) -> Result<f32>
where
    N: FitsData<A, DX, B, DY>,
{
    N::with_feeds(declaration, x, y, |feeds, choices| trainer.step_on(feeds, choices))
}

/// Whether Ctrl-C has been pressed to end training.
struct Interrupt {
    #[cfg(feature = "ctrl-c")]
    listener: Option<interrupt::Listener>,
}

impl Interrupt {
    #[cfg(feature = "ctrl-c")]
    fn new<A, DX: Dimension, B, DY: Dimension>(fit: &Fit<'_, A, DX, B, DY>) -> Result<Interrupt> {
        let listener = fit.stop_on_ctrl_c.then(interrupt::Listener::new).transpose()?;
        Ok(Interrupt { listener })
    }

    #[cfg(not(feature = "ctrl-c"))]
    fn new<A, DX: Dimension, B, DY: Dimension>(_: &Fit<'_, A, DX, B, DY>) -> Result<Interrupt> {
        Ok(Interrupt {})
    }

    #[cfg(feature = "ctrl-c")]
    fn is_pressed(&self) -> bool {
        self.listener.as_ref().is_some_and(interrupt::Listener::is_pressed)
    }

    #[cfg(not(feature = "ctrl-c"))]
    fn is_pressed(&self) -> bool {
        false
    }
}

/// An array for `examples` examples of the same shape as those of `like`.
fn batch_buffer<A: Copy + Default, D: Dimension>(
    like: &ArrayView<'_, A, D>,
    examples: usize,
) -> Result<Array<A, D>> {
    let mut shape = like.raw_dim();
    shape[0] = examples;
    memory::array(|| format!("a batch of {examples} examples"), shape)
}
