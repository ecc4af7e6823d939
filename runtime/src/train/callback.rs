//! Callbacks after epochs.

use std::ops::{ControlFlow, Deref};

use super::history::{Epoch, History};
use crate::error::{Error, Result};

/// The report that a callback of [`Trainer::fit_with`](crate::Trainer::fit_with)
/// gets after an epoch. It has the fields of the [`Epoch`] too: `report.loss`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct EpochReport<'h> {
    /// The completed epoch.
    pub epoch: &'h Epoch,
    /// The total number of epochs.
    pub epochs: usize,
    /// Whether its monitored loss is the lowest so far.
    pub is_best: bool,
    /// The history so far, including this epoch.
    pub history: &'h History,
}

impl Deref for EpochReport<'_> {
    type Target = Epoch;

    fn deref(&self) -> &Epoch {
        self.epoch
    }
}

/// A callback's return type: nothing, to continue; a [`ControlFlow`], to continue or
/// to stop with [`Stop::Callback`](crate::Stop::Callback); or a [`Result`] of one
/// of them, whose error ends `fit` and is returned by it.
#[diagnostic::on_unimplemented(
    message = "a callback of `fit_with` cannot return `{Self}`",
    note = "it may return nothing, `ControlFlow<()>`, or a `bilro::Result` with one of them"
)]
pub trait CallbackResult {
    /// Whether training continues.
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
