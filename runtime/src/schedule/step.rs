//! Decay at regular intervals: [`StepLR`].

use super::{Schedule, require_rate, require_time};
use crate::error::Result;

/// Multiplied by a factor at regular intervals: PyTorch's `StepLR`.
///
/// ```text
/// base · gamma^⌊time / step_size⌋
/// ```
///
/// `base` is the optimizer's learning rate. Default: `gamma` 0.1.
///
/// ```
/// use bilro::schedule::{StepLR, Schedule};
///
/// let schedule = StepLR::new(10).gamma(0.5);
/// assert_eq!(schedule.learning_rate(0.1, 9), 0.1);
/// assert_eq!(schedule.learning_rate(0.1, 10), 0.05);
/// ```
#[derive(Clone, Debug)]
pub struct StepLR {
    step_size: usize,
    gamma: f64,
}

impl StepLR {
    /// With an interval of `step_size`.
    pub fn new(step_size: usize) -> StepLR {
        StepLR { step_size, gamma: 0.1 }
    }

    /// The factor; default 0.1.
    pub fn gamma(mut self, gamma: f64) -> StepLR {
        self.gamma = gamma;
        self
    }
}

impl Schedule for StepLR {
    fn check(&self) -> Result<()> {
        require_time("step_size", self.step_size)?;
        require_rate("gamma", self.gamma)
    }

    fn learning_rate(&self, base: f32, time: usize) -> f32 {
        let count = time / self.step_size.max(1);
        (f64::from(base) * self.gamma.powf(count as f64)) as f32
    }
}
