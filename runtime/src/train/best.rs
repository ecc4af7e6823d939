//! Early stopping and the best epoch.
//!
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
    pub best: Option<(usize, f64)>,
    /// Its parameters, where they may be wanted back.
    pub parameters: Option<Vec<f32>>,
    /// Whether they are wanted, if known already.
    restore: Option<bool>,
    path: Option<PathBuf>,
    patience: Option<usize>,
    min_improvement: f64,
    /// The loss that last counted as better, for early stopping, and epochs
    /// since.
    pub counted: f64,
    pub waited: usize,
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

    /// Whether the parameters of the best epoch may be wanted back.
    pub fn wants_parameters(&self) -> bool {
        self.restore.unwrap_or(self.patience.is_some())
    }

    /// Epochs since the last that counted as better.
    pub fn waited(&self) -> usize {
        self.waited
    }

    /// An epoch is over and the model is what it has become. Whether it is the
    /// best so far; then its parameters are kept and saved.
    pub fn watch<N>(&mut self, epoch: &Epoch, model: &Model<N>) -> Result<bool> {
        if !self.compare(epoch.number, epoch.watched()) {
            return Ok(false);
        }
        if self.wants_parameters() {
            model.engine.copy_parameters_into(self.parameters.get_or_insert_default())?;
        }
        if let Some(path) = &self.path {
            model.save(path)?;
        }
        Ok(true)
    }

    /// Whether the loss of this epoch is the lowest so far. NaN is none: it is
    /// never the best, and before the first number there is nothing to be better
    /// than.
    fn compare(&mut self, number: usize, loss: f64) -> bool {
        let is_first = self.best.is_none();
        if is_first && loss.is_nan() {
            return false;
        }
        if is_first || loss < self.counted - self.min_improvement {
            (self.counted, self.waited) = (loss, 0);
        } else {
            self.waited += 1;
        }
        let is_best = self.best.is_none_or(|(_, best)| loss < best);
        if is_best {
            self.best = Some((number, loss));
        }
        is_best
    }

    /// Whether it has not become better for too long.
    pub fn stop(&self) -> Option<Stop> {
        let best_epoch = self.epoch()?;
        (self.waited >= self.patience?).then_some(Stop::Early { best_epoch })
    }

    /// Gives the model its best parameters, if they are wanted where training
    /// ends so; whether it has been done.
    pub fn restore<N>(&self, ending: &Result<Stop>, model: &mut Model<N>) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Ix1, Ix2};

    /// Which epochs are the best so far, and when it stops.
    fn watched(
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
    fn it_stops_after_so_many_epochs_without_a_lower_loss() {
        assert_eq!(watched(&[3.0, 2.0, 2.0, 1.0, 1.0, 2.0], 2, 0.0), (vec![1, 2, 4], Some(6)));
        assert_eq!(watched(&[3.0, 2.0, 2.0, 1.0, 1.0, 2.0], 3, 0.0), (vec![1, 2, 4], None));
        assert_eq!(watched(&[1.0, 1.0], 1, 0.0), (vec![1], Some(2)));
        assert_eq!(watched(&[1.0, 0.5, 0.25], 1, 0.0), (vec![1, 2, 3], None));
    }

    #[test]
    fn small_improvements_are_the_best_but_do_not_count() {
        // Together they do: 7 is more than 2 below 10.
        assert_eq!(watched(&[10.0, 9.0, 8.0, 7.0, 6.0], 3, 2.0), (vec![1, 2, 3, 4, 5], None));
        assert_eq!(watched(&[10.0, 9.0, 8.0, 7.0, 6.0], 2, 2.0), (vec![1, 2, 3], Some(3)));
    }

    #[test]
    fn what_is_no_number_is_never_better() {
        let (nan, infinite) = (f64::NAN, f64::INFINITY);
        assert_eq!(watched(&[nan, nan, nan], 2, 0.0), (vec![], None));
        assert_eq!(watched(&[nan, nan, 3.0, 1.0], 1, 0.0), (vec![3, 4], None));
        assert_eq!(watched(&[nan, infinite, 1.0, nan, 2.0], 2, 0.5), (vec![2, 3], Some(5)));
        assert_eq!(watched(&[infinite, infinite, 1.0], 2, 0.0), (vec![1, 3], None));
    }
}
