//! Exponential decay: [`ExponentialLR`].

use super::{Schedule, require_rate};
use crate::error::Result;

/// Multiplied by a factor every time: PyTorch's `ExponentialLR`.
///
/// ```text
/// base · gamma^time
/// ```
///
/// `base` is the optimizer's learning rate; `gamma` must be given.
///
/// ```
/// use bilro::schedule::{ExponentialLR, Schedule};
///
/// let schedule = ExponentialLR::new(0.5);
/// assert_eq!(schedule.learning_rate(0.1, 0), 0.1);
/// assert_eq!(schedule.learning_rate(0.1, 2), 0.025);
/// ```
#[derive(Clone, Debug)]
pub struct ExponentialLR {
    gamma: f64,
}

impl ExponentialLR {
    /// With a factor.
    pub fn new(gamma: f64) -> ExponentialLR {
        ExponentialLR { gamma }
    }
}

impl Schedule for ExponentialLR {
    fn check(&self) -> Result<()> {
        require_rate("gamma", self.gamma)
    }

    fn learning_rate(&self, base: f32, time: usize) -> f32 {
        (f64::from(base) * self.gamma.powf(time as f64)) as f32
    }
}
