//! Trainers: a model with an optimizer; training step by step.

pub(crate) mod checkpoint;

use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::sync::Arc;

use bilro_compiler::declaration::Declaration;
use bilro_compiler::optim::{Clip, Training};
use bilro_compiler::purpose::Purpose;

use super::network::Network;
use super::weights::is_in;
use super::{Model, ModelBuilder};
use crate::error::{Error, Result};
use crate::run::engine::{Extent, Results, UpdateNumbers, wrong_number};
use crate::run::{Backend, Feed};
use crate::schedule::Schedule;

/// A model and the optimizer that trains it.
#[derive(Debug)]
pub struct Trainer<N> {
    model: Model<N>,
    training: Arc<Training>,
    purposes: Purposes,
    learning_rate: f32,
    /// The learning rate that schedules start from.
    base_rate: f32,
    steps: usize,
    /// Batches since the last update.
    pending: usize,
    /// See [`TrainerBuilder::verify_every`].
    verify_every: usize,
}

/// The purposes of a training, made once for all steps.
#[derive(Debug)]
struct Purposes {
    step: Purpose,
    /// For the first of several accumulated batches, and for the following ones.
    accumulate: [Purpose; 2],
    update: Purpose,
}

impl Purposes {
    fn new(training: &Arc<Training>) -> Purposes {
        let accumulate = |first| Purpose::Accumulate { training: training.clone(), first };
        Purposes {
            step: Purpose::Step(training.clone()),
            accumulate: [accumulate(true), accumulate(false)],
            update: Purpose::Update(training.clone()),
        }
    }
}

/// A builder for a [`Trainer`]: of a new model, from [`Network::trainer`], or of an
/// existing one, from [`Model::into_trainer`].
#[derive(Debug)]
pub struct TrainerBuilder<N, M = ModelBuilder<N>> {
    model: M,
    training: Training,
    /// Learning-rate factors by layer or parameter, `None` where frozen; for each
    /// parameter, the last one applies.
    rates: Vec<(String, Option<f32>)>,
    verify_every: usize,
    /// `None`: as set for the model.
    detects_anomalies: Option<bool>,
    network: PhantomData<fn() -> N>,
}

impl<N> TrainerBuilder<N> {
    /// See [`ModelBuilder::seed`].
    pub fn seed(mut self, seed: u64) -> Self {
        self.model = self.model.seed(seed);
        self
    }

    /// See [`ModelBuilder::backend`].
    pub fn backend(mut self, backend: Backend) -> Self {
        self.model = self.model.backend(backend);
        self
    }

    /// See [`ModelBuilder::threads`].
    pub fn threads(mut self, threads: usize) -> Self {
        self.model = self.model.threads(threads);
        self
    }

    /// See [`ModelBuilder::sanitize`].
    pub fn sanitize(mut self, sanitizes: bool) -> Self {
        self.model = self.model.sanitize(sanitizes);
        self
    }

    /// See [`ModelBuilder::code_cache`].
    pub fn code_cache(mut self, bytes: usize) -> Self {
        self.model = self.model.code_cache(bytes);
        self
    }

    /// See [`ModelBuilder::weights`].
    pub fn weights(mut self, path: impl Into<PathBuf>) -> Self {
        self.model = self.model.weights(path);
        self
    }

    /// The trainer.
    ///
    /// # Errors
    /// As [`ModelBuilder::build`]; [`Error::InvalidArgument`] for a learning rate, a
    /// limit or another number out of range; [`Error::UnknownParameter`] for a
    /// learning rate of an unknown layer or parameter; [`Error::NoLoss`].
    pub fn build(self) -> Result<Trainer<N>> {
        let model = self.model.build()?;
        let training = finish_training(&model.engine.declaration, self.training, &self.rates)?;
        Ok(Trainer::new(model, training).with(self.verify_every, self.detects_anomalies))
    }
}

impl<N> TrainerBuilder<N, Model<N>> {
    /// The trainer.
    ///
    /// # Errors
    /// [`NoTrainer`], which has the model, with [`Error::InvalidArgument`] for a learning
    /// rate, a limit or another number out of range, or [`Error::UnknownParameter`]
    /// for a learning rate of an unknown layer or parameter.
    pub fn build(self) -> Result<Trainer<N>, NoTrainer<N>> {
        let TrainerBuilder { model, training, rates, verify_every, detects_anomalies, .. } = self;
        match finish_training(&model.engine.declaration, training, &rates) {
            Ok(training) => Ok(Trainer::new(model, training).with(verify_every, detects_anomalies)),
            Err(error) => Err(NoTrainer { error, model: Box::new(model) }),
        }
    }
}

