//! The optimizer [`Lion`]: hyperparameters, and its update as nodes of the graph.

use super::{LEARNING_RATE, Optimizer, Update, WrongNumber};
use super::{require_not_negative, require_share};
use crate::graph::NodeId;

/// Lion, with steps of equal size in the direction of the sign of a running mean.
///
/// ```text
/// c = β1 · m + (1 - β1) · gradient
/// w = w - learning rate · (sign(c) + weight decay · w)
/// m = β2 · m + (1 - β2) · gradient
/// ```
///
/// Defaults: learning rate 0.0001 (`Lion::default()`), a third to a tenth of Adam's; betas 0.9 and
/// 0.99, weight decay 0. The state of a parameter is `m`, initially 0. PyTorch has no Lion; the
/// defaults are those of the paper.
///
/// Source: X. Chen and others 2023, "Symbolic Discovery of Optimization Algorithms".
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
/// let mut trainer = Digits::trainer(Lion::new(0.001)).seed(7).build()?;
/// let history = trainer.fit(&train, Fit::epochs(3))?;
/// assert!(history.epochs[2].loss < history.epochs[0].loss);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Lion {
    learning_rate: f32,
    betas: (f64, f64),
    weight_decay: f32,
}

impl Lion {
    /// With a learning rate, the size of every element's step.
    pub fn new(learning_rate: f32) -> Lion {
        Lion { learning_rate, betas: (0.9, 0.99), weight_decay: 0.0 }
    }

    /// The share of the running mean of gradients in a step, and the decay of that mean, each at least 0
    /// and below 1; default 0.9 and 0.99.
    pub fn betas(mut self, first: f64, second: f64) -> Lion {
        self.betas = (first, second);
        self
    }

    /// Decoupled weight decay: subtracts the learning rate times this multiple of the parameter; default
    /// 0.
    pub fn weight_decay(mut self, weight_decay: f32) -> Lion {
        self.weight_decay = weight_decay;
        self
    }
}

impl Default for Lion {
    /// With a learning rate of 0.0001.
    fn default() -> Lion {
        Lion::new(1e-4)
    }
}

impl Optimizer for Lion {
    fn name(&self) -> &'static str {
        "Lion"
    }

    fn check(&self) -> Result<(), WrongNumber> {
        require_not_negative(LEARNING_RATE, self.learning_rate)?;
        require_share("beta1", self.betas.0 as f32)?;
        require_share("beta2", self.betas.1 as f32)?;
        require_not_negative("weight decay", self.weight_decay)
    }

    fn learning_rate(&self) -> f32 {
        self.learning_rate
    }

    fn scalar(&self, name: &str, _: u64, learning_rate: f32) -> Option<f32> {
        (name == LEARNING_RATE).then_some(learning_rate)
    }

    fn update(&self, u: &mut Update<'_>) -> NodeId {
        let mean = u.state("mean", 0.0);
        let blend = u.blend(mean.value, u.gradient, self.betas.0);
        let zero = u.g.constant(0.0);
        let (above, below) = (u.g.greater(blend, zero), u.g.greater(zero, blend));
        let sign = u.g.sub(above, below);
        let direction = match self.weight_decay {
            0.0 => sign,
            decay => {
                let decay = u.g.scale(u.parameter, decay);
                u.g.add(sign, decay)
            }
        };
        u.assign_mean(mean, u.gradient, self.betas.1);
        let rate = u.learning_rate();
        let step = u.g.mul(direction, rate);
        u.g.sub(u.parameter, step)
    }
}
