//! Cosine annealing: [`CosineAnnealingLR`].

use super::{Schedule, half_cosine, require_rate, require_time};
use crate::error::Result;

/// Half a cosine down, and up again if training continues: PyTorch's `CosineAnnealingLR`.
///
/// ```text
/// eta_min + (base - eta_min) · (1 + cos(π · time / t_max)) / 2
/// ```
///
/// `base` is the optimizer's learning rate. Default: `eta_min` 0. Source: I. Loshchilov and
/// F. Hutter 2017.
///
/// ```
/// use bilro::schedule::{CosineAnnealingLR, Schedule};
///
/// let schedule = CosineAnnealingLR::new(10).eta_min(0.001);
/// assert_eq!(schedule.learning_rate(0.1, 0), 0.1);
/// assert_eq!(schedule.learning_rate(0.1, 10), 0.001);
/// ```
#[derive(Clone, Debug)]
pub struct CosineAnnealingLR {
    t_max: usize,
    eta_min: f32,
}

impl CosineAnnealingLR {
    /// Down to `eta_min` at time `t_max`.
    pub fn new(t_max: usize) -> CosineAnnealingLR {
        CosineAnnealingLR { t_max, eta_min: 0.0 }
    }

    /// The learning rate at the end; default 0.
    pub fn eta_min(mut self, eta_min: f32) -> CosineAnnealingLR {
        self.eta_min = eta_min;
        self
    }
}

impl Schedule for CosineAnnealingLR {
    fn check(&self) -> Result<()> {
        require_time("t_max", self.t_max)?;
        require_rate("eta_min", f64::from(self.eta_min))
    }

    fn learning_rate(&self, base: f32, time: usize) -> f32 {
        let t_max = self.t_max.max(1);
        // Reduced to one period: the cosine of a large angle is less exact.
        let fraction = (time % t_max.saturating_mul(2)) as f64 / t_max as f64;
        half_cosine(f64::from(base), f64::from(self.eta_min), fraction) as f32
    }
}
