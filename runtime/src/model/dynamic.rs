//! Models of networks that are declared at run time: arrays by name.
//!
//! Takes a declaration, which the compiler's
//! [`Builder`](bilro_compiler::declaration::Builder) makes, and arrays by their declared names. A
//! wrong name, type or shape is an error that lists the expected ones.

use std::fmt;
use std::ops::{Deref, Index};
use std::sync::Arc;

use bilro_compiler::declaration::Declaration;
use bilro_compiler::optim::{Optimizer, Training};
use bilro_compiler::purpose::Purpose;
use ndarray::{ArrayD, ArrayView, ArrayViewD, Dimension};

use super::evaluation::Sums;
use super::network::{FitsData, Learns};
use super::trainer::{Trainer, TrainerBuilder};
use super::{Evaluation, Model, ModelBuilder};
use crate::error::{Error, Result};
use crate::run::Feed;

/// The type parameter of a network that is declared at run time, instead of a network's type. See
/// [`DynModel`].
#[derive(Clone, Copy, Debug)]
pub enum Dynamic {}

/// A model of a network that is declared at run time; it does everything that other models do:
///
/// ```
/// use bilro::compiler::declaration::{Declaration, LossReduction};
/// use bilro::compiler::error::Error;
/// use bilro::compiler::shape::Type;
/// use bilro::prelude::{Adam, Fit, data};
/// use bilro::{DynModel, DynTrainer};
///
/// // The number of layers is chosen at run time.
/// fn network(widths: &[usize]) -> Result<Declaration, Error> {
///     Declaration::declare("Digits", |b| {
///         let image = b.input("image", [64])?;
///         let digit = b.target("digit", Type::class(10))?;
///         let mut x = image;
///         for width in widths {
///             let layer = b.layer(None, "Linear", [("out_features", *width)])?;
///             x = b.apply(layer, x)?;
///             x = b.call("relu", &[x], ())?;
///         }
///         let head = b.layer("head", "Linear", [("out_features", 10)])?;
///         let logits = b.apply(head, x)?;
///         b.output("logits", logits)?;
///         let losses = b.call("cross_entropy", &[logits, digit], ())?;
///         b.loss(losses, LossReduction::Mean)
///     })
/// }
///
/// # fn main() -> bilro::Result<()> {
/// let data = data::digits()?;
/// let mut trainer = DynTrainer::builder(network(&[32, 16])?, Adam::new(0.01)).seed(7).build()?;
/// trainer.fit(&data, Fit::epochs(2))?;
/// let model: DynModel = trainer.into_model();
/// let output = model.predict(("image", data.x()))?;
/// assert_eq!(output.get("logits")?.shape(), [data.len(), 10]);
/// assert!(model.evaluate(&data)?.metric("accuracy").is_some());
/// # Ok(())
/// # }
/// ```
pub type DynModel = Model<Dynamic>;

/// A [`DynModel`] and the optimizer that trains it.
pub type DynTrainer = Trainer<Dynamic>;

/// Arrays for a dynamic network's inputs and targets, by name, and chosen alternatives.
///
/// ```
/// use bilro::DynBatch;
/// use bilro::ndarray::array;
///
/// let (x, y) = (array![[1.0f32, 2.0]], array![3u32]);
/// let batch = DynBatch::new().with("x", x.view()).with("y", y.view()).choose("activation", "tanh");
/// // One array, or several without choices, convert to batches.
/// let one = DynBatch::from(("x", x.view()));
/// let two = DynBatch::from([("x", x.view().into()), ("y", y.view().into())]);
/// # let _ = (batch, one, two);
/// ```
#[derive(Clone, Debug, Default)]
pub struct DynBatch<'a> {
    arrays: Vec<(&'a str, Feed<'a>)>,
    choices: Vec<(&'a str, &'a str)>,
}

