//! Optimizers, as nodes of the graph: passes compile an update as any other formula, and know no
//! optimizer by name.
//!
//! An optimizer defines the next value of one parameter from its gradient. Optimizer state is stored in
//! variables after the parameters; numbers that change between steps without recompilation, as the
//! learning rate, are [`StepScalar`]s. [`Training`] adds what is common to all optimizers: the selection
//! of parameters, clipping, accumulation.

pub mod adadelta;
pub mod adagrad;
pub mod adam;
pub mod adamw;
pub mod lion;
mod moments;
pub mod nadam;
pub mod radam;
pub mod rmsprop;
pub mod sgd;
mod training;
mod update;

use crate::graph::NodeId;
#[cfg(doc)]
use crate::ops::step_scalar::StepScalar;

pub use training::{ACCUMULATED, Clip, Training};
pub use update::{State, Update};

/// An optimizer: the update of a parameter from its gradient.
pub trait Optimizer: std::fmt::Debug + Send + Sync {
    /// Its name, PyTorch's.
    fn name(&self) -> &'static str;

    /// Checks its hyperparameters.
    fn check(&self) -> Result<(), WrongNumber>;

    /// The initial learning rate.
    fn learning_rate(&self) -> f32;

    /// The value of a [`StepScalar`] of its updates, for the number of the step, from 1, and the current
    /// learning rate; `None` for an unknown name.
    fn scalar(&self, name: &str, step: u64, learning_rate: f32) -> Option<f32>;

    /// Builds the parameter's next value.
    fn update(&self, u: &mut Update<'_>) -> NodeId;
}

/// Allows lists of different optimizers.
impl Optimizer for Box<dyn Optimizer> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn check(&self) -> Result<(), WrongNumber> {
        (**self).check()
    }

    fn learning_rate(&self) -> f32 {
        (**self).learning_rate()
    }

    fn scalar(&self, name: &str, step: u64, learning_rate: f32) -> Option<f32> {
        (**self).scalar(name, step, learning_rate)
    }

    fn update(&self, u: &mut Update<'_>) -> NodeId {
        (**self).update(u)
    }
}

/// The name of the step scalar of the learning rate.
pub const LEARNING_RATE: &str = "learning rate";

/// An invalid hyperparameter.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct WrongNumber {
    /// Its name.
    pub name: &'static str,
    /// The valid values.
    pub expected: &'static str,
    /// Its value.
    pub found: f32,
}

/// Requires a finite number that is not negative.
fn require_not_negative(name: &'static str, found: f32) -> Result<(), WrongNumber> {
    match found.is_finite() && found >= 0.0 {
        true => Ok(()),
        false => Err(WrongNumber { name, expected: "a finite number that is not negative", found }),
    }
}

/// Requires a decay or share: at least 0 and below 1.
fn require_share(name: &'static str, found: f32) -> Result<(), WrongNumber> {
    match (0.0..1.0).contains(&found) {
        true => Ok(()),
        false => Err(WrongNumber { name, expected: "at least 0 and below 1", found }),
    }
}
