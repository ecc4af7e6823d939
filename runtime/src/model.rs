//! A network with its parameters: predict, evaluate, gradients, parameters.

use std::marker::PhantomData;
use std::path::PathBuf;
use std::sync::Arc;

use bilro_compiler::declaration::{Declaration, Declared, Purpose};
use bilro_compiler::optim::{Optimizer, Training};
use ndarray::{ArrayView, ArrayViewD, ArrayViewMutD, Dimension, RemoveAxis};

use crate::data::Dataset;
use crate::engine::{self, Engine};
use crate::error::{Error, Result};
use crate::measured::Measured;
use crate::network::{Classifier, FromExamples, Network, Trainable};
use crate::settings::Backend;
use crate::summary;
#[cfg(doc)]
use crate::trainer::Trainer;
use crate::trainer::TrainerBuilder;

/// A network `N` with parameters.
///
/// Made by [`Model::build`] or by [`Trainer::into_model`]. Calls compile what
/// they need for the batch size at hand the first time they see it, which is
/// why they take `&mut self`.
#[derive(Debug)]
pub struct Model<N> {
    pub(crate) engine: Engine,
    network: PhantomData<fn() -> N>,
}

/// Says how a [`Model`] is made.
#[derive(Debug)]
pub struct ModelBuilder<N> {
    seed: u64,
    backend: Option<Backend>,
    threads: Option<usize>,
    weights: Option<PathBuf>,
    code_cache: usize,
    network: PhantomData<fn() -> N>,
}

impl<N: Network> ModelBuilder<N> {
    pub(crate) fn new() -> ModelBuilder<N> {
        ModelBuilder {
            seed: 0,
            backend: None,
            threads: None,
            weights: None,
            code_cache: engine::CODE_CACHE,
            network: PhantomData,
        }
    }

    /// The seed of the parameters' first values, 0 unless told. The same seed
    /// gives PyTorch's values.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// What computes the network; unless told, what `BILRO_BACKEND` says, or
    /// machine code.
    pub fn backend(mut self, backend: Backend) -> Self {
        self.backend = Some(backend);
        self
    }

    /// How many threads compute; unless told, what `BILRO_THREADS` says, or
    /// as many as the machine has. Results do not depend on it.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// How much machine code is kept for later calls, in bytes; 64 MiB unless
    /// told. There is code for each purpose and batch size. Beyond so many bytes,
    /// what has not been used for longest goes, and is compiled again when it is
    /// needed; results are the same. The code that runs stays in any case.
    pub fn code_cache(mut self, bytes: usize) -> Self {
        self.code_cache = bytes;
        self
    }

    /// A file from which the parameters are read, instead of the seed's values:
    /// see [`Model::load`].
    pub fn weights(mut self, path: impl Into<PathBuf>) -> Self {
        self.weights = Some(path.into());
        self
    }

    /// The model.
    ///
    /// # Errors
    /// [`Error::Compile`] where sizes that were constants do not fit,
    /// [`Error::Setting`] for no threads, [`Error::Environment`] for a variable
    /// with a value that is not understood, [`Error::Memory`] for more parameters
    /// than there is memory for; and those of [`Model::load`], where weights are
    /// from a file.
    pub fn build(self) -> Result<Model<N>> {
        let backend = match self.backend {
            Some(backend) => backend,
            None => Backend::from_environment()?.unwrap_or_default(),
        };
        let threads = crate::settings::threads(self.threads)?;
        let mut engine = Engine::new(N::declaration()?, backend, self.seed, threads)?;
        engine.set_code_cache(self.code_cache);
        let mut model = Model { engine, network: PhantomData };
        if let Some(path) = self.weights {
            model.load(path)?;
        }
        Ok(model)
    }
}

impl<N: Network> Model<N> {
    /// A model with the default seed and backend.
    ///
    /// # Errors
    /// As [`ModelBuilder::build`].
    pub fn build() -> Result<Model<N>> {
        ModelBuilder::new().build()
    }

