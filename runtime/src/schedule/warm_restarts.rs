//! [`CosineAnnealingWarmRestarts`].

use super::{Schedule, half_cosine, require_rate, require_time};
use crate::error::Result;

/// Half a cosine down, again and again: PyTorch's `CosineAnnealingWarmRestarts`.
///
/// ```text
/// eta_min + (base - eta_min) · (1 + cos(π · since / length)) / 2
/// ```
///
/// where `since` is the time since the last restart and `length` how long it is to the next
/// one: `t_0` at first, and `t_mult` times as long after each. `base` is the optimizer's
/// learning rate. Defaults: `t_mult` 1, `eta_min` 0. Source: I. Loshchilov and F. Hutter
/// 2017.
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
    /// The first way down within so many times.
    pub fn new(t_0: usize) -> CosineAnnealingWarmRestarts {
        CosineAnnealingWarmRestarts { t_0, t_mult: 1, eta_min: 0.0 }
    }

    /// How many times longer than the one before each way down takes, 1 by
    /// default.
    pub fn t_mult(mut self, t_mult: usize) -> CosineAnnealingWarmRestarts {
        self.t_mult = t_mult;
        self
    }

    /// The learning rate that every way down leads to, 0 by default.
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
            // So long as to overflow is longer than any time.
            factor => {
                while since >= length {
                    since -= length;
                    length = length.saturating_mul(factor);
                }
            }
        }
        let part = since as f64 / length as f64;
        half_cosine(f64::from(base), f64::from(self.eta_min), part) as f32
    }
}
