//! The one-cycle policy: [`OneCycleLR`].

use super::{Schedule, half_cosine, require, require_rate, require_time};
use crate::error::Result;

/// Once up and then down, counted in steps, not epochs: PyTorch's `OneCycleLR`.
///
/// ```text
/// up, to step top = pct_start · total_steps - 1:     half a cosine, max_lr / div_factor to max_lr
/// down, to step total_steps - 1:                     half a cosine, max_lr to max_lr / div_factor / final_div_factor
/// ```
///
/// The optimizer's learning rate is not used, and momentum is not changed. Defaults:
/// `pct_start` 0.3, `div_factor` 25, `final_div_factor` 10,000. Source: L. Smith and N. Topin
/// 2019.
///
/// ```
/// use bilro::schedule::{OneCycleLR, Schedule};
///
/// // Ten epochs of 45 batches.
/// let schedule = OneCycleLR::new(0.1, 10 * 45);
/// assert_eq!(schedule.learning_rate(1.0, 0), 0.1 / 25.0);
/// assert_eq!(schedule.learning_rate(1.0, 134), 0.1);
/// ```
#[derive(Clone, Debug)]
pub struct OneCycleLR {
    max_lr: f32,
    total_steps: usize,
    pct_start: f64,
    div_factor: f64,
    final_div_factor: f64,
}

impl OneCycleLR {
    /// With the maximum learning rate, over `total_steps` steps; constant after them.
    pub fn new(max_lr: f32, total_steps: usize) -> OneCycleLR {
        OneCycleLR { max_lr, total_steps, pct_start: 0.3, div_factor: 25.0, final_div_factor: 1e4 }
    }

    /// The fraction of the steps that go up, from 0 to 1; default 0.3.
    pub fn pct_start(mut self, pct_start: f64) -> OneCycleLR {
        self.pct_start = pct_start;
        self
    }

    /// The maximum learning rate divided by the first one; default 25.
    pub fn div_factor(mut self, div_factor: f64) -> OneCycleLR {
        self.div_factor = div_factor;
        self
    }

    /// The first learning rate divided by the last one; default 10,000.
    pub fn final_div_factor(mut self, final_div_factor: f64) -> OneCycleLR {
        self.final_div_factor = final_div_factor;
        self
    }
}

impl Schedule for OneCycleLR {
    fn check(&self) -> Result<()> {
        let above_0 =
            |name, x: f64| require(name, x.is_finite() && x > 0.0, "a finite number above 0", x);
        require_rate("max_lr", f64::from(self.max_lr))?;
        require_time("total_steps", self.total_steps)?;
        let fits = (0.0..=1.0).contains(&self.pct_start);
        require("pct_start", fits, "between 0 and 1", self.pct_start)?;
        above_0("div_factor", self.div_factor)?;
        above_0("final_div_factor", self.final_div_factor)
    }

    fn learning_rate(&self, _: f32, time: usize) -> f32 {
        let end = self.total_steps.saturating_sub(1) as f64;
        let time = (time as f64).min(end);
        let top = self.pct_start * self.total_steps as f64 - 1.0;
        let largest = f64::from(self.max_lr);
        let first = largest / self.div_factor;
        let rate = match time <= top {
            true if top == 0.0 => largest,
            true => half_cosine(first, largest, time / top),
            false => {
                half_cosine(largest, first / self.final_div_factor, (time - top) / (end - top))
            }
        };
        rate as f32
    }
}