/// The error of [`Model::into_trainer`], with the unchanged model. `?` converts it to an
/// [`Error`].
pub struct NoTrainer<N> {
    error: Error,
    model: Box<Model<N>>,
}

impl<N> NoTrainer<N> {
    /// The error.
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// The model and the error.
    pub fn into_parts(self) -> (Model<N>, Error) {
        (*self.model, self.error)
    }
}

impl<N> fmt::Debug for NoTrainer<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<N> fmt::Display for NoTrainer<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl<N> std::error::Error for NoTrainer<N> {}

impl<N> From<NoTrainer<N>> for Error {
    fn from(none: NoTrainer<N>) -> Error {
        none.error
    }
}

impl<N, M> TrainerBuilder<N, M> {
    pub(crate) fn of(model: M, training: Training) -> TrainerBuilder<N, M> {
        TrainerBuilder {
            model,
            training,
            rates: Vec::new(),
            verify_every: 0,
            detects_anomalies: None,
            network: PhantomData,
        }
    }

    /// Gives a layer, or a parameter as `fc1.bias`, its own learning rate: `factor`
    /// times the optimizer's current one.
    pub fn scale_learning_rate(mut self, name: &str, factor: f32) -> Self {
        self.rates.push((name.into(), Some(factor)));
        self
    }

    /// Excludes a layer, or a parameter as `fc1.bias`, from training.
    pub fn freeze(mut self, name: &str) -> Self {
        self.rates.push((name.into(), None));
        self
    }

    /// Clips every element of every gradient to `-limit..=limit`.
    pub fn clip_value(mut self, limit: f32) -> Self {
        self.training = self.training.with_clip(Clip::Value(limit));
        self
    }

    /// If the Euclidean norm of all gradients together is above `limit`, scales all
    /// of them by one factor, so that the norm is `limit`.
    pub fn clip_norm(mut self, limit: f32) -> Self {
        self.training = self.training.with_clip(Clip::Norm(limit));
        self
    }

    /// Verifies the first of every `steps` steps before it is made, as [`Model::verify`] does: each
    /// kernel of the step's code and the next values of all parameters against the interpreter, and
    /// gradients of a few elements, others each time, against differences. A disagreement is
    /// [`Error::Verification`], and the step is not made. The default, 0, verifies none and costs
    /// nothing; a verified step takes as long as some hundred evaluations by the interpreter.
    ///
    /// ```
    /// use bilro::data;
    /// use bilro::prelude::*;
    ///
    /// network! {
    ///     struct Digits {
    ///         input image: [64];
    ///         target digit: class(10);
    ///         output logits = image -> Linear(16) -> relu -> Linear(10);
    ///         loss cross_entropy(logits, digit);
    ///     }
    /// }
    ///
    /// let mut trainer = Digits::trainer(Adam::new(0.01)).verify_every(100).build()?;
    /// trainer.fit(&data::digits()?, Fit::epochs(1).batch_size(32))?;
    /// # Ok::<(), bilro::Error>(())
    /// ```
    pub fn verify_every(mut self, steps: usize) -> Self {
        self.verify_every = steps;
        self
    }

    /// See [`ModelBuilder::detect_anomaly`]; unless set, as the model does.
    pub fn detect_anomaly(mut self, detects: bool) -> Self {
        self.detects_anomalies = Some(detects);
        self
    }

    /// Makes one update from `batches` batches, by the mean of their gradients;
    /// default 1. At the end of an epoch [`Trainer::fit`] makes an update from the
    /// remaining batches; in a loop of your own, [`Trainer::apply_accumulated`]
    /// does.
    pub fn accumulate(mut self, batches: usize) -> Self {
        self.training = self.training.with_accumulate(batches);
        self
    }
}

/// Completes a training with the rates of a network's parameters, and checks its numbers.
fn finish_training(
    declaration: &Declaration,
    training: Training,
    rates: &[(String, Option<f32>)],
) -> Result<Training> {
    if !declaration.has_loss() {
        return Err(Error::NoLoss { network: declaration.name.clone() });
    }
    let mut all = vec![Some(1.0); declaration.parameters.len()];
    for (name, rate) in rates {
        if let Some(factor) = rate {
            let name = || format!("the factor of `{name}`'s learning rate");
            check(name, *factor, |x| x >= 0.0, "a finite number that is not negative")?;
        }
        for i in named(declaration, name)? {
            all[i] = *rate;
        }
    }
    let training = training.with_rates(all);
    training.check(declaration.parameters.len()).map_err(wrong_number)?;
    Ok(training)
}

