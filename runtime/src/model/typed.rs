//! Methods of models of `network!`: arrays as fields of the network's own types.

use std::sync::Arc;

use bilro_compiler::declaration::{Declaration, Declared};
use bilro_compiler::purpose::Purpose;
use ndarray::ArrayViewD;

use super::evaluation::Sums;
use super::network::{Network, Trainable};
use super::{Evaluation, Model, ModelBuilder};
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;

impl<N: Network> Model<N> {
    /// A model with the default seed and backend.
    ///
    /// # Errors
    /// As [`ModelBuilder::build`].
    pub fn build() -> Result<Model<N>> {
        ModelBuilder::new(N::declaration()).build()
    }

    /// The outputs for some inputs, in arrays with examples along the first
    /// axis.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::BatchSize`], [`Error::Empty`],
    /// [`Error::IndexOutOfRange`] for inputs that do not fit; [`Error::Anomaly`] with
    /// [`ModelBuilder::detect_anomaly`].
    pub fn predict(&self, input: N::Input<'_>) -> Result<N::Output> {
        let (feeds, choices) = (N::input_feeds(&input), N::input_choices(&input));
        let results = self.run(&Purpose::Predict, feeds.as_ref(), choices.as_ref())?;
        Ok(N::output(results.arrays))
    }

    /// The loss of some examples and its gradient with respect to every
    /// parameter; changes nothing.
    ///
    /// # Errors
    /// As [`Model::predict`].
    pub fn gradients(&self, batch: N::Batch<'_>) -> Result<Gradients<N>>
    where
        N: Trainable,
    {
        let (feeds, choices) = (N::batch_feeds(&batch), N::batch_choices(&batch));
        let results = self.run(&Purpose::Gradients, feeds.as_ref(), choices.as_ref())?;
        let declaration = self.engine.declaration.clone();
        Ok(Gradients { loss: results.loss, gradients: N::gradients(results.arrays), declaration })
    }

    /// Loss and metrics over the examples of one batch.
    ///
    /// # Errors
    /// As [`Model::predict`].
    pub fn evaluate_batch(&self, batch: N::Batch<'_>) -> Result<Evaluation<N>>
    where
        N: Trainable,
    {
        let (feeds, choices) = (N::batch_feeds(&batch), N::batch_choices(&batch));
        let mut sums = Sums::new(&self.engine);
        sums.evaluate(&self.engine, feeds.as_ref(), choices.as_ref())?;
        Ok(sums.finish())
    }

    /// Views of all parameters, by layer; weights of linear layers as
    /// `[in, out]`: `params().fc1.weight.t()` is PyTorch's `[out, in]`.
    pub fn params(&self) -> N::Parameters<'_> {
        let parameters = 0..self.engine.declaration.parameters.len();
        N::parameters(parameters.map(|i| self.engine.parameters.view(i)).collect())
    }

    /// The same views, mutable: the next prediction or step uses the written values. Shapes
    /// cannot change.
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
}

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
    /// All gradients with their names, as `fc1.weight`: of the trained parameters, then of the
    /// inputs declared with `grad`, each in declared order.
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
    /// // The update of the optimizer `Sgd::new(0.1)`.
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

    /// The gradient of this name; `None` if it is not a trained parameter or an input with `grad`.
    pub fn get(&self, name: &str) -> Option<ArrayViewD<'_, f32>> {
        self.named().find(|(n, _)| *n == name).map(|(_, gradient)| gradient)
    }

    /// The gradients without the loss.
    pub fn into_inner(self) -> N::Gradients {
        self.gradients
    }
}
