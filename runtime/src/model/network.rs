//! Traits that `network!` implements: types for a network's inputs, outputs, parameters
//! and gradients, and their conversion to and from the arrays of the engine.
//!
//! For `pub struct Digits { .. }` the macro makes the type `Digits`, which
//! implements [`Network`], and the module `digits` with the structs named here.

use bilro_compiler::declaration::Declaration;
use bilro_compiler::error::Error as CompileError;
use bilro_compiler::optim::{Optimizer, Training};
use ndarray::{ArrayD, ArrayView, ArrayViewD, ArrayViewMutD, Dimension};

use crate::error::Result;
use crate::model::ModelBuilder;
use crate::model::trainer::TrainerBuilder;

pub use crate::run::Feed;

/// A network declared by `network!`.
#[diagnostic::on_unimplemented(message = "`{Self}` is not a network declared by `network!`")]
pub trait Network: Sized + 'static {
    /// A builder for a model, with its own parameters.
    fn model() -> ModelBuilder<Self> {
        ModelBuilder::new(Self::declaration())
    }

    /// A builder for a trainer, with a model of its own.
    fn trainer(optimizer: impl Optimizer + 'static) -> TrainerBuilder<Self>
    where
        Self: Trainable,
    {
        TrainerBuilder::of(Self::model(), Training::from(optimizer))
    }

    /// Inputs and targets of some examples: `digits::Batch`.
    type Batch<'a>;
    /// Inputs of some examples: `digits::Input`.
    type Input<'a>;
    /// Outputs, in owned arrays: `digits::Output`.
    type Output;
    /// Views of all parameters, by layer: `digits::Parameters`.
    type Parameters<'a>;
    /// Mutable views of all parameters: `digits::ParametersMut`.
    type ParametersMut<'a>;
    /// Gradients of all parameters, by layer: `digits::Gradients`.
    type Gradients;

    /// An array of [`Feed`]s, one for each input and target.
    type BatchFeeds<'a>: AsRef<[Feed<'a>]>;
    /// An array of [`Feed`]s, one for each input.
    type InputFeeds<'a>: AsRef<[Feed<'a>]>;

    /// An array of indices of alternatives, one for each choice.
    type Choices: AsRef<[usize]>;

    /// The declaration of the network, for the compiler.
    fn declaration() -> Result<Declaration, CompileError>;
    /// Inputs, then targets, each in declared order.
    fn batch_feeds<'a>(batch: &'a Self::Batch<'_>) -> Self::BatchFeeds<'a>;
    /// Inputs in declared order.
    fn input_feeds<'a>(input: &'a Self::Input<'_>) -> Self::InputFeeds<'a>;
    /// For each choice, the index of the chosen alternative.
    fn batch_choices(batch: &Self::Batch<'_>) -> Self::Choices;
    /// The same for inputs without targets.
    fn input_choices(input: &Self::Input<'_>) -> Self::Choices;
    /// Outputs from arrays in declared order.
    fn output(arrays: Vec<ArrayD<f32>>) -> Self::Output;
    /// Parameters from views in the compiler's order.
    fn parameters<'a>(views: Vec<ArrayViewD<'a, f32>>) -> Self::Parameters<'a>;
    /// The same from mutable views.
    fn parameters_mut<'a>(views: Vec<ArrayViewMutD<'a, f32>>) -> Self::ParametersMut<'a>;
    /// Gradients from arrays: of the trained parameters, then of the inputs declared with `grad`,
    /// each in the compiler's order.
    fn gradients(arrays: Vec<ArrayD<f32>>) -> Self::Gradients;
    /// The same as views, in the same order.
    fn gradient_views(gradients: &Self::Gradients) -> Vec<ArrayViewD<'_, f32>>;
}

/// Networks with a loss. Others only predict.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no loss: it predicts, but cannot be trained or evaluated",
    note = "declare one in `network!`, with the `target` that it needs: \
            `loss mse_loss(output, target);`, or any expression",
    note = "a function for any network that has one says `N: bilro::Trainable`"
)]
pub trait Trainable: Network {}

/// Networks that are trained and evaluated: those with a loss, and dynamic ones, for which the loss
/// is checked at run time.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no loss: it predicts, but cannot be trained or evaluated",
    note = "declare one in `network!`, with the `target` that it needs: \
            `loss mse_loss(output, target);`, or any expression",
    note = "a function for any network that has one says `N: bilro::Trainable`"
)]
pub trait Learns {}

impl<N: Trainable> Learns for N {}

/// Networks with a metric named `accuracy`: those whose loss compares scores
/// with a class, and those that declare `metric accuracy(scores, target);`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not report an accuracy",
    note = "declare it in `network!`: `metric accuracy(output, target);`"
)]
pub trait Classifier: Trainable {}

/// Batches that can be made from a data set's two arrays: those of a network
/// with one input and one target of the same ranks and element types.
#[diagnostic::on_unimplemented(
    message = "this data set does not fit the network's input and target",
    label = "its arrays are `{X}` and `{Y}`",
    note = "an array has an axis for the examples before those that the network declares, and is of \
            u32 for a `class` or an `index`, of f32 otherwise",
    note = "labels `[examples]` for `target y: [1]`: `data.map_y(|y| y.insert_axis(Axis(1)))?`, and \
            `y.remove_axis(Axis(1))` the other way round, for `target y: class(n)`",
    note = "images `[examples, 28, 28]` for `input x: [784]`: `data.reshape_x(784)?`",
    note = "the network needs one input and one target of these types; \
            others are trained step by step with `Trainer::step`",
    note = "a `data::Classification` is for `input x: [n]` and `target y: class(m)`, \
            a `data::Regression` for `input x: [n]` and `target y: [m]`"
)]
pub trait FromExamples<X, Y> {
    /// The batch of these examples.
    fn from_examples(x: X, y: Y) -> Self;
}

/// Networks that can be trained and evaluated on a data set with these elements and axes: those
/// whose batches are [`FromExamples`], and dynamic ones with one input and one target.
pub trait FitsData<A, DX: Dimension, B, DY: Dimension> {
    /// Calls a function with the examples as the network's arrays, in declared order, and its
    /// choices.
    ///
    /// # Errors
    /// Those of the function; for a dynamic network
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) unless it has one input and one
    /// target.
    #[doc(hidden)]
    fn with_feeds<R>(
        declaration: &Declaration,
        x: ArrayView<'_, A, DX>,
        y: ArrayView<'_, B, DY>,
        run: impl FnOnce(&[Feed<'_>], &[usize]) -> Result<R>,
    ) -> Result<R>;
}

impl<N, A, DX: Dimension, B, DY: Dimension> FitsData<A, DX, B, DY> for N
where
    N: Network,
    for<'a> N::Batch<'a>: FromExamples<ArrayView<'a, A, DX>, ArrayView<'a, B, DY>>,
{
    #[inline]
    fn with_feeds<R>(
        _: &Declaration,
        x: ArrayView<'_, A, DX>,
        y: ArrayView<'_, B, DY>,
        run: impl FnOnce(&[Feed<'_>], &[usize]) -> Result<R>,
    ) -> Result<R> {
        let batch = N::Batch::from_examples(x, y);
        run(N::batch_feeds(&batch).as_ref(), N::batch_choices(&batch).as_ref())
    }
}