/// The indices of a layer's parameters, or of the one parameter, of this name.
fn named(declaration: &Declaration, name: &str) -> Result<Vec<usize>> {
    let all = declaration.parameters.iter().enumerate();
    let indices: Vec<usize> = all.filter(|(_, p)| is_in(&p.name, name)).map(|(i, _)| i).collect();
    match indices.is_empty() {
        false => Ok(indices),
        true => Err(Error::UnknownParameter {
            name: name.into(),
            known: declaration.parameters.iter().map(|p| p.name.clone()).collect(),
        }),
    }
}

impl<N: Network> Trainer<N> {
    /// One step on one batch: forward, backward, update. Returns the loss
    /// before the update. If gradients of several batches are accumulated, the
    /// update is made with the last of them.
    ///
    /// A loss that is infinite or not a number is returned, and the step is rejected:
    /// parameters, running statistics, optimizer state, random numbers of dropout,
    /// accumulated gradients, and [`Trainer::steps`] are unchanged. This includes a
    /// weighted mean with total weight 0 in the batch, which is NaN. If only one of
    /// several terms has total weight 0, the loss is NaN too, but the step is made from
    /// the other terms, with a gradient of 0 for this one; [`Trainer::steps`] shows
    /// whether a step was made. A step with a finite loss but a gradient that is not
    /// finite is rejected with an error. The next step can be made with another batch.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::BatchSize`], [`Error::Empty`],
    /// [`Error::IndexOutOfRange`] for arrays that do not fit, [`Error::Memory`]
    /// if there is not enough, [`Error::OtherTraining`] if the model has been
    /// replaced by one that another trainer has trained;
    /// [`Error::NonFiniteGradient`] if the loss is finite, but not all gradients
    /// are; [`Error::Verification`] with [`TrainerBuilder::verify_every`] if machine code
    /// disagrees with the interpreter; [`Error::Anomaly`] with
    /// [`TrainerBuilder::detect_anomaly`], instead of a loss or gradient that is not
    /// finite. Then nothing has changed.
    #[inline]
    pub fn step(&mut self, batch: N::Batch<'_>) -> Result<f32> {
        let (feeds, choices) = (N::batch_feeds(&batch), N::batch_choices(&batch));
        self.step_on(feeds.as_ref(), choices.as_ref())
    }
}

impl<N> Trainer<N> {
    /// With a training that [`finish_training`] has checked.
    fn new(mut model: Model<N>, training: Training) -> Trainer<N> {
        model.engine.forget_steps();
        let learning_rate = training.optimizer().learning_rate();
        let training = Arc::new(training);
        let purposes = Purposes::new(&training);
        let base_rate = learning_rate;
        Trainer {
            model,
            training,
            purposes,
            learning_rate,
            base_rate,
            steps: 0,
            pending: 0,
            verify_every: 0,
        }
    }

    fn with(mut self, verify_every: usize, detects_anomalies: Option<bool>) -> Trainer<N> {
        self.verify_every = verify_every;
        if let Some(detects) = detects_anomalies {
            self.model.engine.set_detect_anomaly(detects);
        }
        self
    }