impl<'a> DynBatch<'a> {
    /// No arrays.
    pub fn new() -> DynBatch<'a> {
        DynBatch::default()
    }

    /// With the array of an input or a target, examples along the first axis: of `f32`, or of
    /// `u32` for classes and indices.
    pub fn with(mut self, name: &'a str, array: impl Into<Feed<'a>>) -> DynBatch<'a> {
        self.arrays.push((name, array.into()));
        self
    }

    /// With one of a choice's alternatives; default the first one.
    pub fn choose(mut self, choice: &'a str, alternative: &'a str) -> DynBatch<'a> {
        self.choices.push((choice, alternative));
        self
    }

    /// The arrays in declared order, targets last, and the indices of the chosen alternatives.
    pub(crate) fn resolve(
        &self,
        declaration: &Declaration,
        predicts: bool,
    ) -> Result<Resolved<'a>> {
        let inputs = || declaration.inputs.iter().filter(|input| !input.is_target || !predicts);
        let names = || inputs().map(|input| input.name.clone()).collect();
        for (i, (name, _)) in self.arrays.iter().enumerate() {
            let Some(input) = declaration.inputs.iter().find(|input| input.name == *name) else {
                return Err(unknown("input or target", name, names()));
            };
            if input.is_target && predicts {
                return Err(Error::Unneeded { name: input.name.clone() });
            }
            if self.arrays[..i].iter().any(|(other, _)| other == name) {
                return Err(Error::RepeatedName { name: (*name).into() });
            }
        }
        let ordered = inputs().filter(|i| !i.is_target).chain(inputs().filter(|i| i.is_target));
        let feeds = ordered.map(|input| {
            let given = self.arrays.iter().find(|(name, _)| *name == input.name);
            let missing = || Error::MissingInput { name: input.name.clone() };
            given.map(|(_, feed)| feed.clone()).ok_or_else(missing)
        });
        let feeds = feeds.collect::<Result<_>>()?;
        let mut choices = vec![0; declaration.choices.len()];
        for (i, (name, chosen)) in self.choices.iter().enumerate() {
            let all = &declaration.choices;
            let Some(index) = all.iter().position(|choice| choice.name == *name) else {
                return Err(unknown("choice", name, all.iter().map(|c| c.name.clone()).collect()));
            };
            if self.choices[..i].iter().any(|(other, _)| other == name) {
                return Err(Error::RepeatedName { name: (*name).into() });
            }
            let alternatives = &all[index].alternatives;
            let Some(alternative) = alternatives.iter().position(|name| name == chosen) else {
                return Err(unknown("alternative", chosen, alternatives.clone()));
            };
            choices[index] = alternative;
        }
        Ok((feeds, choices))
    }
}

pub(crate) type Resolved<'a> = (Vec<Feed<'a>>, Vec<usize>);

fn unknown(what: &'static str, name: &str, known: Vec<String>) -> Error {
    Error::UnknownName { what, name: name.into(), known }
}

impl<'a, A: Into<Feed<'a>>> From<(&'a str, A)> for DynBatch<'a> {
    fn from((name, array): (&'a str, A)) -> DynBatch<'a> {
        DynBatch::new().with(name, array)
    }
}

impl<'a, const N: usize> From<[(&'a str, Feed<'a>); N]> for DynBatch<'a> {
    fn from(arrays: [(&'a str, Feed<'a>); N]) -> DynBatch<'a> {
        DynBatch { arrays: arrays.into(), choices: Vec::new() }
    }
}

impl<'a> From<&[(&'a str, Feed<'a>)]> for DynBatch<'a> {
    fn from(arrays: &[(&'a str, Feed<'a>)]) -> DynBatch<'a> {
        DynBatch { arrays: arrays.to_vec(), choices: Vec::new() }
    }
}

/// Owned arrays by name: a dynamic network's outputs, or gradients.
#[derive(Clone, Debug)]
pub struct DynArrays {
    names: Arc<[String]>,
    arrays: Vec<ArrayD<f32>>,
}

impl DynArrays {
    fn new(names: impl Iterator<Item = impl Into<String>>, arrays: Vec<ArrayD<f32>>) -> DynArrays {
        DynArrays { names: names.map(Into::into).collect(), arrays }
    }

    /// The array of this name.
    ///
    /// # Errors
    /// [`Error::UnknownName`], which lists the names.
    pub fn get(&self, name: &str) -> Result<ArrayViewD<'_, f32>> {
        let index = self.names.iter().position(|n| n == name);
        let index = index.ok_or_else(|| unknown("array", name, self.names.to_vec()))?;
        Ok(self.arrays[index].view())
    }

    /// All of them with their names, in declared order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, ArrayViewD<'_, f32>)> {
        self.names.iter().zip(&self.arrays).map(|(name, array)| (name.as_str(), array.view()))
    }

    /// The arrays alone, in declared order.
    pub fn into_arrays(self) -> Vec<ArrayD<f32>> {
        self.arrays
    }
}

/// # Panics
/// If there is no such name, as a map does; [`DynArrays::get`] returns an error.
impl Index<&str> for DynArrays {
    type Output = ArrayD<f32>;

    fn index(&self, name: &str) -> &ArrayD<f32> {
        match self.names.iter().position(|n| n == name) {
            Some(index) => &self.arrays[index],
            None => panic!("{}", unknown("array", name, self.names.to_vec())),
        }
    }
}

/// The loss of a dynamic network, and its gradients by name.
#[derive(Clone)]
pub struct DynGradients {
    /// The loss.
    pub loss: f32,
    gradients: DynArrays,
}

impl fmt::Debug for DynGradients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynGradients").field("loss", &self.loss).finish_non_exhaustive()
    }
}

/// Gradients of the trained parameters, then of the inputs declared with `grad`, each in declared
/// order.
impl Deref for DynGradients {
    type Target = DynArrays;

    fn deref(&self) -> &DynArrays {
        &self.gradients
    }
}

impl Learns for Dynamic {}

impl DynModel {
    /// A builder for a model of a network.
    pub fn builder(declaration: Declaration) -> ModelBuilder<Dynamic> {
        ModelBuilder::new(Ok(declaration))
    }

