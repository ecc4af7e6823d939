//! Smaller by the same factor every time (PyTorch's `ExponentialLR`):
//! `base · gamma^time`.

use super::{Schedule, require_rate};
use crate::error::Result;

/// See the [module](self).
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
