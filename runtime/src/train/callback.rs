//! Callbacks after epochs.

use std::ops::{ControlFlow, Deref};

use super::history::{Epoch, History};
use crate::error::{Error, Result};

/// What a callback of [`Trainer::fit_with`](crate::Trainer::fit_with) is told
/// after an epoch. It has the fields of the [`Epoch`] too: `report.loss`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct EpochReport<'h> {
    /// The epoch that is over.
    pub epoch: &'h Epoch,
    /// How many epochs there are to be.
    pub epochs: usize,
    /// Whether its watched loss is the lowest so far.
    pub is_best: bool,
    /// All that happened so far, this epoch included.
    pub history: &'h History,
}

impl Deref for EpochReport<'_> {
    type Target = Epoch;

    fn deref(&self) -> &Epoch {
        self.epoch
    }
}

/// What a callback may answer: nothing, to go on; a [`ControlFlow`], to go on or
/// to stop with [`Stop::Callback`](crate::Stop::Callback); or a [`Result`] with
/// one of them, of which an error ends `fit` and is returned by it.
#[diagnostic::on_unimplemented(
    message = "a callback of `fit_with` cannot answer `{Self}`",
    note = "it may return nothing, `ControlFlow<()>`, or a `bilro::Result` with one of them"
)]
pub trait CallbackResult {
    /// Whether training goes on.
    ///
    /// # Errors
    /// The callback's own.
    fn control(self) -> Result<ControlFlow<()>>;
}

impl CallbackResult for () {
    fn control(self) -> Result<ControlFlow<()>> {
        Ok(ControlFlow::Continue(()))
    }
}

impl CallbackResult for ControlFlow<()> {
    fn control(self) -> Result<ControlFlow<()>> {
        Ok(self)
    }
}

impl<T: CallbackResult> CallbackResult for Result<T, Error> {
    fn control(self) -> Result<ControlFlow<()>> {
        self?.control()
    }
}
