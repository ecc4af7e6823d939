//! Reduction when the loss stops improving: [`ReduceLROnPlateau`].

use super::{Schedule, require, require_rate};
use crate::error::Result;

/// Multiplied by a factor when there is no more progress: PyTorch's `ReduceLROnPlateau`. It depends
/// on the losses passed to [`observe`](Schedule::observe), not on the time.
///
/// ```text
/// rate = max(rate · factor, min_lr)    after more than `patience` losses in a row without progress
/// ```
///
/// Progress is a loss below `best · (1 - threshold)`, or below `best - threshold` with an
/// absolute threshold. [`Fit`](crate::Fit) passes the loss of every epoch. Defaults:
/// `factor` 0.1, `patience` 10, `threshold` 1e-4, `cooldown` 0, `min_lr` 0, `eps` 1e-8.
///
/// ```
/// use bilro::schedule::{ReduceLROnPlateau, Schedule};
///
/// let mut schedule = ReduceLROnPlateau::new().patience(1).factor(0.5);
/// for (epoch, loss) in [1.0, 0.8, 0.8, 0.8].into_iter().enumerate() {
///     schedule.observe(epoch, loss);
/// }
/// assert_eq!(schedule.learning_rate(0.1, 4), 0.05); // after two without progress
/// ```
#[derive(Clone, Debug)]
pub struct ReduceLROnPlateau {
    factor: f64,
    patience: usize,
    threshold: f64,
    threshold_is_absolute: bool,
    cooldown: usize,
    min_lr: f32,
    eps: f64,
    larger_is_better: bool,
    best: Option<f64>,
    without_progress: usize,
    cooling: usize,
    reductions: usize,
}

impl Default for ReduceLROnPlateau {
    /// As [`ReduceLROnPlateau::new`].
    fn default() -> ReduceLROnPlateau {
        ReduceLROnPlateau::new()
    }
}

impl ReduceLROnPlateau {
    /// Reduces by a factor of 0.1 after more than ten losses in a row without progress.
    pub fn new() -> ReduceLROnPlateau {
        ReduceLROnPlateau {
            factor: 0.1,
            patience: 10,
            threshold: 1e-4,
            threshold_is_absolute: false,
            cooldown: 0,
            min_lr: 0.0,
            eps: 1e-8,
            larger_is_better: false,
            best: None,
            without_progress: 0,
            cooling: 0,
            reductions: 0,
        }
    }

    /// The factor for the learning rate, at least 0 and below 1; default 0.1.
    pub fn factor(mut self, factor: f64) -> ReduceLROnPlateau {
        self.factor = factor;
        self
    }

    /// The number of losses in a row without progress that are accepted; default 10.
    pub fn patience(mut self, patience: usize) -> ReduceLROnPlateau {
        self.patience = patience;
        self
    }

    /// The minimum improvement that counts as progress, relative to the best loss so far;
    /// default 0.0001.
    pub fn threshold(mut self, threshold: f64) -> ReduceLROnPlateau {
        (self.threshold, self.threshold_is_absolute) = (threshold, false);
        self
    }

    /// The same as a difference from the best loss so far.
    pub fn absolute_threshold(mut self, threshold: f64) -> ReduceLROnPlateau {
        (self.threshold, self.threshold_is_absolute) = (threshold, true);
        self
    }

    /// The number of losses after a reduction that do not count as without progress;
    /// default 0.
    pub fn cooldown(mut self, cooldown: usize) -> ReduceLROnPlateau {
        self.cooldown = cooldown;
        self
    }

    /// The minimum learning rate; default 0.
    pub fn min_lr(mut self, min_lr: f32) -> ReduceLROnPlateau {
        self.min_lr = min_lr;
        self
    }

    /// Reductions by at most this much are skipped; default 1e-8.
    pub fn eps(mut self, eps: f64) -> ReduceLROnPlateau {
        self.eps = eps;
        self
    }

    /// Larger observed values are better, as for an accuracy (PyTorch's `mode="max"`).
    pub fn larger_is_better(mut self) -> ReduceLROnPlateau {
        self.larger_is_better = true;
        self
    }

    fn is_progress(&self, loss: f64) -> bool {
        let worst = if self.larger_is_better { f64::NEG_INFINITY } else { f64::INFINITY };
        let best = self.best.unwrap_or(worst);
        match (self.larger_is_better, self.threshold_is_absolute) {
            (false, false) => loss < best * (1.0 - self.threshold),
            (false, true) => loss < best - self.threshold,
            (true, false) => loss > best * (1.0 + self.threshold),
            (true, true) => loss > best + self.threshold,
        }
    }
}

impl Schedule for ReduceLROnPlateau {
    fn check(&self) -> Result<()> {
        let fits = (0.0..1.0).contains(&self.factor);
        require("factor", fits, "at least 0 and below 1", self.factor)?;
        require_rate("threshold", self.threshold)?;
        require_rate("min_lr", f64::from(self.min_lr))?;
        require_rate("eps", self.eps)
    }

    fn learning_rate(&self, base: f32, _: usize) -> f32 {
        let mut rate = f64::from(base);
        for _ in 0..self.reductions {
            let next = (rate * self.factor).max(f64::from(self.min_lr));
            // All further reductions are skipped too.
            if rate - next <= self.eps {
                break;
            }
            rate = next;
        }
        rate as f32
    }

    fn observe(&mut self, _: usize, loss: f64) {
        if self.is_progress(loss) {
            self.best = Some(loss);
            self.without_progress = 0;
        } else {
            self.without_progress += 1;
        }
        if self.cooling > 0 {
            self.cooling -= 1;
            self.without_progress = 0;
        }
        if self.without_progress > self.patience {
            self.reductions += 1;
            self.cooling = self.cooldown;
            self.without_progress = 0;
        }
    }
}