    /// The outputs for some inputs, in arrays with examples along the first
    /// axis.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::BatchSize`], [`Error::Empty`],
    /// [`Error::IndexOutOfRange`] for inputs that do not fit.
    pub fn predict(&mut self, input: N::Input<'_>) -> Result<N::Output> {
        let (feeds, choices) = (N::input_feeds(&input), N::input_choices(&input));
        let results = self.engine.run_with(&Purpose::Predict, feeds.as_ref(), choices.as_ref())?;
        Ok(N::output(results.arrays))
    }

    /// The loss of some examples and its gradient with respect to every
    /// parameter; changes nothing.
    ///
    /// # Errors
    /// As [`Model::predict`].
    pub fn gradients(&mut self, batch: N::Batch<'_>) -> Result<Gradients<N>>
    where
        N: Trainable,
    {
        let results = self.run(&Purpose::Gradients, &batch)?;
        let declaration = self.engine.declaration.clone();
        Ok(Gradients { loss: results.loss, gradients: N::gradients(results.arrays), declaration })
    }

    /// Loss and metrics over the examples of one batch.
    ///
    /// # Errors
    /// As [`Model::predict`].
    pub fn evaluate_batch(&mut self, batch: N::Batch<'_>) -> Result<Evaluation<N>>
    where
        N: Trainable,
    {
        let results = self.run(&Purpose::Evaluate, &batch)?;
        let mut sums = Sums::new(&self.engine);
        sums.add(&self.engine, results.examples);
        Ok(sums.finish())
    }

    /// Loss and metrics over a data set, as if it were one batch: see
    /// [`Evaluation`].
    ///
    /// # Errors
    /// As [`Model::predict`].
    pub fn evaluate<A, DX, B, DY>(&mut self, data: &Dataset<A, DX, B, DY>) -> Result<Evaluation<N>>
    where
        N: Trainable,
        A: Copy,
        B: Copy,
        DX: Dimension + RemoveAxis,
        DY: Dimension + RemoveAxis,
        for<'a> N::Batch<'a>: FromExamples<ArrayView<'a, A, DX>, ArrayView<'a, B, DY>>,
    {
        // Here, so that an error names the row of the data set and not of a batch.
        self.check(data)?;
        self.evaluate_checked(data)
    }

    /// The same of data that [`Model::check`] has accepted.
    pub(crate) fn evaluate_checked<A, DX, B, DY>(
        &mut self,
        data: &Dataset<A, DX, B, DY>,
    ) -> Result<Evaluation<N>>
    where
        A: Copy,
        B: Copy,
        DX: Dimension + RemoveAxis,
        DY: Dimension + RemoveAxis,
        for<'a> N::Batch<'a>: FromExamples<ArrayView<'a, A, DX>, ArrayView<'a, B, DY>>,
    {
        let mut sums = Sums::new(&self.engine);
        for batch in data.batches(EVALUATION_BATCH)? {
            let examples = N::Batch::from_examples(batch.x(), batch.y());
            let results = self.run(&Purpose::Evaluate, &examples)?;
            sums.add(&self.engine, results.examples);
        }
        Ok(sums.finish())
    }

    /// Runs a purpose on a batch.
    #[inline]
    pub(crate) fn run(
        &mut self,
        purpose: &Purpose<'_>,
        batch: &N::Batch<'_>,
    ) -> Result<engine::Results> {
        let (feeds, choices) = (N::batch_feeds(batch), N::batch_choices(batch));
        self.engine.run_with(purpose, feeds.as_ref(), choices.as_ref())
    }

    /// Requires all examples of a data set to fit the network.
    pub(crate) fn check<A, DX, B, DY>(&self, data: &Dataset<A, DX, B, DY>) -> Result<()>
    where
        A: Copy,
        B: Copy,
        DX: Dimension + RemoveAxis,
        DY: Dimension + RemoveAxis,
        for<'a> N::Batch<'a>: FromExamples<ArrayView<'a, A, DX>, ArrayView<'a, B, DY>>,
    {
        let examples = N::Batch::from_examples(data.x(), data.y());
        self.engine.check(N::batch_feeds(&examples).as_ref())
    }

    /// Views of all parameters, by layer; weights of linear layers as
    /// `[in, out]`: `params().fc1.weight.t()` is PyTorch's `[out, in]`.
    pub fn params(&self) -> N::Parameters<'_> {
        let parameters = 0..self.engine.declaration.parameters.len();
        N::parameters(parameters.map(|i| self.engine.parameters.view(i)).collect())
    }

    /// The same views, to write through: the next prediction or step has what is
    /// written. The shapes stay as they are.
    ///
    /// ```
    /// use bilro::{Network, network};
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
    /// let mut model = Line::model().build()?;
    /// let mut parameters = model.params_mut();
    /// parameters.linear1.weight.fill(2.0);
    /// parameters.linear1.bias[0] = 0.5;
    /// let x = ndarray::array![[3.0]];
    /// assert_eq!(model.predict(line::Input { x: x.view() })?.p[(0, 0)], 6.5);
    /// # Ok::<(), bilro::Error>(())
    /// ```
    pub fn params_mut(&mut self) -> N::ParametersMut<'_> {
        N::parameters_mut(self.engine.parameters.views_mut())
    }

