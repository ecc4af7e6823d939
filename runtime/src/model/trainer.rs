//! Training, step by step.

use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::sync::Arc;

use bilro_compiler::declaration::Declaration;
use bilro_compiler::optim::{Clip, Training};
use bilro_compiler::purpose::Purpose;

use super::network::Network;
use super::weights::is_of;
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

/// The purposes of a training: a step does not make them anew.
#[derive(Debug)]
struct Purposes {
    step: Purpose,
    /// Of the first batch of several, and of those that follow.
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

/// Says how a [`Trainer`] is made: of a new model, as [`Network::trainer`] begins,
/// or of one that is there, as [`Model::into_trainer`] does.
#[derive(Debug)]
pub struct TrainerBuilder<N, M = ModelBuilder<N>> {
    model: M,
    training: Training,
    /// Learning rates of layers and parameters, as factors; the last one that
    /// names a parameter counts.
    rates: Vec<(String, Option<f32>)>,
    verify_every: usize,
    /// Unless set, what the model does.
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
    /// As [`ModelBuilder::build`]; [`Error::Setting`] for a learning rate, a
    /// limit or another number that is not one to train with;
    /// [`Error::UnknownParameter`] for a learning rate of what is not there; [`Error::NoLoss`].
    pub fn build(self) -> Result<Trainer<N>> {
        let model = self.model.build()?;
        let training = settle(&model.engine.declaration, self.training, &self.rates)?;
        Ok(Trainer::new(model, training).with(self.verify_every, self.detects_anomalies))
    }
}

impl<N> TrainerBuilder<N, Model<N>> {
    /// The trainer.
    ///
    /// # Errors
    /// [`NoTrainer`], which has the model, with [`Error::Setting`] for a learning
    /// rate, a limit or another number that is not one to train with, or
    /// [`Error::UnknownParameter`] for a learning rate of what is not there.
    pub fn build(self) -> Result<Trainer<N>, NoTrainer<N>> {
        let TrainerBuilder { model, training, rates, verify_every, detects_anomalies, .. } = self;
        match settle(&model.engine.declaration, training, &rates) {
            Ok(training) => {
                Ok(Trainer::new(model, training).with(verify_every, detects_anomalies))
            }
            Err(error) => Err(NoTrainer { error, model: Box::new(model) }),
        }
    }
}

/// Why a model has not become a trainer, and the model as it was. Becomes an
/// [`Error`] by `?`.
pub struct NoTrainer<N> {
    error: Error,
    model: Box<Model<N>>,
}

impl<N> NoTrainer<N> {
    /// Why.
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// The model, and why.
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

    /// Gives a layer, or a parameter as `fc1.bias`, a learning rate of its own:
    /// so many times the optimizer's, which may change as it goes.
    pub fn scale_learning_rate(mut self, name: &str, factor: f32) -> Self {
        self.rates.push((name.into(), Some(factor)));
        self
    }

    /// Leaves a layer, or a parameter as `fc1.bias`, as it is.
    pub fn freeze(mut self, name: &str) -> Self {
        self.rates.push((name.into(), None));
        self
    }

    /// Clips every element of every gradient into `-limit..=limit`.
    pub fn clip_value(mut self, limit: f32) -> Self {
        self.training = self.training.with_clip(Clip::Value(limit));
        self
    }

    /// Where the Euclidean norm of all gradients together is above `limit`,
    /// makes all of them smaller by one factor, so that it is `limit`.
    pub fn clip_norm(mut self, limit: f32) -> Self {
        self.training = self.training.with_clip(Clip::Norm(limit));
        self
    }

    /// Verifies the first of every so many steps before it is made, as
    /// [`Model::verify`] does: each kernel of the step's code and the next values of all parameters
    /// against the interpreter, and gradients of a few elements against differences; others each
    /// time. A disagreement is [`Error::Verification`], and the step is not made. 0, which is the
    /// default, verifies none and costs nothing; a step that is verified takes as long as some
    /// hundred evaluations by the interpreter.
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

    /// Makes an update from so many batches, by the mean of their gradients;
    /// from each by default. Batches that are left over at the end of an epoch
    /// make one too in [`Trainer::fit`], and elsewhere by
    /// [`Trainer::apply_accumulated`].
    pub fn accumulate(mut self, batches: usize) -> Self {
        self.training = self.training.with_accumulate(batches);
        self
    }
}

/// A training with rates for the parameters of a network, of which the numbers are
/// right.
fn settle(
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
        for place in named(declaration, name)? {
            all[place] = *rate;
        }
    }
    let training = training.with_rates(all);
    training.check(declaration.parameters.len()).map_err(wrong_number)?;
    Ok(training)
}

