//! Training, step by step.

use std::path::PathBuf;

use bilro_compiler::network::{Network as Declaration, Purpose};
use bilro_compiler::optim::{Clip, Training, WrongNumber};

use crate::engine::Results;
use crate::error::{Error, Result};
use crate::model::{Model, ModelBuilder};
use crate::network::Network;
use crate::schedule::Schedule;
use crate::settings::Backend;

/// A model and the optimizer that trains it.
#[derive(Debug)]
pub struct Trainer<N> {
    model: Model<N>,
    training: Training,
    /// The learning rate that schedules start from.
    base_rate: f32,
    steps: usize,
    /// Batches since the last update.
    pending: usize,
}

/// Says how a [`Trainer`] is made.
#[derive(Debug)]
pub struct TrainerBuilder<N> {
    model: ModelBuilder<N>,
    training: Training,
    /// Learning rates of layers and parameters, as factors; the last one that
    /// names a parameter counts.
    rates: Vec<(String, Option<f32>)>,
}

impl<N: Network> TrainerBuilder<N> {
    pub(crate) fn new(training: Training) -> TrainerBuilder<N> {
        TrainerBuilder { model: ModelBuilder::new(), training, rates: Vec::new() }
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
        self.training.clip = Some(Clip::Value(limit));
        self
    }

    /// Where the Euclidean norm of all gradients together is above `limit`,
    /// makes all of them smaller by one factor, so that it is `limit`.
    pub fn clip_norm(mut self, limit: f32) -> Self {
        self.training.clip = Some(Clip::Norm(limit));
        self
    }

    /// Makes an update from so many batches, by the mean of their gradients;
    /// from each unless told.
    pub fn accumulate(mut self, batches: usize) -> Self {
        self.training.accumulate = batches;
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
    /// [`Error::UnknownParameter`] for a learning rate of what is not there.
    pub fn build(mut self) -> Result<Trainer<N>> {
        let model = self.model.build()?;
        let declaration = &model.engine.declaration;
        self.training.rates = vec![Some(1.0); declaration.parameters.len()];
        for (name, rate) in self.rates {
            if let Some(factor) = rate {
                let name = || format!("the factor of `{name}`'s learning rate");
                check(name, factor, |x| x >= 0.0, "a finite number that is not negative")?;
            }
            for place in named(declaration, &name)? {
                self.training.rates[place] = rate;
            }
        }
        Trainer::new(model, self.training)
    }
}

/// The parameters of a layer, or the one parameter, of this name.
fn named(declaration: &Declaration, name: &str) -> Result<Vec<usize>> {
    let is_meant = |full: &str| match full.strip_prefix(name) {
        Some(rest) => rest.is_empty() || rest.starts_with('.'),
        None => false,
    };
    let all = declaration.parameters.iter().enumerate();
    let places: Vec<usize> = all.filter(|(_, p)| is_meant(&p.name)).map(|(i, _)| i).collect();
    match places.is_empty() {
        false => Ok(places),
        true => Err(Error::UnknownParameter {
            name: name.into(),
            known: declaration.parameters.iter().map(|p| p.name.clone()).collect(),
        }),
    }
}

impl<N: Network> Trainer<N> {
    pub(crate) fn new(model: Model<N>, training: Training) -> Result<Trainer<N>> {
        training.optimizer.check().map_err(|WrongNumber { name, expected, found }| {
            Error::Setting {
                name: name.into(),
                expected: expected.into(),
                found: found.to_string(),
            }
        })?;
        if let Some(Clip::Value(limit) | Clip::Norm(limit)) = training.clip {
            let name = || "the limit of gradients".to_string();
            check(name, limit, |x| x > 0.0, "a finite number above 0")?;
        }
        if training.accumulate == 0 {
            return Err(Error::Setting {
                name: "accumulate".into(),
                expected: "at least 1".into(),
                found: "0".into(),
            });
        }
        let mut model = model;
        model.engine.forget_steps();
        let base_rate = training.optimizer.learning_rate();
        Ok(Trainer { model, training, base_rate, steps: 0, pending: 0 })
    }

    /// One step on one batch: forward, backward, update. Returns the loss
    /// before the update. Where gradients of several batches are accumulated, the
    /// update comes with the last of them.
    ///
    /// A loss that is infinite or not a number is returned as it is, and the step is
    /// not kept: parameters, running statistics, what the optimizer and dropout
    /// keep, accumulated gradients, and [`Trainer::steps`] are what they were
    /// before. So is a step of which the loss is finite and a gradient is not,
    /// which is an error. The next step can be made with another batch.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::BatchSize`], [`Error::Empty`],
    /// [`Error::IndexOutOfRange`] for arrays that do not fit;
    /// [`Error::NonFiniteGradient`] where the loss is finite, but not all gradients
    /// are. Then nothing has changed.
    pub fn step(&mut self, batch: N::Batch<'_>) -> Result<f32> {
        let training = &self.training;
        let is_last = self.pending + 1 == training.accumulate;
        let purpose = match is_last {
            true => Purpose::Step(training),
            false => Purpose::Accumulate { training, first: self.pending == 0 },
        };
        let Results { kept, loss, .. } = self.model.run(&purpose, &batch)?;
        if kept {
            self.steps += 1;
            self.pending = if is_last { 0 } else { self.pending + 1 };
        } else if loss.is_finite() {
            return Err(Error::NonFiniteGradient { step: self.steps + 1, loss });
        }
        Ok(loss)
    }

    /// How many steps have been made and kept.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// How far a step goes.
    pub fn learning_rate(&self) -> f32 {
        self.training.optimizer.learning_rate()
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
        self.training.optimizer.set_learning_rate(learning_rate);
        Ok(())
    }

    /// The model, to look at or to predict with.
    pub fn model(&mut self) -> &mut Model<N> {
        &mut self.model
    }

    /// The model, when training is done; what the optimizer kept is let go.
    pub fn into_model(mut self) -> Model<N> {
        self.model.engine.forget_steps();
        self.model
    }
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
