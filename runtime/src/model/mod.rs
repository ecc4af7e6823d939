//! Models: a network with its parameters; predict, evaluate, gradients, files.
//!
//! [`Model`] is one type for all networks. Methods that do not depend on how arrays are passed are
//! here, in `weights` and in `modules`. `typed` has the methods for networks of `network!`, which
//! pack and unpack the fields of their types; `dynamic` has those for networks that are declared at
//! run time, with arrays by name. `trainer` trains them step by step.

mod builder;
pub mod dynamic;
mod evaluation;
pub(crate) mod measured;
mod modules;
pub mod network;
mod summary;
mod trainer;
mod typed;
mod verified;
pub(crate) mod weights;

use std::marker::PhantomData;

use bilro_compiler::optim::{Optimizer, Training};
use bilro_compiler::purpose::Purpose;
use ndarray::{ArrayViewD, ArrayViewMutD, RemoveAxis};

use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::run::engine::{Engine, Results};
use crate::run::{Backend, Feed};
use evaluation::Sums;
use network::{FitsData, Learns};

pub use builder::ModelBuilder;
pub use evaluation::Evaluation;
pub(crate) use trainer::checkpoint as trainer_checkpoint;
pub use trainer::checkpoint::Resumed;
pub use trainer::{NoTrainer, Trainer, TrainerBuilder};
pub use typed::Gradients;

/// A network `N` with parameters.
///
/// Made by [`Model::build`], by [`Trainer::into_model`], or for a network that is declared at run
/// time as a [`DynModel`](crate::DynModel).
///
/// Predicting, evaluating and gradients take `&self`: an `Arc<Model<N>>` serves any number of
/// threads, with the bits of one. The first call for a batch size compiles the code for it; all
/// threads share that code, and each call has its own working memory. A call waits for another only
/// while that one compiles the code that both need; of those at the same time that use several
/// threads, one has the thread pool, and others compute on their own thread. Methods that change
/// parameters take `&mut self`.
///
/// A clone has its own parameters and shares compiled code. It has no optimizer state, and draws
/// the same random numbers as the model would.
#[derive(Debug)]
pub struct Model<N> {
    pub(crate) engine: Engine,
    network: PhantomData<fn() -> N>,
}

/// The batch size of evaluations.
const EVALUATION_BATCH: usize = 256;

impl<N> Clone for Model<N> {
    /// # Panics
    /// If there is not enough memory for the parameters; [`Model::try_clone`] returns an error.
    fn clone(&self) -> Model<N> {
        self.try_clone().unwrap_or_else(|error| panic!("{error}"))
    }
}

impl<N> Model<N> {
    fn of(engine: Engine) -> Model<N> {
        Model { engine, network: PhantomData }
    }

    /// As `clone`, with an error if there is not enough memory for the parameters.
    ///
    /// # Errors
    /// [`Error::Memory`].
    pub fn try_clone(&self) -> Result<Model<N>> {
        self.engine.try_clone().map(Model::of)
    }

