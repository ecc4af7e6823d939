//! Verification of compiled code on a batch: for models, trainers and `testing`.

use bilro_compiler::purpose::Purpose;

use super::Model;
use super::dynamic::{DynBatch, DynModel};
use super::network::Network;
use crate::error::{Result, Verification};
use crate::run::Feed;
use crate::run::engine::{Extent, UpdateNumbers};

impl<N> Model<N> {
    /// Verifies on arrays in declared order.
    pub(crate) fn verify_on(
        &self,
        purposes: &[Purpose],
        feeds: &[Feed<'_>],
        choices: &[usize],
        extent: Extent,
    ) -> Result<Verification> {
        self.engine.verify(purposes, feeds, choices, UpdateNumbers::NONE, extent)
    }

    /// The purposes to verify: those of a model's public calls.
    fn purposes(&self) -> &'static [Purpose] {
        match self.engine.declaration.has_loss() {
            true => &[Purpose::Predict, Purpose::Evaluate, Purpose::Gradients],
            false => &[Purpose::Predict],
        }
    }
}

impl<N: Network> Model<N> {
    /// Compares this model's machine code with the interpreter on a batch, and its gradients with
    /// central differences; changes nothing.
    ///
    /// For `predict`, `evaluate` and `gradients`, with the code that these calls run, it compares:
    ///
    /// - the compiled graph with the declared network, before any rewrite, in f64;
    /// - every result of every kernel, one kernel after the other, with the interpreter's in f64,
    ///   which starts from the machine code's values of earlier kernels;
    /// - outputs, loss, metrics and gradients with the interpreter's on the declared network;
    /// - gradients of 16 elements of each parameter, and of each input declared with `grad`, with
    ///   differences of the loss in f64. [`testing::gradcheck`](crate::testing::gradcheck) has
    ///   options for these.
    ///
    /// Each number has a separate bound, from a running error analysis; the [report](Verification)
    /// has the largest error in units of its bound, and the first layer that disagrees. A
    /// disagreement is not an error: call [`Verification::is_ok`] or [`Verification::into_result`].
    /// The machine code is verified on any backend, also if the interpreter serves the model. It
    /// takes the time of some hundred evaluations by the interpreter, and a few times the memory of
    /// all values in f64.
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
    /// let digits = data::digits()?;
    /// let batch = digits.batches(8)?.next().unwrap();
    /// let model = Digits::model().build()?;
    /// let report = model.verify(digits::Batch { image: batch.x(), digit: batch.y() })?;
    /// assert!(report.is_ok() && report.worst() < 1.0, "{report}");
    /// # Ok::<(), bilro::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Model::predict`], [`Error::SmallBatch`](crate::Error::SmallBatch) for too few examples
    /// to train on, [`Error::Memory`](crate::Error::Memory) if there is not enough to
    /// verify.
    pub fn verify(&self, batch: N::Batch<'_>) -> Result<Verification> {
        let (feeds, choices) = (N::batch_feeds(&batch), N::batch_choices(&batch));
        self.verify_on(self.purposes(), feeds.as_ref(), choices.as_ref(), Extent::ALL)
    }
}

impl DynModel {
    /// Compares this model's machine code with the interpreter on a batch, and its gradients with
    /// central differences; changes nothing. See the [`verify`](Model::verify) of other models;
    /// without a loss, a batch has only the inputs.
    ///
    /// # Errors
    /// As [`DynModel::predict`], and as other models' `verify`.
    pub fn verify<'a>(&self, batch: impl Into<DynBatch<'a>>) -> Result<Verification> {
        let predicts = !self.declaration().has_loss();
        let (feeds, choices) = batch.into().resolve(self.declaration(), predicts)?;
        self.verify_on(self.purposes(), &feeds, &choices, Extent::ALL)
    }
}
