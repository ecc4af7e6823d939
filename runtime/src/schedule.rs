//! Learning-rate schedules.
//!
//! Learning rates that change as training goes: PyTorch's
//! `torch.optim.lr_scheduler`, as functions of the time.
//!
//! The time is counted from 0, in steps or in epochs: in whatever the loop
//! counts that asks. A schedule answers with the learning rate for it, from
//! that of the optimizer, and changes nothing by being asked; only
//! [`ReduceLROnPlateau`] goes by the losses that it is told besides.
//! [`Trainer::follow`](crate::Trainer::follow) sets the rate. Nothing is
//! compiled again.
//!
//! ```
//! use bilro::prelude::*;
//! use bilro::schedule::{CosineAnnealingLR, LinearLR, Schedule};
//!
//! network! {
//!     struct Digits {
//!         input image: [64];
//!         target digit: class(10);
//!         output logits = image -> Linear(32) -> ReLU -> Linear(10);
//!         loss cross_entropy(logits, digit);
//!     }
//! }
//!
//! # fn main() -> bilro::Result<()> {
//! let (train, test) = data::digits()?.split(0.8, 7)?;
//! let mut trainer = Digits::trainer(Adam::new(0.01)).build()?;
//! // Warm up over two epochs, then go down to nothing over eight.
//! let mut schedule = LinearLR::new(2).start_factor(0.1).then(2, CosineAnnealingLR::new(8));
//! for epoch in 0..10 {
//!     trainer.follow(&schedule, epoch)?;
//!     for batch in train.batches(32)? {
//!         trainer.step(digits::Batch { image: batch.x(), digit: batch.y() })?;
//!     }
//!     let loss = trainer.model().evaluate(&test)?.loss();
//!     schedule.observe(epoch, loss);
//! }
//! assert!(trainer.learning_rate() < 0.01);
//! # Ok(())
//! # }
//! ```

pub mod cosine_annealing;
pub mod exponential;
pub mod linear;
pub mod multi_step;
pub mod one_cycle;
pub mod plateau;
pub mod sequential;
pub mod step;
pub mod warm_restarts;

use std::fmt::{Debug, Display};

use crate::error::{Error, Result};

pub use cosine_annealing::CosineAnnealingLR;
pub use exponential::ExponentialLR;
pub use linear::LinearLR;
pub use multi_step::MultiStepLR;
pub use one_cycle::OneCycleLR;
pub use plateau::ReduceLROnPlateau;
pub use sequential::SequentialLR;
pub use step::StepLR;
pub use warm_restarts::CosineAnnealingWarmRestarts;

/// A learning rate as a function of the time: what [`Fit::schedule`](crate::Fit) and
/// [`Trainer::follow`](crate::Trainer::follow) take. [`schedule`](self) has those that there are;
/// others say `check` and `learning_rate`:
///
/// ```
/// use bilro::schedule::Schedule;
///
/// /// `base / √(1 + time)`.
/// #[derive(Debug)]
/// struct InverseRoot;
///
/// impl Schedule for InverseRoot {
///     fn check(&self) -> bilro::Result<()> {
///         Ok(())
///     }
///
///     fn learning_rate(&self, base: f32, time: usize) -> f32 {
///         base / (1.0 + time as f32).sqrt()
///     }
/// }
///
/// assert_eq!(InverseRoot.learning_rate(0.1, 3), 0.05);
/// ```
pub trait Schedule: Debug + Send {
    /// Whether its numbers are such that it gives learning rates.
    ///
    /// # Errors
    /// [`Error::Setting`] for the first that is not.
    fn check(&self) -> Result<()>;

    /// The learning rate at a time, counted from 0, where `base` is the
    /// optimizer's own.
    fn learning_rate(&self, base: f32, time: usize) -> f32;

    /// Takes note of a loss, or of another number that tells how it goes, as
    /// found at the end of a time.
    fn observe(&mut self, _time: usize, _loss: f64) {}

    /// What later learning rates follow from beside the time, as numbers: what
    /// [`observe`](Schedule::observe) has made of the losses so far. A [checkpoint](crate::Fit::checkpoints)
    /// keeps it. Nothing by default: a schedule that says `observe` says this and
    /// [`restore`](Schedule::restore) too, or begins anew where training is resumed.
    fn state(&self) -> Vec<f64> {
        Vec::new()
    }

    /// Takes over a [`state`](Schedule::state).
    ///
    /// # Errors
    /// [`Error::Setting`] for numbers that are no state of it; then it has not changed.
    fn restore(&mut self, state: &[f64]) -> Result<()> {
        require_state(state.is_empty(), "nothing", state)
    }

    /// This schedule for so long, then another, whose time begins there
    /// (PyTorch's `SequentialLR`).
    fn then(self, time: usize, next: impl Schedule + 'static) -> SequentialLR
    where
        Self: Sized + 'static,
    {
        SequentialLR::new(Box::new(self), time, Box::new(next))
    }
}

/// Requires of a schedule's number that it fits.
fn require(name: &str, fits: bool, expected: &str, found: impl Display) -> Result<()> {
    match fits {
        true => Ok(()),
        false => Err(Error::Setting {
            name: name.into(),
            expected: expected.into(),
            found: found.to_string(),
        }),
    }
}

/// Requires numbers to be a state of a schedule.
fn require_state(fits: bool, expected: &str, found: &[f64]) -> Result<()> {
    require("the state of the schedule", fits, expected, format!("{found:?}"))
}

/// A number of a state that counts something.
fn count(state: f64) -> Option<usize> {
    (state >= 0.0 && state.fract() == 0.0 && state < (1u64 << 53) as f64).then_some(state as usize)
}

/// Requires a time that is not 0.
fn require_time(name: &str, found: usize) -> Result<()> {
    require(name, found > 0, "at least 1", found)
}

/// Requires a learning rate or a factor of one.
fn require_rate(name: &str, found: f64) -> Result<()> {
    let fits = found.is_finite() && found >= 0.0;
    require(name, fits, "a finite number that is not negative", found as f32)
}

/// Half a cosine from one number to another, at a part of the way.
fn half_cosine(from: f64, to: f64, part: f64) -> f64 {
    to + (from - to) * (1.0 + (std::f64::consts::PI * part).cos()) / 2.0
}
