//! The optimizer [`RMSprop`]: hyperparameters, and its update as nodes of the graph.

use super::{LEARNING_RATE, Optimizer, Update, WrongNumber};
use super::{require_not_negative, require_share};
use crate::graph::NodeId;

/// RMSprop, which divides gradients by the root of their running mean square: PyTorch's
/// `torch.optim.RMSprop`.
///
/// ```text
/// g = gradient + weight decay · w
/// v = α · v + (1 - α) · g²
/// a = α · a + (1 - α) · g                      centered: v - a² for v below
/// b = momentum · b + g / (√v + eps)
/// w = w - learning rate · b
/// ```
///
/// Defaults: learning rate 0.01 (`RMSprop::default()`), α 0.99, eps 1e-8, weight decay 0, momentum
/// 0, not centered. The state of a parameter is `v`, `a` if centered and `b` with momentum,
/// initially 0.
///
/// Sources: T. Hinton's lecture 2012; centered, A. Graves 2013.
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
/// let mut trainer = Digits::trainer(RMSprop::new(0.001)).seed(7).build()?;
/// let history = trainer.fit(&train, Fit::epochs(3))?;
/// assert!(history.epochs[2].loss < history.epochs[0].loss);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RMSprop {
    learning_rate: f32,
    alpha: f64,
    eps: f32,
    weight_decay: f32,
    momentum: f32,
    is_centered: bool,
}

impl RMSprop {
    /// With a learning rate, the size of a step for a gradient equal to its root mean square.
    pub fn new(learning_rate: f32) -> RMSprop {
        RMSprop {
            learning_rate,
            alpha: 0.99,
            eps: 1e-8,
            weight_decay: 0.0,
            momentum: 0.0,
            is_centered: false,
        }
    }

    /// The decay of the running means, at least 0 and below 1; default 0.99.
    pub fn alpha(mut self, alpha: f64) -> RMSprop {
        self.alpha = alpha;
        self
    }

    /// Added to the denominator; default 1e-8.
    pub fn eps(mut self, eps: f32) -> RMSprop {
        self.eps = eps;
        self
    }

    /// Weight decay as an L2 penalty: adds this multiple of the parameter to its gradient; default 0.
    pub fn weight_decay(mut self, weight_decay: f32) -> RMSprop {
        self.weight_decay = weight_decay;
        self
    }

    /// Momentum: the share of the previous step in the next one, at least 0 and below 1; default 0.
    pub fn momentum(mut self, momentum: f32) -> RMSprop {
        self.momentum = momentum;
        self
    }

    /// Divides by the standard deviation of gradients instead of their root mean square.
    pub fn centered(mut self) -> RMSprop {
        self.is_centered = true;
        self
    }
}

impl Default for RMSprop {
    /// With a learning rate of 0.01.
    fn default() -> RMSprop {
        RMSprop::new(0.01)
    }
}

impl Optimizer for RMSprop {
    fn name(&self) -> &'static str {
        "RMSprop"
    }

    fn check(&self) -> Result<(), WrongNumber> {
        require_not_negative(LEARNING_RATE, self.learning_rate)?;
        require_share("alpha", self.alpha as f32)?;
        require_not_negative("eps", self.eps)?;
        require_not_negative("weight decay", self.weight_decay)?;
        require_share("momentum", self.momentum)
    }

    fn learning_rate(&self) -> f32 {
        self.learning_rate
    }

    fn scalar(&self, name: &str, _: u64, learning_rate: f32) -> Option<f32> {
        (name == LEARNING_RATE).then_some(learning_rate)
    }

    fn update(&self, u: &mut Update<'_>) -> NodeId {
        let gradient = u.decayed(self.weight_decay);
        let mut square = u.running_mean_square("mean square", gradient, self.alpha);
        if self.is_centered {
            let mean = u.running_mean("mean", gradient, self.alpha);
            let of_mean = u.g.square(mean);
            // An infinite square implies an infinite mean square; their difference would be NaN.
            let largest = u.g.constant(f32::MAX);
            let of_mean = u.g.minimum(of_mean, largest);
            let variance = u.g.sub(square, of_mean);
            // Rounding makes it negative for nearly constant gradients.
            let zero = u.g.constant(0.0);
            square = u.g.maximum(variance, zero);
        }
        let root = u.g.sqrt(square);
        let denominator = u.plus(root, self.eps);
        let mut step = u.g.div(gradient, denominator);
        if self.momentum != 0.0 {
            let velocity = u.state("momentum", 0.0);
            let previous = u.g.scale(velocity.value, self.momentum);
            step = u.g.add(previous, step);
            u.assign(velocity, step);
        }
        let rate = u.learning_rate();
        let step = u.g.mul(step, rate);
        u.g.sub(u.parameter, step)
    }
}