    /// A step on arrays in declared order.
    #[inline]
    pub(crate) fn step_on(&mut self, feeds: &[Feed<'_>], choices: &[usize]) -> Result<f32> {
        let Trainer { model, training, purposes, learning_rate, .. } = self;
        // Accumulated gradients are stored with the model: a new one has none.
        if !model.engine.has_state_of(training) {
            self.pending = 0;
        }
        let is_last = self.pending + 1 == training.accumulate();
        let purpose = match is_last {
            true => &purposes.step,
            false => &purposes.accumulate[usize::from(self.pending > 0)],
        };
        if self.verify_every > 0 && self.steps.is_multiple_of(self.verify_every) {
            let extent = Extent { samples: 4, seed: self.steps as u64, ..Extent::ALL };
            let engine = &mut model.engine;
            engine.verify_step(purpose, feeds, choices, *learning_rate, extent)?.into_result()?;
        }
        let results = model.engine.run_at(purpose, feeds, choices, *learning_rate);
        let results = match results {
            Err(error) => return Err(at_step(error, self.steps + 1)),
            Ok(results) => results,
        };
        let Results { kept, loss, .. } = results;
        if kept {
            self.steps += 1;
            self.pending = if is_last { 0 } else { self.pending + 1 };
        } else if loss.is_finite() {
            return Err(Error::NonFiniteGradient { step: self.steps + 1, loss });
        }
        Ok(loss)
    }

    /// Makes the update from the batches accumulated since the last one, if they are
    /// fewer than [`accumulate`](TrainerBuilder::accumulate): by the mean of their
    /// gradients, as PyTorch when `optimizer.step()` is called early. For the end
    /// of an epoch in a loop of your own; [`Trainer::fit`] calls it itself. Returns
    /// the number of batches of the update; without any, 0, and nothing changes.
    ///
    /// ```
    /// use bilro::ndarray::array;
    /// use bilro::prelude::*;
    ///
    /// network! {
    ///     struct Line {
    ///         input x: [1];
    ///         target y: [1];
    ///         param w: [1] = zeros;
    ///         output p = x * w;
    ///         loss mse_loss(p, y);
    ///     }
    /// }
    ///
    /// let mut trainer = Line::trainer(Sgd::new(0.1)).accumulate(4).build()?;
    /// let (x, y) = (array![[1.0]], array![[2.0]]);
    /// for _ in 0..6 {
    ///     trainer.step(line::Batch { x: x.view(), y: y.view() })?;
    /// }
    /// assert_eq!(trainer.model().params().w[0], 0.4); // of four batches
    /// assert_eq!(trainer.apply_accumulated()?, 2); // and of the last two
    /// assert!((trainer.model().params().w[0] - 0.72).abs() < 1e-6);
    /// # Ok::<(), bilro::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Compile`] if the update cannot be compiled; then nothing has changed.
    pub fn apply_accumulated(&mut self) -> Result<usize> {
        if !self.model.engine.has_state_of(&self.training) {
            self.pending = 0;
        }
        if self.pending > 0 {
            let (learning_rate, batches) = (self.learning_rate, self.pending);
            let numbers = UpdateNumbers { learning_rate, batches };
            self.model.engine.update(&self.purposes.update, numbers)?;
        }
        Ok(std::mem::take(&mut self.pending))
    }

    /// Discards the gradients accumulated since the last update.
    pub(crate) fn discard_accumulated(&mut self) {
        self.pending = 0;
    }

    /// The last step's numbers that add up over batches: sums and weights of the loss
    /// if it is weighted, otherwise empty.
    pub(crate) fn sums(&self) -> &[f64] {
        self.model.engine.sums()
    }

    /// The number of steps made, rejected ones not counted.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The current learning rate.
    pub fn learning_rate(&self) -> f32 {
        self.learning_rate
    }

    /// Sets the learning rate, which schedules also start from; nothing is compiled
    /// again.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if it is negative or not finite; then it is
    /// unchanged.
    pub fn set_learning_rate(&mut self, learning_rate: f32) -> Result<()> {
        self.change_learning_rate(learning_rate)?;
        self.base_rate = learning_rate;
        Ok(())
    }

    /// Sets the learning rate to a schedule's value for a time, counted from 0 in the
    /// caller's unit, steps or epochs. The schedule starts from the optimizer's
    /// learning rate, or the one of the last [`Trainer::set_learning_rate`].
    /// Nothing is compiled again.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if a number of the schedule is out of range; then the
    /// learning rate is unchanged.
    pub fn follow(&mut self, schedule: &(impl Schedule + ?Sized), time: usize) -> Result<()> {
        schedule.check()?;
        self.change_learning_rate(schedule.learning_rate(self.base_rate, time))
    }

    fn change_learning_rate(&mut self, learning_rate: f32) -> Result<()> {
        let name = || "learning rate".to_string();
        check(name, learning_rate, |x| x >= 0.0, "a finite number that is not negative")?;
        self.learning_rate = learning_rate;
        Ok(())
    }

    /// See [`TrainerBuilder::verify_every`].
    pub fn set_verify_every(&mut self, steps: usize) {
        self.verify_every = steps;
    }

    /// See [`ModelBuilder::detect_anomaly`].
    pub fn set_detect_anomaly(&mut self, detects: bool) {
        self.model.set_detect_anomaly(detects);
    }

    /// The model, to inspect or to predict with.
    pub fn model(&self) -> &Model<N> {
        &self.model
    }

    /// The model, to change its parameters or to replace it by another one.
    pub fn model_mut(&mut self) -> &mut Model<N> {
        &mut self.model
    }

    /// The model, after training; the optimizer state is dropped.
    pub fn into_model(mut self) -> Model<N> {
        self.model.engine.forget_steps();
        self.model
    }
}

/// Adds the number of the step to an anomaly.
#[cold]
fn at_step(mut error: Error, step: usize) -> Error {
    if let Error::Anomaly { report } = &mut error {
        report.step = Some(step);
    }
    error
}

/// Requires a finite number in some range.
fn check(
    name: impl Fn() -> String,
    found: f32,
    fits: impl Fn(f32) -> bool,
    expected: &str,
) -> Result<()> {
    match found.is_finite() && fits(found) {
        true => Ok(()),
        false => Err(Error::InvalidArgument {
            name: name(),
            expected: expected.into(),
            found: found.to_string(),
        }),
    }
}
