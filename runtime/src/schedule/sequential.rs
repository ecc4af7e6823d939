//! Schedules one after the other: [`SequentialLR`].

use super::{Schedule, count, require_state};
use crate::error::Result;

/// One schedule after the other, made by [`Schedule::then`]: PyTorch's `SequentialLR`.
///
/// ```text
/// first(base, time)                    before the milestone
/// next(base, time - milestone)         from it on
/// ```
///
/// ```
/// use bilro::schedule::{CosineAnnealingLR, LinearLR, Schedule, SequentialLR};
///
/// let schedule: SequentialLR = LinearLR::new(2).start_factor(0.5).then(2, CosineAnnealingLR::new(8));
/// assert_eq!(schedule.learning_rate(0.1, 0), 0.05);
/// assert_eq!(schedule.learning_rate(0.1, 2), 0.1);
/// assert_eq!(schedule.learning_rate(0.1, 10), 0.0);
/// ```
#[derive(Debug)]
pub struct SequentialLR {
    first: Box<dyn Schedule>,
    milestone: usize,
    next: Box<dyn Schedule>,
}

impl SequentialLR {
    pub(super) fn new(
        first: Box<dyn Schedule>,
        milestone: usize,
        next: Box<dyn Schedule>,
    ) -> SequentialLR {
        SequentialLR { first, milestone, next }
    }
}

impl Schedule for SequentialLR {
    fn check(&self) -> Result<()> {
        self.first.check()?;
        self.next.check()
    }

    fn learning_rate(&self, base: f32, time: usize) -> f32 {
        match time.checked_sub(self.milestone) {
            None => self.first.learning_rate(base, time),
            Some(time) => self.next.learning_rate(base, time),
        }
    }

    fn observe(&mut self, time: usize, loss: f64) {
        match time.checked_sub(self.milestone) {
            None => self.first.observe(time, loss),
            Some(time) => self.next.observe(time, loss),
        }
    }

    /// The length of the first state, and both states.
    fn state(&self) -> Vec<f64> {
        let (first, next) = (self.first.state(), self.next.state());
        [&[first.len() as f64], &first[..], &next].concat()
    }

    fn restore(&mut self, state: &[f64]) -> Result<()> {
        let states =
            state.split_first().and_then(|(length, both)| both.split_at_checked(count(*length)?));
        let Some((first, next)) = states else {
            return require_state(false, "the states of two schedules", state);
        };
        let before = self.first.state();
        self.first.restore(first)?;
        let restored = self.next.restore(next);
        if restored.is_err() {
            self.first.restore(&before)?;
        }
        restored
    }
}