    /// Runs a purpose that overwrites nothing.
    #[inline]
    fn run(&self, purpose: &Purpose, feeds: &[Feed<'_>], choices: &[usize]) -> Result<Results> {
        self.engine.run_shared(purpose, feeds, choices, &mut Vec::new())
    }

    /// Loss and metrics over a data set, equal to those of one batch: see
    /// [`Evaluation`].
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::BatchSize`], [`Error::Empty`],
    /// [`Error::IndexOutOfRange`] for examples that do not fit; [`Error::Anomaly`] with
    /// [`ModelBuilder::detect_anomaly`].
    pub fn evaluate<A: Copy, DX: RemoveAxis, B: Copy, DY: RemoveAxis>(
        &self,
        data: &Dataset<A, DX, B, DY>,
    ) -> Result<Evaluation<N>>
    where
        N: Learns + FitsData<A, DX, B, DY>,
    {
        // Checked here, so that errors have the row in the data set, not in a batch.
        self.check(data)?;
        self.evaluate_checked(data)
    }

    /// The same for data that [`Model::check`] has accepted.
    pub(crate) fn evaluate_checked<A: Copy, DX: RemoveAxis, B: Copy, DY: RemoveAxis>(
        &self,
        data: &Dataset<A, DX, B, DY>,
    ) -> Result<Evaluation<N>>
    where
        N: FitsData<A, DX, B, DY>,
    {
        let mut sums = Sums::new(&self.engine);
        let declaration = &self.engine.declaration;
        for batch in data.batches(EVALUATION_BATCH)? {
            N::with_feeds(declaration, batch.x(), batch.y(), |feeds, choices| {
                sums.evaluate(&self.engine, feeds, choices)
            })?;
        }
        Ok(sums.finish())
    }

    /// Requires all examples of a data set to fit the network.
    pub(crate) fn check<A: Copy, DX: RemoveAxis, B: Copy, DY: RemoveAxis>(
        &self,
        data: &Dataset<A, DX, B, DY>,
    ) -> Result<()>
    where
        N: FitsData<A, DX, B, DY>,
    {
        let declaration = &self.engine.declaration;
        N::with_feeds(declaration, data.x(), data.y(), |feeds, _| self.engine.check(feeds))
    }

    /// The parameters' names, as `fc1.weight`, and values, in declared order, including
    /// running statistics. Weights of linear layers are `[in, out]`: `weight.t()` is
    /// PyTorch's `[out, in]`, the layout of [`Model::state_dict`].
    pub fn named_parameters(&self) -> impl ExactSizeIterator<Item = (&str, ArrayViewD<'_, f32>)> {
        let parameters = self.engine.declaration.parameters.iter().enumerate();
        parameters.map(|(i, p)| (p.name.as_str(), self.engine.parameters.view(i)))
    }

    /// The same as mutable views: the next prediction or step uses the written values.
    pub fn named_parameters_mut(
        &mut self,
    ) -> impl ExactSizeIterator<Item = (&str, ArrayViewMutD<'_, f32>)> {
        let names = self.engine.declaration.parameters.iter().map(|p| p.name.as_str());
        names.zip(self.engine.parameters.views_mut())
    }

    /// Overwrites the parameter of this name.
    ///
    /// # Errors
    /// [`Error::UnknownParameter`], or [`Error::ParameterShape`] for values of another
    /// shape.
    pub fn set_parameter(&mut self, name: &str, values: ArrayViewD<'_, f32>) -> Result<()> {
        let parameters = &self.engine.declaration.parameters;
        let Some(i) = parameters.iter().position(|p| p.name == name) else {
            return Err(Error::UnknownParameter {
                name: name.into(),
                known: parameters.iter().map(|p| p.name.clone()).collect(),
            });
        };
        self.engine.set_parameter(i, values)
    }

    /// A table of layers, shapes, numbers of trained parameters and multiply-adds.
    /// Running statistics do not count. For PyTorch's form, print the model itself:
    /// `println!("{model}")`.
    pub fn summary(&self) -> String {
        summary::summary(&self.engine.declaration)
    }

    /// The backend that serves this model.
    pub fn backend(&self) -> Backend {
        self.engine.backend()
    }

    /// See [`ModelBuilder::detect_anomaly`].
    pub fn set_detect_anomaly(&mut self, detects: bool) {
        self.engine.set_detect_anomaly(detects);
    }

    /// Drops all machine code and its working memory; the next call compiles its code
    /// again. Parameters and optimizer state stay.
    pub fn empty_cache(&mut self) {
        self.engine.empty_cache();
    }

    /// A builder for a trainer that continues to train this model:
    ///
    /// ```
    /// use bilro::prelude::*;
    ///
    /// network! {
    ///     /// A line.
    ///     pub struct Line {
    ///         input x: [1];
    ///         target y: [1];
    ///         output p = x -> Linear(1);
    ///         loss mse_loss(p, y);
    ///     }
    /// }
    ///
    /// let model = Line::model().build()?;
    /// let trainer = model.into_trainer(Sgd::new(0.1)).freeze("linear1.bias").clip_norm(1.0).build()?;
    /// // After a failure, the model is in the error.
    /// let failed = trainer.into_model().into_trainer(Sgd::new(-1.0)).build().unwrap_err();
    /// let (model, error) = failed.into_parts();
    /// assert!(error.to_string().contains("-1"));
    /// assert_eq!(model.params().linear1.weight.dim(), (1, 1));
    /// # Ok::<(), bilro::Error>(())
    /// ```
    pub fn into_trainer(self, optimizer: impl Optimizer + 'static) -> TrainerBuilder<N, Model<N>>
    where
        N: Learns,
    {
        TrainerBuilder::of(self, Training::from(optimizer))
    }
}
