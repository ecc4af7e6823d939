//! Linear warm-up: [`LinearLR`].

use super::{Schedule, require_rate, require_time};
use crate::error::Result;

/// Linear from one fraction of the learning rate to another, for warm-up: PyTorch's `LinearLR`.
///
/// ```text
/// base · (start_factor + (end_factor - start_factor) · min(time, total_iters) / total_iters)
/// ```
///
/// `base` is the optimizer's learning rate. Defaults: `start_factor` 1/3, `end_factor` 1.
///
/// ```
/// use bilro::schedule::{LinearLR, Schedule};
///
/// let schedule = LinearLR::new(4).start_factor(0.5);
/// assert_eq!(schedule.learning_rate(0.1, 0), 0.05);
/// assert_eq!(schedule.learning_rate(0.1, 2), 0.075);
/// assert_eq!(schedule.learning_rate(0.1, 9), 0.1); // from time 4 on
/// ```
#[derive(Clone, Debug)]
pub struct LinearLR {
    total_iters: usize,
    start_factor: f64,
    end_factor: f64,
}

impl LinearLR {
    /// Over `total_iters` times, then constant. (PyTorch's default is 5.)
    pub fn new(total_iters: usize) -> LinearLR {
        LinearLR { total_iters, start_factor: 1.0 / 3.0, end_factor: 1.0 }
    }

    /// The factor at the start; default 1/3.
    pub fn start_factor(mut self, start_factor: f64) -> LinearLR {
        self.start_factor = start_factor;
        self
    }

    /// The factor at the end; default 1.
    pub fn end_factor(mut self, end_factor: f64) -> LinearLR {
        self.end_factor = end_factor;
        self
    }
}

impl Schedule for LinearLR {
    fn check(&self) -> Result<()> {
        require_time("total_iters", self.total_iters)?;
        require_rate("start_factor", self.start_factor)?;
        require_rate("end_factor", self.end_factor)
    }

    fn learning_rate(&self, base: f32, time: usize) -> f32 {
        let total = self.total_iters.max(1);
        let fraction = time.min(total) as f64 / total as f64;
        let factor = self.start_factor + (self.end_factor - self.start_factor) * fraction;
        (f64::from(base) * factor) as f32
    }
}
