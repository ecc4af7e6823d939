//! The optimizer [`RAdam`]: hyperparameters, and its update as nodes of the graph.

use super::moments::{Moments, moments_methods};
use super::{Optimizer, Update, WrongNumber};
use crate::graph::NodeId;

/// Rectified Adam: in the first steps, while the variance of the mean square is
/// too large, steps use the mean only. PyTorch's `torch.optim.RAdam`.
///
/// ```text
/// g = gradient + weight decay · w
/// m = β1 · m + (1 - β1) · g
/// v = β2 · v + (1 - β2) · g²
/// ρ∞ = 2 / (1 - β2) - 1
/// ρ = ρ∞ - 2 · t · β2^t / (1 - β2^t)
/// r = √((ρ - 4) · (ρ - 2) · ρ∞ / ((ρ∞ - 4) · (ρ∞ - 2) · ρ))
/// w = w - learning rate · m / (1 - β1^t)                                    where ρ ≤ 5
/// w = w - learning rate · m / (1 - β1^t) · r · √(1 - β2^t) / (√v + eps)     where ρ > 5
/// ```
///
/// Defaults: learning rate 0.001 (`RAdam::default()`), betas 0.9 and 0.999, eps 1e-8, weight decay
/// 0. `t` counts steps from 1; the state of a parameter is `m` and `v`, initially 0.
///
/// Source: L. Liu and others 2020.
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
/// let mut trainer = Digits::trainer(RAdam::new(0.01)).seed(7).build()?;
/// let history = trainer.fit(&train, Fit::epochs(3))?;
/// assert!(history.epochs[2].loss < history.epochs[0].loss);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RAdam {
    moments: Moments,
}

/// The factor of the mean.
const STEP: &str = "learning rate, rectified";
/// 1 where ρ > 5, else 0.
const IS_RECTIFIED: &str = "whether the mean square counts";

moments_methods!(RAdam, moments, 0.001);

impl RAdam {
    /// With a learning rate, about the size of an element's step.
    pub fn new(learning_rate: f32) -> RAdam {
        RAdam { moments: Moments::new(learning_rate) }
    }

    /// Weight decay as an L2 penalty: adds this multiple of the parameter to its gradient; default 0.
    pub fn weight_decay(mut self, weight_decay: f32) -> RAdam {
        self.moments.weight_decay = weight_decay;
        self
    }

    /// Decouples weight decay: applies it to the parameter instead of its gradient, as AdamW.
    pub fn decoupled_weight_decay(mut self) -> RAdam {
        self.moments.is_decoupled = true;
        self
    }

    /// `r · √(1 - β2^t)`, if ρ > 5.
    fn rectification(&self, step: u64) -> Option<f64> {
        let beta = self.moments.betas.1;
        let correction = self.moments.corrections(step).1;
        let limit = 2.0 / (1.0 - beta) - 1.0;
        let current = limit - 2.0 * step as f64 * beta.powf(step as f64) / correction;
        let square =
            (current - 4.0) * (current - 2.0) * limit / ((limit - 4.0) * (limit - 2.0) * current);
        (current > 5.0).then(|| (square * correction).sqrt())
    }
}

impl Optimizer for RAdam {
    fn name(&self) -> &'static str {
        "RAdam"
    }

    fn check(&self) -> Result<(), WrongNumber> {
        self.moments.check()
    }

    fn learning_rate(&self) -> f32 {
        self.moments.learning_rate
    }

    fn scalar(&self, name: &str, step: u64, learning_rate: f32) -> Option<f32> {
        let rectification = self.rectification(step);
        match name {
            STEP => {
                let rate = f64::from(learning_rate) / self.moments.corrections(step).0;
                Some((rate * rectification.unwrap_or(1.0)) as f32)
            }
            IS_RECTIFIED => Some(f32::from(rectification.is_some())),
            _ => self.moments.scalar(name, learning_rate),
        }
    }

    fn update(&self, u: &mut Update<'_>) -> NodeId {
        let (parameter, gradient) = self.moments.decayed(u);
        let mean = self.moments.first(u, gradient);
        let square = self.moments.second(u, gradient);
        let root = u.g.sqrt(square);
        let root = u.plus(root, self.moments.eps);
        let (is_rectified, one) = (u.scalar(IS_RECTIFIED), u.g.constant(1.0));
        let denominator = u.g.select(is_rectified, root, one);
        let rate = u.rate(STEP);
        let numerator = u.g.mul(mean, rate);
        let step = u.g.div(numerator, denominator);
        u.g.sub(parameter, step)
    }
}