/// The parameters of a layer, or the one parameter, of this name.
fn named(declaration: &Declaration, name: &str) -> Result<Vec<usize>> {
    let all = declaration.parameters.iter().enumerate();
    let places: Vec<usize> = all.filter(|(_, p)| is_of(&p.name, name)).map(|(i, _)| i).collect();
    match places.is_empty() {
        false => Ok(places),
        true => Err(Error::UnknownParameter {
            name: name.into(),
            known: declaration.parameters.iter().map(|p| p.name.clone()).collect(),
        }),
    }
}

impl<N: Network> Trainer<N> {
    /// One step on one batch: forward, backward, update. Returns the loss
    /// before the update. Where gradients of several batches are accumulated, the
    /// update comes with the last of them.
    ///
    /// A loss that is infinite or not a number is returned as it is, and the step is
    /// not kept: parameters, running statistics, what the optimizer and dropout
    /// keep, accumulated gradients, and [`Trainer::steps`] are what they were
    /// before. So it is where the loss is a mean by weights and no target of the batch
    /// counts, of which the mean is NaN. Where only one of several terms has no target
    /// that counts, the loss is NaN too, but the step is kept: the other terms teach,
    /// and this one's gradient is 0; [`Trainer::steps`] tells. Nor is a step kept of which the loss is
    /// finite and a gradient is not, which is an error. The next step can be made with
    /// another batch.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::BatchSize`], [`Error::Empty`],
    /// [`Error::IndexOutOfRange`] for arrays that do not fit, [`Error::Memory`]
    /// where there is not enough, [`Error::OtherTraining`] where the model has
    /// been exchanged for one that another trainer has trained;
    /// [`Error::NonFiniteGradient`] where the loss is finite, but not all gradients
    /// are. Then nothing has changed.
    #[inline]
    pub fn step(&mut self, batch: N::Batch<'_>) -> Result<f32> {
        let (feeds, choices) = (N::batch_feeds(&batch), N::batch_choices(&batch));
        self.step_on(feeds.as_ref(), choices.as_ref())
    }
}

impl<N> Trainer<N> {
    /// With a training that [`settle`] has checked.
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
        // What has been accumulated lies with the model: another one has nothing of it.
        if !model.engine.is_of(training) {
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

    /// Makes the update from the batches that have been accumulated since the
    /// last one, where they are fewer than
    /// [`accumulate`](TrainerBuilder::accumulate) says: by the mean of their
    /// gradients, as PyTorch does where `optimizer.step()` is called before. For
    /// the end of an epoch of your own; [`Trainer::fit`] does it itself. Returns
    /// from how many batches it was made; where there are none, 0, and nothing
    /// changes.
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
    /// [`Error::Compile`] where the update cannot be compiled; then nothing has
    /// changed.
    pub fn apply_accumulated(&mut self) -> Result<usize> {
        if !self.model.engine.is_of(&self.training) {
            self.pending = 0;
        }
        if self.pending > 0 {
            let (learning_rate, batches) = (self.learning_rate, self.pending);
            let numbers = UpdateNumbers { learning_rate, batches };
            self.model.engine.update(&self.purposes.update, numbers)?;
        }
        Ok(std::mem::take(&mut self.pending))
    }

    /// Forgets the gradients that have been accumulated since the last update.
    pub(crate) fn discard_accumulated(&mut self) {
        self.pending = 0;
    }

    /// What the last step gave that adds up over batches: numbers of the loss
    /// where it weighs targets, else nothing.
    pub(crate) fn sums(&self) -> &[f64] {
        self.model.engine.sums()
    }

    /// How many steps have been made and kept.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// How far a step goes.
    pub fn learning_rate(&self) -> f32 {
        self.learning_rate
    }

    /// Changes how far a step goes, and what schedules start from; nothing is
    /// compiled again.
    ///
    /// # Errors
    /// [`Error::Setting`] where it is negative or not finite; then it stays as
    /// it was.
    pub fn set_learning_rate(&mut self, learning_rate: f32) -> Result<()> {
        self.change_learning_rate(learning_rate)?;
        self.base_rate = learning_rate;
        Ok(())
    }

    /// Makes the learning rate what a schedule says for a time, counted from 0
    /// in what the caller counts, steps or epochs. The schedule starts from the
    /// optimizer's learning rate, or the one of the last
    /// [`Trainer::set_learning_rate`]. Nothing is compiled again.
    ///
    /// # Errors
    /// [`Error::Setting`] where a number of the schedule is wrong; then the
    /// learning rate stays as it was.
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

    /// The model, to look at or to predict with.
    pub fn model(&self) -> &Model<N> {
        &self.model
    }

    /// The model, to change its parameters or to exchange it for another one.
    pub fn model_mut(&mut self) -> &mut Model<N> {
        &mut self.model
    }

    /// The model, when training is done; what the optimizer kept is let go.
    pub fn into_model(mut self) -> Model<N> {
        self.model.engine.forget_steps();
        self.model
    }
}

/// An anomaly says of which step it is.
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
        false => Err(Error::Setting {
            name: name(),
            expected: expected.into(),
            found: found.to_string(),
        }),
    }
}
