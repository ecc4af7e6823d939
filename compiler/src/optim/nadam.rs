//! The optimizer [`NAdam`]: hyperparameters, and its update as nodes of the graph.

use super::moments::{Moments, moments_methods};
use super::{Optimizer, Update, WrongNumber, require_not_negative};
use crate::graph::NodeId;

/// Adam with Nesterov momentum: PyTorch's `torch.optim.NAdam`.
///
/// ```text
/// g = gradient + weight decay · w
/// m = β1 · m + (1 - β1) · g
/// v = β2 · v + (1 - β2) · g²
/// μ(t) = β1 · (1 - 0.96^(t · momentum decay) / 2)
/// M(t) = μ(1) · μ(2) · … · μ(t)
/// d = (1 - μ(t)) / (1 - M(t)) · g + μ(t+1) / (1 - M(t+1)) · m
/// w = w - learning rate · d / (√(v / (1 - β2^t)) + eps)
/// ```
///
/// Defaults: learning rate 0.002 (`NAdam::default()`), betas 0.9 and 0.999, eps 1e-8, weight decay
/// 0, momentum decay 0.004. `t` counts steps from 1; the state of a parameter is `m` and `v`,
/// initially 0.
///
/// Source: T. Dozat 2016.
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
/// let mut trainer = Digits::trainer(NAdam::new(0.01)).seed(7).build()?;
/// let history = trainer.fit(&train, Fit::epochs(3))?;
/// assert!(history.epochs[2].loss < history.epochs[0].loss);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct NAdam {
    moments: Moments,
    momentum_decay: f64,
}

// All three are scaled by `√(1 - β2^t)`, which saves a multiplication per element.
/// `learning rate · (1 - μ(t)) / (1 - M(t))`.
const OF_GRADIENT: &str = "learning rate of the gradient";
/// `learning rate · μ(t+1) / (1 - M(t+1))`.
const OF_MEAN: &str = "learning rate of the mean";
/// `eps`.
const EPS: &str = "eps, corrected";

moments_methods!(NAdam, moments, 0.002);

impl NAdam {
    /// With a learning rate, about the size of an element's step.
    pub fn new(learning_rate: f32) -> NAdam {
        NAdam { moments: Moments::new(learning_rate), momentum_decay: 0.004 }
    }

    /// Weight decay as an L2 penalty: adds this multiple of the parameter to its gradient; default 0.
    pub fn weight_decay(mut self, weight_decay: f32) -> NAdam {
        self.moments.weight_decay = weight_decay;
        self
    }

    /// Decouples weight decay: applies it to the parameter instead of its gradient, as AdamW.
    pub fn decoupled_weight_decay(mut self) -> NAdam {
        self.moments.is_decoupled = true;
        self
    }

    /// The rate at which the momentum grows from half of the first beta to the full one; default 0.004.
    pub fn momentum_decay(mut self, momentum_decay: f64) -> NAdam {
        self.momentum_decay = momentum_decay;
        self
    }

    /// μ(t).
    fn momentum(&self, step: u64) -> f64 {
        let power = 0.96f64.powf(step as f64 * self.momentum_decay);
        self.moments.betas.0 * (1.0 - 0.5 * power)
    }

    /// `1 - M(t)`.
    fn correction(&self, step: u64) -> f64 {
        let mut product = 1.0;
        for step in 1..=step {
            product *= self.momentum(step);
            // Smaller products do not change the difference.
            if product < f64::EPSILON / 4.0 {
                break;
            }
        }
        1.0 - product
    }
}

impl Optimizer for NAdam {
    fn name(&self) -> &'static str {
        "NAdam"
    }

    fn check(&self) -> Result<(), WrongNumber> {
        self.moments.check()?;
        require_not_negative("momentum decay", self.momentum_decay as f32)
    }

    fn learning_rate(&self) -> f32 {
        self.moments.learning_rate
    }

    fn scalar(&self, name: &str, step: u64, learning_rate: f32) -> Option<f32> {
        let root = self.moments.corrections(step).1.sqrt();
        let rate = f64::from(learning_rate) * root;
        let value = match name {
            OF_GRADIENT => rate * (1.0 - self.momentum(step)) / self.correction(step),
            OF_MEAN => rate * self.momentum(step + 1) / self.correction(step + 1),
            EPS => f64::from(self.moments.eps) * root,
            _ => return self.moments.scalar(name, learning_rate),
        };
        Some(value as f32)
    }

    fn update(&self, u: &mut Update<'_>) -> NodeId {
        let (parameter, gradient) = self.moments.decayed(u);
        let mean = self.moments.first(u, gradient);
        let square = self.moments.second(u, gradient);
        let (root, eps) = (u.g.sqrt(square), u.scalar(EPS));
        let denominator = u.g.add(root, eps);
        let (of_gradient, of_mean) = (u.rate(OF_GRADIENT), u.rate(OF_MEAN));
        let (a, b) = (u.g.mul(gradient, of_gradient), u.g.mul(mean, of_mean));
        let numerator = u.g.add(a, b);
        let step = u.g.div(numerator, denominator);
        u.g.sub(parameter, step)
    }
}
