//! Decay at milestones: [`MultiStepLR`].

use super::{Schedule, require_rate};
use crate::error::Result;

/// Multiplied by a factor at given times: PyTorch's `MultiStepLR`.
///
/// ```text
/// base · gamma^n              where n milestones are at or before time
/// ```
///
/// `base` is the optimizer's learning rate. Default: `gamma` 0.1.
///
/// ```
/// use bilro::schedule::{MultiStepLR, Schedule};
///
/// let schedule = MultiStepLR::new(&[30, 80]).gamma(0.5);
/// assert_eq!(schedule.learning_rate(0.1, 29), 0.1);
/// assert_eq!(schedule.learning_rate(0.1, 30), 0.05);
/// assert_eq!(schedule.learning_rate(0.1, 80), 0.025);
/// ```
#[derive(Clone, Debug)]
pub struct MultiStepLR {
    milestones: Vec<usize>,
    gamma: f64,
}

impl MultiStepLR {
    /// With these milestones, in any order.
    pub fn new(milestones: &[usize]) -> MultiStepLR {
        MultiStepLR { milestones: milestones.to_vec(), gamma: 0.1 }
    }

    /// The factor; default 0.1.
    pub fn gamma(mut self, gamma: f64) -> MultiStepLR {
        self.gamma = gamma;
        self
    }
}

impl Schedule for MultiStepLR {
    fn check(&self) -> Result<()> {
        require_rate("gamma", self.gamma)
    }

    fn learning_rate(&self, base: f32, time: usize) -> f32 {
        let count = self.milestones.iter().filter(|m| **m <= time).count();
        (f64::from(base) * self.gamma.powf(count as f64)) as f32
    }
}
