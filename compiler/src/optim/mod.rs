//! Optimizers, as nodes of the graph: whoever fuses and emits code sees an
//! update as any other formula, and knows no optimizer by name.
//!
//! An optimizer says how one parameter follows from its gradient. What it keeps
//! from step to step are variables that lie beside the parameters; numbers that
//! change from step to step without compiling again, the learning rate first of
//! all, are [`StepScalar`]s. [`Training`] is an optimizer with all that is not its
//! own business: which parameters it trains, clipping, accumulation.

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

/// How a parameter follows from its gradient.
pub trait Optimizer: std::fmt::Debug + Send + Sync {
    /// Its name, PyTorch's.
    fn name(&self) -> &'static str;

    /// What is wrong with its numbers, if something is.
    fn check(&self) -> Result<(), WrongNumber>;

    /// The learning rate that training starts with.
    fn learning_rate(&self) -> f32;

    /// The value, at step `step`, counted from 1, and at the current learning
    /// rate, of one of the [`StepScalar`]s that its updates read.
    fn scalar(&self, name: &str, step: u64, learning_rate: f32) -> Option<f32>;

    /// The parameter's next value.
    fn update(&self, u: &mut Update<'_>) -> NodeId;
}

/// So that optimizers of several kinds may be in one list.
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

/// The step scalar that all optimizers have.
pub const LEARNING_RATE: &str = "learning rate";

/// A number of an optimizer that it cannot work with.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct WrongNumber {
    /// Which number.
    pub name: &'static str,
    /// What would be accepted.
    pub expected: &'static str,
    /// What it is.
    pub found: f32,
}

/// Requires a finite number that is not negative.
fn require_not_negative(name: &'static str, found: f32) -> Result<(), WrongNumber> {
    match found.is_finite() && found >= 0.0 {
        true => Ok(()),
        false => Err(WrongNumber { name, expected: "a finite number that is not negative", found }),
    }
}

/// Requires a share: at least 0 and below 1.
fn require_share(name: &'static str, found: f32) -> Result<(), WrongNumber> {
    match (0.0..1.0).contains(&found) {
        true => Ok(()),
        false => Err(WrongNumber { name, expected: "at least 0 and below 1", found }),
    }
}