    /// The parameters' names and values, in declared order, by name as in
    /// `fc1.weight`; running statistics are among them. Weights of linear layers are `[in, out]`: `weight.t()` is
    /// PyTorch's `[out, in]`, and [`Model::state_dict`] has all of them so.
    pub fn named_parameters(&self) -> impl ExactSizeIterator<Item = (&str, ArrayViewD<'_, f32>)> {
        let parameters = self.engine.declaration.parameters.iter().enumerate();
        parameters.map(|(i, p)| (p.name.as_str(), self.engine.parameters.view(i)))
    }

    /// The same to write through: the next prediction or step has what is written.
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

    /// A table of layers, shapes, parameters and multiply-adds. Parameters are
    /// those that are trained: running statistics do not count. For PyTorch's
    /// form, print the model itself: `println!("{model}")`.
    pub fn summary(&self) -> String {
        summary::summary(&self.engine.declaration)
    }

    /// The backend that serves this model.
    pub fn backend(&self) -> Backend {
        self.engine.backend()
    }

    /// Lets go of all machine code, and of the memory that it works in; the next
    /// call compiles what it needs. Parameters stay, and so does what a trainer
    /// keeps.
    pub fn empty_cache(&mut self) {
        self.engine.empty_cache();
    }

    /// Trains this model on, with all that can be said of a trainer:
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
    /// // Where it fails, the model is in the error.
    /// let failed = trainer.into_model().into_trainer(Sgd::new(-1.0)).build().unwrap_err();
    /// let (model, error) = failed.into_parts();
    /// assert!(error.to_string().contains("-1"));
    /// assert_eq!(model.params().linear1.weight.dim(), (1, 1));
    /// # Ok::<(), bilro::Error>(())
    /// ```
    pub fn into_trainer(self, optimizer: impl Optimizer + 'static) -> TrainerBuilder<N, Model<N>>
    where
        N: Trainable,
    {
        TrainerBuilder::of(self, Training::from(optimizer))
    }
}

/// Examples that are evaluated at once.
const EVALUATION_BATCH: usize = 256;

/// The loss and its gradients.
pub struct Gradients<N: Network> {
    /// The loss.
    pub loss: f32,
    gradients: N::Gradients,
    declaration: Arc<Declaration>,
}

impl<N: Network> std::ops::Deref for Gradients<N> {
    type Target = N::Gradients;

