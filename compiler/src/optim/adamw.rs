//! The optimizer [`AdamW`]: hyperparameters, and its update as nodes of the graph.

use super::adam::Adam;
use super::moments::moments_methods;
use super::{Optimizer, Update, WrongNumber};
use crate::graph::NodeId;

/// Adam with decoupled weight decay, applied to the parameter instead of its gradient: PyTorch's
/// `torch.optim.AdamW`.
///
/// ```text
/// g = gradient
/// w = w - learning rate · weight decay · w
/// m = β1 · m + (1 - β1) · g
/// v = β2 · v + (1 - β2) · g²                   AMSGrad: the largest v so far for v below
/// w = w - learning rate · (m / (1 - β1^t)) / (√(v / (1 - β2^t)) + eps)
/// ```
///
/// Defaults: learning rate 0.001 (`AdamW::default()`), betas 0.9 and 0.999, eps 1e-8, weight decay
/// 0.01, not AMSGrad. `t` counts steps from 1; the state of a parameter is `m` and `v`, initially
/// 0.
///
/// Sources: I. Loshchilov and F. Hutter 2019; AMSGrad, S. Reddi, S. Kale and S. Kumar 2018.
///
/// ```
/// use bilro::prelude::*;
///
/// # network! {
/// #     struct Digits {
/// #         input image: [64];
/// #         target digit: class(10);
/// #         output logits = image -> Linear(32) -> ReLU -> Linear(10);
/// #         loss cross_entropy(logits, digit);
/// #     }
/// # }
/// let train = data::digits()?;
/// let mut trainer = Digits::trainer(AdamW::new(0.01).weight_decay(0.1)).seed(7).build()?;
/// let history = trainer.fit(&train, Fit::epochs(3))?;
/// assert!(history.epochs[2].loss < history.epochs[0].loss);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct AdamW {
    adam: Adam,
}

moments_methods!(AdamW, adam.moments, 0.001);

impl AdamW {
    /// With a learning rate, about the size of an element's step.
    pub fn new(learning_rate: f32) -> AdamW {
        let mut adam = Adam::new(learning_rate).weight_decay(0.01);
        adam.moments.is_decoupled = true;
        AdamW { adam }
    }

    /// Decoupled weight decay: subtracts the learning rate times this multiple of the parameter; default
    /// 0.01.
    pub fn weight_decay(mut self, weight_decay: f32) -> AdamW {
        self.adam.moments.weight_decay = weight_decay;
        self
    }

    /// AMSGrad: divides by the largest mean square so far instead of the current one.
    pub fn amsgrad(mut self) -> AdamW {
        self.adam.amsgrad = true;
        self
    }
}

impl Optimizer for AdamW {
    fn name(&self) -> &'static str {
        "AdamW"
    }

    fn check(&self) -> Result<(), WrongNumber> {
        self.adam.check()
    }

    fn learning_rate(&self) -> f32 {
        self.adam.moments.learning_rate
    }

    fn scalar(&self, name: &str, step: u64, learning_rate: f32) -> Option<f32> {
        self.adam.scalar(name, step, learning_rate)
    }

    fn update(&self, u: &mut Update<'_>) -> NodeId {
        self.adam.update(u)
    }
}