    /// The network as it was declared.
    pub fn declaration(&self) -> &Declaration {
        &self.engine.declaration
    }

    /// The outputs for some inputs, in arrays with examples along the first axis.
    ///
    /// # Errors
    /// [`Error::UnknownName`], [`Error::RepeatedName`], [`Error::MissingInput`] and
    /// [`Error::Unneeded`] for names, [`Error::Kind`], [`Error::Shape`], [`Error::BatchSize`],
    /// [`Error::Empty`] and [`Error::IndexOutOfRange`] for arrays that do not fit;
    /// [`Error::Anomaly`] with [`ModelBuilder::detect_anomaly`](crate::ModelBuilder::detect_anomaly).
    pub fn predict<'a>(&self, inputs: impl Into<DynBatch<'a>>) -> Result<DynArrays> {
        let (feeds, choices) = inputs.into().resolve(self.declaration(), true)?;
        let results = self.run(&Purpose::Predict, &feeds, &choices)?;
        let names = self.declaration().outputs().map(|(name, _)| name);
        Ok(DynArrays::new(names, results.arrays))
    }

    /// The loss of some examples and its gradient with respect to every parameter; changes
    /// nothing.
    ///
    /// # Errors
    /// As [`DynModel::predict`]; [`Error::NoLoss`].
    pub fn gradients<'a>(&self, batch: impl Into<DynBatch<'a>>) -> Result<DynGradients> {
        let (feeds, choices) = batch.into().resolve(self.declaration(), false)?;
        let results = self.run(&Purpose::Gradients, &feeds, &choices)?;
        let declaration = self.declaration();
        let trained = declaration.parameters.iter().filter(|p| p.is_trained).map(|p| &p.name);
        let inputs = declaration.inputs.iter().filter(|i| i.has_gradient).map(|i| &i.name);
        let gradients = DynArrays::new(trained.chain(inputs), results.arrays);
        Ok(DynGradients { loss: results.loss, gradients })
    }

    /// Loss and metrics over the examples of one batch.
    ///
    /// # Errors
    /// As [`DynModel::gradients`].
    pub fn evaluate_batch<'a>(
        &self,
        batch: impl Into<DynBatch<'a>>,
    ) -> Result<Evaluation<Dynamic>> {
        let (feeds, choices) = batch.into().resolve(self.declaration(), false)?;
        let mut sums = Sums::new(&self.engine);
        sums.evaluate(&self.engine, &feeds, &choices)?;
        Ok(sums.finish())
    }

    /// The parameter of this name; weights of linear layers as `[in, out]`.
    ///
    /// # Errors
    /// [`Error::UnknownParameter`].
    pub fn parameter(&self, name: &str) -> Result<ArrayViewD<'_, f32>> {
        self.named_parameters().find(|(n, _)| *n == name).map(|(_, values)| values).ok_or_else(
            || Error::UnknownParameter {
                name: name.into(),
                known: self.declaration().parameters.iter().map(|p| p.name.clone()).collect(),
            },
        )
    }
}

impl DynTrainer {
    /// A builder for a trainer of a network.
    pub fn builder(
        declaration: Declaration,
        optimizer: impl Optimizer + 'static,
    ) -> TrainerBuilder<Dynamic> {
        TrainerBuilder::of(DynModel::builder(declaration), Training::from(optimizer))
    }

    /// One step on one batch: forward, backward, update. Returns the loss before the update. Losses
    /// and gradients that are not finite are handled as by other trainers' [`step`](Trainer::step).
    ///
    /// # Errors
    /// Those of [`DynModel::gradients`], and of other trainers' steps.
    pub fn step<'a>(&mut self, batch: impl Into<DynBatch<'a>>) -> Result<f32> {
        let declaration = &self.model().engine.declaration;
        let (feeds, choices) = batch.into().resolve(declaration, false)?;
        self.step_on(&feeds, &choices)
    }
}

impl<A, DX: Dimension, B, DY: Dimension> FitsData<A, DX, B, DY> for Dynamic
where
    for<'a> Feed<'a>: From<ArrayView<'a, A, DX>> + From<ArrayView<'a, B, DY>>,
{
    fn with_feeds<R>(
        declaration: &Declaration,
        x: ArrayView<'_, A, DX>,
        y: ArrayView<'_, B, DY>,
        run: impl FnOnce(&[Feed<'_>], &[usize]) -> Result<R>,
    ) -> Result<R> {
        let targets = declaration.inputs.iter().filter(|input| input.is_target).count();
        let inputs = declaration.inputs.len() - targets;
        if (inputs, targets) != (1, 1) {
            return Err(Error::InvalidArgument {
                name: format!("the inputs of `{}`", declaration.name),
                expected:
                    "one input and one target for a data set; for other networks, `step` and \
                           `evaluate_batch` take the arrays by name"
                        .into(),
                found: format!("{inputs} inputs and {targets} targets"),
            });
        }
        run(&[x.into(), y.into()], &[])
    }
}
