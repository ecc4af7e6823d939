//! Training, step by step.

use std::path::PathBuf;

use bilro_compiler::network::Purpose;
use bilro_compiler::optim::Optimizer;

use crate::error::{Error, Result};
use crate::model::{Model, ModelBuilder};
use crate::network::Network;
use crate::settings::Backend;

/// A model and the optimizer that trains it.
#[derive(Debug)]
pub struct Trainer<N> {
    model: Model<N>,
    optimizer: Box<dyn Optimizer>,
    steps: usize,
}

/// Says how a [`Trainer`] is made.
#[derive(Debug)]
pub struct TrainerBuilder<N> {
    model: ModelBuilder<N>,
    optimizer: Box<dyn Optimizer>,
}

impl<N: Network> TrainerBuilder<N> {
    pub(crate) fn new(optimizer: Box<dyn Optimizer>) -> TrainerBuilder<N> {
        TrainerBuilder { model: ModelBuilder::new(), optimizer }
    }

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

    /// See [`ModelBuilder::weights`].
    pub fn weights(mut self, path: impl Into<PathBuf>) -> Self {
        self.model = self.model.weights(path);
        self
    }

    /// The trainer.
    ///
    /// # Errors
    /// As [`ModelBuilder::build`], and [`Error::Setting`] for a learning rate
    /// that is negative or not finite.
    pub fn build(self) -> Result<Trainer<N>> {
        check_learning_rate(self.optimizer.learning_rate())?;
        Trainer::new(self.model.build()?, self.optimizer)
    }
}

impl<N: Network> Trainer<N> {
    pub(crate) fn new(model: Model<N>, optimizer: Box<dyn Optimizer>) -> Result<Trainer<N>> {
        check_learning_rate(optimizer.learning_rate())?;
        let mut model = model;
        model.engine.forget_steps();
        Ok(Trainer { model, optimizer, steps: 0 })
    }

    /// One step on one batch: forward, backward, update. Returns the loss
    /// before the update; a loss that is not finite is returned as it is.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::BatchSize`], [`Error::Empty`],
    /// [`Error::IndexOutOfRange`] for arrays that do not fit; then nothing has
    /// changed.
    pub fn step(&mut self, batch: N::Batch<'_>) -> Result<f32> {
        let feeds = N::batch_feeds(&batch);
        let purpose = Purpose::Step(&*self.optimizer);
        let results = self.model.engine.run(&purpose, feeds.as_ref())?;
        self.steps += 1;
        Ok(results.loss)
    }

    /// How many steps have been made.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// How far a step goes.
    pub fn learning_rate(&self) -> f32 {
        self.optimizer.learning_rate()
    }

    /// Changes how far a step goes; nothing is compiled again.
    ///
    /// # Errors
    /// [`Error::Setting`] where it is negative or not finite; then it stays as
    /// it was.
    pub fn set_learning_rate(&mut self, learning_rate: f32) -> Result<()> {
        check_learning_rate(learning_rate)?;
        self.optimizer.set_learning_rate(learning_rate);
        Ok(())
    }

    /// The model, to look at or to predict with.
    pub fn model(&mut self) -> &mut Model<N> {
        &mut self.model
    }

    /// The model, when training is done.
    pub fn into_model(self) -> Model<N> {
        self.model
    }
}

fn check_learning_rate(learning_rate: f32) -> Result<()> {
    if learning_rate.is_finite() && learning_rate >= 0.0 {
        return Ok(());
    }
    Err(Error::Setting {
        name: "learning rate".into(),
        expected: "a finite number that is not negative".into(),
        found: learning_rate.to_string(),
    })
}
