//! Early stopping, and the parameters of the best epoch.
//!
//! Monitors the loss of epochs: tracks the best one, copies or saves its
//! parameters, and stops after a number of epochs without an improvement.

use std::path::PathBuf;

use ndarray::Dimension;

use super::history::{Epoch, Stop};
use super::options::Fit;
use crate::error::Result;
use crate::model::Model;

/// See the [module](self).
pub(super) struct Best {
    /// Number and monitored loss of the best epoch.
    best: Option<(usize, f64)>,
    /// Its parameters, if they may be restored.
    parameters: Option<Vec<f32>>,
    /// Whether to restore them; `None`: only after early stopping.
    restore: Option<bool>,
    path: Option<PathBuf>,
    patience: Option<usize>,
    min_improvement: f64,
    /// The loss that last counted as an improvement for early stopping.
    reference: f64,
    /// Epochs since then.
    without_improvement: usize,
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
            reference: f64::NAN,
            without_improvement: 0,
        }
    }

    /// The number of the best epoch so far.
    pub fn epoch(&self) -> Option<usize> {
        self.best.map(|(number, _)| number)
    }

    /// Epochs since the last improvement.
    pub fn epochs_without_improvement(&self) -> usize {
        self.without_improvement
    }

    /// Compares a completed epoch, whose parameters are the model's. Returns whether it is
    /// the best so far; then its parameters are copied and saved.
    pub fn observe<N>(&mut self, epoch: &Epoch, model: &Model<N>) -> Result<bool> {
        if !self.compare(epoch.number, epoch.monitored_loss()) {
            return Ok(false);
        }
        if self.restore.unwrap_or(self.patience.is_some()) {
            model.engine.copy_parameters_into(self.parameters.get_or_insert_default())?;
        }
        if let Some(path) = &self.path {
            model.save(path)?;
        }
        Ok(true)
    }

    /// Whether the loss of this epoch is the lowest so far. NaN never is, and epochs before
    /// the first number do not count for early stopping.
    fn compare(&mut self, number: usize, loss: f64) -> bool {
        let is_first = self.best.is_none();
        if is_first && loss.is_nan() {
            return false;
        }
        if is_first || loss < self.reference - self.min_improvement {
            (self.reference, self.without_improvement) = (loss, 0);
        } else {
            self.without_improvement += 1;
        }
        let is_best = self.best.is_none_or(|(_, best)| loss < best);
        if is_best {
            self.best = Some((number, loss));
        }
        is_best
    }

    /// Early stopping, if the patience is exhausted.
    pub fn stop(&self) -> Option<Stop> {
        let best_epoch = self.epoch()?;
        (self.without_improvement >= self.patience?).then_some(Stop::Early { best_epoch })
    }

    /// Restores the best parameters, if that is requested for this ending; returns whether it
    /// has been done.
    pub fn restore<N>(&self, ending: &Result<Stop>, model: &mut Model<N>) -> bool {
        let requested = self.restore.unwrap_or(matches!(ending, Ok(Stop::Early { .. })));
        match &self.parameters {
            Some(parameters) if requested => {
                model.engine.restore_parameters(parameters);
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Ix1, Ix2};

    /// The epochs that are the best so far, and the one after which training stops.
    fn monitor(
        losses: &[f64],
        patience: usize,
        min_improvement: f64,
    ) -> (Vec<usize>, Option<usize>) {
        let fit: Fit<'_, f32, Ix2, u32, Ix1> = Fit::epochs(losses.len());
        let mut best = Best::new(&fit.early_stopping(patience).min_improvement(min_improvement));
        let mut lowest = Vec::new();
        for (number, loss) in (1..).zip(losses) {
            if best.compare(number, *loss) {
                lowest.push(number);
            }
            assert_eq!(best.epoch(), lowest.last().copied());
            if let Some(stop) = best.stop() {
                assert_eq!(stop, Stop::Early { best_epoch: lowest[lowest.len() - 1] });
                return (lowest, Some(number));
            }
        }
        (lowest, None)
    }

    #[test]
    fn training_stops_when_the_patience_is_exhausted() {
        assert_eq!(monitor(&[3.0, 2.0, 2.0, 1.0, 1.0, 2.0], 2, 0.0), (vec![1, 2, 4], Some(6)));
        assert_eq!(monitor(&[3.0, 2.0, 2.0, 1.0, 1.0, 2.0], 3, 0.0), (vec![1, 2, 4], None));
        assert_eq!(monitor(&[1.0, 1.0], 1, 0.0), (vec![1], Some(2)));
        assert_eq!(monitor(&[1.0, 0.5, 0.25], 1, 0.0), (vec![1, 2, 3], None));
    }

    #[test]
    fn improvements_below_the_minimum_are_the_best_but_do_not_count() {
        // Together they count: 7 is more than 2 below 10.
        assert_eq!(monitor(&[10.0, 9.0, 8.0, 7.0, 6.0], 3, 2.0), (vec![1, 2, 3, 4, 5], None));
        assert_eq!(monitor(&[10.0, 9.0, 8.0, 7.0, 6.0], 2, 2.0), (vec![1, 2, 3], Some(3)));
    }

    #[test]
    fn nan_is_never_an_improvement() {
        let (nan, infinite) = (f64::NAN, f64::INFINITY);
        assert_eq!(monitor(&[nan, nan, nan], 2, 0.0), (vec![], None));
        assert_eq!(monitor(&[nan, nan, 3.0, 1.0], 1, 0.0), (vec![3, 4], None));
        assert_eq!(monitor(&[nan, infinite, 1.0, nan, 2.0], 2, 0.5), (vec![2, 3], Some(5)));
        assert_eq!(monitor(&[infinite, infinite, 1.0], 2, 0.0), (vec![1, 3], None));
    }
}
