//! The optimizer [`Adam`]: hyperparameters, and its update as nodes of the graph.

use super::moments::{Moments, moments_methods};
use super::{Optimizer, Update, WrongNumber};
use crate::graph::NodeId;

/// Adam, with adaptive step sizes per element, optionally AMSGrad: PyTorch's `torch.optim.Adam`.
///
/// ```text
/// g = gradient + weight decay · w
/// m = β1 · m + (1 - β1) · g
/// v = β2 · v + (1 - β2) · g²                   AMSGrad: the largest v so far for v below
/// w = w - learning rate · (m / (1 - β1^t)) / (√(v / (1 - β2^t)) + eps)
/// ```
///
/// Defaults: learning rate 0.001 (`Adam::default()`), betas 0.9 and 0.999, eps 1e-8, weight decay
/// 0, not AMSGrad. `t` counts steps from 1; the state of a parameter is `m` and `v`, initially 0. For
/// decoupled weight decay, see [`AdamW`](super::adamw::AdamW).
///
/// Sources: D. Kingma and J. Ba 2015; AMSGrad, S. Reddi, S. Kale and S. Kumar 2018.
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
/// let mut trainer = Digits::trainer(Adam::new(0.01)).seed(7).build()?;
/// let history = trainer.fit(&train, Fit::epochs(3))?;
/// assert!(history.epochs[2].loss < history.epochs[0].loss);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Adam {
    pub(super) moments: Moments,
    pub(super) amsgrad: bool,
}

/// `learning rate · √(1 - β2^t) / (1 - β1^t)`: both bias corrections in one scalar; `eps` is scaled by
/// the same root.
const STEP: &str = "learning rate, corrected";
/// `eps · √(1 - β2^t)`.
const EPS: &str = "eps, corrected";

moments_methods!(Adam, moments, 0.001);

impl Adam {
    /// With a learning rate, about the size of an element's step.
    pub fn new(learning_rate: f32) -> Adam {
        Adam { moments: Moments::new(learning_rate), amsgrad: false }
    }

    /// Weight decay as an L2 penalty: adds this multiple of the parameter to its gradient; default 0.
    pub fn weight_decay(mut self, weight_decay: f32) -> Adam {
        self.moments.weight_decay = weight_decay;
        self
    }

    /// AMSGrad: divides by the largest mean square so far instead of the current one.
    pub fn amsgrad(mut self) -> Adam {
        self.amsgrad = true;
        self
    }
}

impl Optimizer for Adam {
    fn name(&self) -> &'static str {
        "Adam"
    }

    fn check(&self) -> Result<(), WrongNumber> {
        self.moments.check()
    }

    fn learning_rate(&self) -> f32 {
        self.moments.learning_rate
    }

    fn scalar(&self, name: &str, step: u64, learning_rate: f32) -> Option<f32> {
        let (first, second) = self.moments.corrections(step);
        match name {
            STEP => Some((f64::from(learning_rate) * second.sqrt() / first) as f32),
            EPS => Some((f64::from(self.moments.eps) * second.sqrt()) as f32),
            _ => self.moments.scalar(name, learning_rate),
        }
    }

    fn update(&self, u: &mut Update<'_>) -> NodeId {
        let (parameter, gradient) = self.moments.decayed(u);
        let mean = self.moments.first(u, gradient);
        let mut square = self.moments.second(u, gradient);
        if self.amsgrad {
            let largest = u.state("largest mean square", 0.0);
            square = u.g.maximum(largest.value, square);
            u.assign(largest, square);
        }
        let (root, eps) = (u.g.sqrt(square), u.scalar(EPS));
        let denominator = u.g.add(root, eps);
        let rate = u.rate(STEP);
        let numerator = u.g.mul(mean, rate);
        let step = u.g.div(numerator, denominator);
        u.g.sub(parameter, step)
    }
}
