//! Cosine annealing with warm restarts: [`CosineAnnealingWarmRestarts`].

use super::{Schedule, half_cosine, require_rate, require_time};
use crate::error::Result;

/// Half a cosine down, repeatedly: PyTorch's `CosineAnnealingWarmRestarts`.
///
/// ```text
/// eta_min + (base - eta_min) · (1 + cos(π · since / length)) / 2
/// ```
///
/// where `since` is the time since the last restart and `length` the length of the period: `t_0` at
/// first, multiplied by `t_mult` after each. `base` is the optimizer's learning rate. Defaults:
/// `t_mult` 1, `eta_min` 0. Source: I. Loshchilov and F. Hutter 2017.
///
/// ```
/// use bilro::schedule::{CosineAnnealingWarmRestarts, Schedule};
///
/// let schedule = CosineAnnealingWarmRestarts::new(10).t_mult(2);
/// assert_eq!(schedule.learning_rate(0.1, 0), 0.1);
/// assert_eq!(schedule.learning_rate(0.1, 5), 0.05);
/// assert_eq!(schedule.learning_rate(0.1, 10), 0.1); // the restart
/// assert_eq!(schedule.learning_rate(0.1, 30), 0.1); // 20 later
/// ```
#[derive(Clone, Debug)]
pub struct CosineAnnealingWarmRestarts {
    t_0: usize,
    t_mult: usize,
    eta_min: f32,
}

impl CosineAnnealingWarmRestarts {
    /// With a first period of `t_0`.
    pub fn new(t_0: usize) -> CosineAnnealingWarmRestarts {
        CosineAnnealingWarmRestarts { t_0, t_mult: 1, eta_min: 0.0 }
    }

    /// The factor from one period to the next; default 1.
    pub fn t_mult(mut self, t_mult: usize) -> CosineAnnealingWarmRestarts {
        self.t_mult = t_mult;
        self
    }

    /// The learning rate at the end of every period; default 0.
    pub fn eta_min(mut self, eta_min: f32) -> CosineAnnealingWarmRestarts {
        self.eta_min = eta_min;
        self
    }
}

impl Schedule for CosineAnnealingWarmRestarts {
    fn check(&self) -> Result<()> {
        require_time("t_0", self.t_0)?;
        require_time("t_mult", self.t_mult)?;
        require_rate("eta_min", f64::from(self.eta_min))
    }

    fn learning_rate(&self, base: f32, time: usize) -> f32 {
        let (mut length, mut since) = (self.t_0.max(1), time);
        match self.t_mult {
            0 | 1 => since %= length,
            // A saturated length is longer than any time.
            factor => {
                while since >= length {
                    since -= length;
                    length = length.saturating_mul(factor);
                }
            }
        }
        let fraction = since as f64 / length as f64;
        half_cosine(f64::from(base), f64::from(self.eta_min), fraction) as f32
    }
}
