//! Adam with decoupled weight decay (PyTorch's `torch.optim.AdamW`;
//! I. Loshchilov, F. Hutter 2019):
//!
//! ```text
//! w = w - learning rate · weight decay · w
//! then as Adam without weight decay
//! ```

use super::adam::Adam;
use super::moments::moments_methods;
use super::{Optimizer, Update, WrongNumber, learning_rate_of};
use crate::graph::NodeId;

/// See the [module](self). Its usual learning rate, which `AdamW::default()`
/// has, is 0.001.
#[derive(Clone, Debug)]
pub struct AdamW {
    adam: Adam,
}

moments_methods!(AdamW, adam.moments, 0.001);

impl AdamW {
    /// With a learning rate, which is about how far an element goes in a step.
    pub fn new(learning_rate: f32) -> AdamW {
        let mut adam = Adam::new(learning_rate).weight_decay(0.01);
        adam.moments.is_decoupled = true;
        AdamW { adam }
    }

    /// Makes the parameter smaller by the learning rate times so many times
    /// itself, 0.01 unless told.
    pub fn weight_decay(mut self, weight_decay: f32) -> AdamW {
        self.adam.moments.weight_decay = weight_decay;
        self
    }

    /// Divides by the largest mean square so far instead of the present one.
    pub fn amsgrad(mut self) -> AdamW {
        self.adam.amsgrad = true;
        self
    }
}

impl Optimizer for AdamW {
    learning_rate_of!(adam.moments.learning_rate);

    fn name(&self) -> &'static str {
        "AdamW"
    }

    fn check(&self) -> Result<(), WrongNumber> {
        self.adam.check()
    }

    fn setting(&self, name: &str, step: u64) -> Option<f32> {
        self.adam.setting(name, step)
    }

    fn update(&self, u: &mut Update<'_>) -> NodeId {
        self.adam.update(u)
    }
}
