//! Learning-rate schedules: PyTorch's `torch.optim.lr_scheduler`, as functions of the
//! time.
//!
//! The time is counted from 0, in steps or in epochs, whichever the calling loop
//! counts. A schedule computes the learning rate for a time from that of the
//! optimizer, without side effects; only [`ReduceLROnPlateau`] also depends on
//! observed losses. [`Trainer::follow`](crate::Trainer::follow) sets the rate.
//! Nothing is compiled again.
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
//! // Warm up over two epochs, then anneal to 0 over eight.
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

/// A learning rate as a function of the time, for [`Fit::schedule`](crate::Fit) and
/// [`Trainer::follow`](crate::Trainer::follow). [`schedule`](self) has the built-in ones; others
/// implement `check` and `learning_rate`:
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
    /// Checks the schedule's numbers.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for the first one that is out of range.
    fn check(&self) -> Result<()>;

    /// The learning rate at a time, counted from 0; `base` is the optimizer's learning
    /// rate.
    fn learning_rate(&self, base: f32, time: usize) -> f32;

    /// Observes a loss, or another measure of progress, at the end of a time; ignored by
    /// default.
    fn observe(&mut self, _time: usize, _loss: f64) {}

    /// The state that the schedule has derived from observed losses, as numbers; empty by default.
    /// [Checkpoints](crate::Fit::checkpoints) store it. A schedule that implements
    /// [`observe`](Schedule::observe) implements this and [`restore`](Schedule::restore) too;
    /// otherwise its state is lost if training is resumed.
    fn state(&self) -> Vec<f64> {
        Vec::new()
    }

    /// Restores a [`state`](Schedule::state).
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the numbers are not a state of this schedule; then it is
    /// unchanged.
    fn restore(&mut self, state: &[f64]) -> Result<()> {
        require_state(state.is_empty(), "empty", state)
    }

    /// This schedule before `time`, then another one, whose time begins there
    /// (PyTorch's `SequentialLR`).
    fn then(self, time: usize, next: impl Schedule + 'static) -> SequentialLR
    where
        Self: Sized + 'static,
    {
        SequentialLR::new(Box::new(self), time, Box::new(next))
    }
}

/// Requires that a schedule's number is in range.
fn require(name: &str, fits: bool, expected: &str, found: impl Display) -> Result<()> {
    match fits {
        true => Ok(()),
        false => Err(Error::InvalidArgument {
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

/// A counter in a state.
fn count(state: f64) -> Option<usize> {
    (state >= 0.0 && state.fract() == 0.0 && state < (1u64 << 53) as f64).then_some(state as usize)
}

/// Requires a time that is not 0.
fn require_time(name: &str, found: usize) -> Result<()> {
    require(name, found > 0, "at least 1", found)
}

/// Requires a valid learning rate, or a factor of one.
fn require_rate(name: &str, found: f64) -> Result<()> {
    let fits = found.is_finite() && found >= 0.0;
    require(name, fits, "a finite number that is not negative", found as f32)
}

/// Cosine interpolation between two numbers, at a fraction from 0 to 1.
fn half_cosine(from: f64, to: f64, fraction: f64) -> f64 {
    to + (from - to) * (1.0 + (std::f64::consts::PI * fraction).cos()) / 2.0
}
