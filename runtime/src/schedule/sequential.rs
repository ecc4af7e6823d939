//! One schedule after the other (PyTorch's `SequentialLR`), as
//! [`Schedule::then`] makes it.

use super::Schedule;
use crate::error::Result;

/// See the [module](self).
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
}