    fn deref(&self) -> &N::Gradients {
        &self.gradients
    }
}

impl<N: Network> Gradients<N> {
    /// All gradients with their names, as `fc1.weight`: those of the parameters that are
    /// trained, in declared order, and then those of the inputs that ask for theirs.
    ///
    /// ```
    /// use bilro::ndarray::array;
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
    /// let mut model = Line::model().build()?;
    /// let (x, y) = (array![[1.0], [2.0]], array![[2.0], [4.0]]);
    /// let batch = line::Batch { x: x.view(), y: y.view() };
    /// let gradients = model.gradients(batch)?;
    /// // What the optimizer `Sgd::new(0.1)` does.
    /// for (name, mut values) in model.named_parameters_mut() {
    ///     if let Some(gradient) = gradients.get(name) {
    ///         values.scaled_add(-0.1, &gradient);
    ///     }
    /// }
    /// assert!(model.evaluate_batch(batch)?.loss() < gradients.loss.into());
    /// # Ok::<(), bilro::Error>(())
    /// ```
    pub fn named(&self) -> impl ExactSizeIterator<Item = (&str, ArrayViewD<'_, f32>)> {
        let Declared { parameters, inputs, .. } = &**self.declaration;
        let trained = parameters.iter().filter(|p| p.is_trained).map(|p| p.name.as_str());
        let names =
            trained.chain(inputs.iter().filter(|i| i.has_gradient).map(|i| i.name.as_str()));
        let named: Vec<_> = names.zip(N::gradient_views(&self.gradients)).collect();
        named.into_iter()
    }

    /// The gradient of this name; none of what is not trained.
    pub fn get(&self, name: &str) -> Option<ArrayViewD<'_, f32>> {
        self.named().find(|(n, _)| *n == name).map(|(_, gradient)| gradient)
    }

    /// The gradients alone.
    pub fn into_inner(self) -> N::Gradients {
        self.gradients
    }
}

/// Loss and metrics over some examples.
///
/// They are those of all examples together, however many batches they were
/// evaluated in: means are sums over all of them, in f64, divided by what all
/// of them count for. A target that does not count, as one of the class
/// `ignore_index`, counts nowhere; where none counts, the mean is NaN.
#[derive(Clone, Debug)]
pub struct Evaluation<N> {
    loss: f64,
    metrics: Vec<(String, f64)>,
    network: PhantomData<fn() -> N>,
}

/// What has been added up over batches.
struct Sums {
    declaration: Arc<Declaration>,
    measured: Vec<Measured>,
}

impl Sums {
    fn new(engine: &Engine) -> Sums {
        let declaration = engine.declaration.clone();
        let measured = declaration.measures.iter().map(Measured::new).collect();
        Sums { declaration, measured }
    }

    /// Adds the batch that was evaluated last.
    fn add(&mut self, engine: &Engine, examples: usize) {
        let mut sums = engine.sums().iter().copied();
        self.measured.iter_mut().for_each(|measured| measured.add(&mut sums, examples));
    }

    fn finish<N>(self) -> Evaluation<N> {
        let mut values = self.measured.iter().map(Measured::value);
        // The loss is the first; what has none cannot be evaluated.
        let loss = values.next().unwrap_or(f64::NAN);
        let names = self.declaration.metrics().map(String::from);
        Evaluation { loss, metrics: names.zip(values).collect(), network: PhantomData }
    }
}

impl<N: Network> Evaluation<N> {
    /// The loss of all examples: the mean over them, of each term by the
    /// weights of its targets where classes have weights or one is ignored.
    /// Where the network says `loss sum`, the sum over all examples.
    pub fn loss(&self) -> f64 {
        self.loss
    }

    /// The metric of this name, if the network has it.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.metrics.iter().find(|(n, _)| n == name).map(|(_, value)| *value)
    }

    /// All metrics, in declared order.
    pub fn metrics(&self) -> &[(String, f64)] {
        &self.metrics
    }

    /// The share of the targets that count whose score is the largest, from 0 to 1.
    pub fn accuracy(&self) -> f64
    where
        N: Classifier,
    {
        self.metric("accuracy").unwrap_or(f64::NAN)
    }
}
