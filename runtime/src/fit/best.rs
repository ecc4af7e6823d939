//! Watches the loss of epochs: which one is the best, with which parameters,
//! and when there is no more to hope for.

use std::path::PathBuf;

use ndarray::Dimension;

use super::history::{Epoch, Stop};
use super::options::Fit;
use crate::error::Result;
use crate::model::Model;

/// See the [module](self).
pub(super) struct Best {
    /// Number and watched loss of the best epoch.
    best: Option<(usize, f64)>,
    /// Its parameters, where they may be wanted back.
    parameters: Option<Vec<f32>>,
    /// Whether they are wanted, if known already.
    restore: Option<bool>,
    path: Option<PathBuf>,
    patience: Option<usize>,
    min_improvement: f64,
    /// The loss that last counted as better, for early stopping, and epochs
    /// since.
    counted: f64,
    waited: usize,
}

impl Best {
    pub fn new<A, DX: Dimension, B, DY: Dimension>(fit: &Fit<'_, A, DX, B, DY>) -> Best {
        Best {
            best: None,
            parameters: None,
            restore: fit.restore_best,
            path: fit.save_best.clone(),
            patience: fit.patience,
            min_improvement: fit.min_improvement,
            counted: f64::NAN,
            waited: 0,
        }
    }

    /// The number of the best epoch so far.
    pub fn epoch(&self) -> Option<usize> {
        self.best.map(|(number, _)| number)
    }

    /// Epochs since the last that counted as better.
    pub fn waited(&self) -> usize {
        self.waited
    }

    /// An epoch is over and the model is what it has become. Whether it is the
    /// best so far; then its parameters are kept and saved.
    pub fn watch<N: crate::Network>(&mut self, epoch: &Epoch, model: &Model<N>) -> Result<bool> {
        let loss = epoch.watched();
        let is_best = self.best.is_none_or(|(_, best)| is_lower(loss, best, 0.0));
        match is_lower(loss, self.counted, self.min_improvement) {
            true => (self.counted, self.waited) = (loss, 0),
            // There is nothing to wait for before the first.
            false => self.waited += usize::from(self.best.is_some()),
        }
        if !is_best {
            return Ok(false);
        }
        self.best = Some((epoch.number, loss));
        if self.restore.unwrap_or(self.patience.is_some()) {
            model.engine.copy_parameters_into(self.parameters.get_or_insert_default());
        }
        if let Some(path) = &self.path {
            model.save(path)?;
        }
        Ok(true)
    }

    /// Whether it has not become better for too long.
    pub fn stop(&self) -> Option<Stop> {
        let best_epoch = self.epoch()?;
        (self.waited >= self.patience?).then_some(Stop::Early { best_epoch })
    }

    /// Gives the model its best parameters, if they are wanted where training
    /// ends so; whether it has been done.
    pub fn restore<N: crate::Network>(&self, ending: &Result<Stop>, model: &mut Model<N>) -> bool {
        let wanted = self.restore.unwrap_or(matches!(ending, Ok(Stop::Early { .. })));
        match &self.parameters {
            Some(parameters) if wanted => {
                model.engine.restore_parameters(parameters);
                true
            }
            _ => false,
        }
    }
}

/// Any number is better than none.
fn is_lower(loss: f64, than: f64, by: f64) -> bool {
    loss < than - by || (than.is_nan() && !loss.is_nan())
}
