//! The optimizer [`Sgd`]: hyperparameters, and its update as nodes of the graph.

use super::{LEARNING_RATE, Optimizer, Update, WrongNumber};
use super::{require_not_negative, require_share};
use crate::graph::NodeId;

/// Stochastic gradient descent, optionally with momentum or Nesterov momentum: PyTorch's
/// `torch.optim.SGD`.
///
/// ```text
/// g = gradient + weight decay · w
/// v = momentum · v + (1 - dampening) · g       at the first step v = g
/// w = w - learning rate · v                    Nesterov: g + momentum · v for v
/// ```
///
/// Defaults: momentum 0, dampening 0, weight decay 0, not Nesterov; the learning rate has no
/// default. The state of a parameter is `v` with momentum, else none.
///
/// Sources: H. Robbins and S. Monro 1951; momentum, B. Polyak 1964; Y. Nesterov 1983.
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
/// let mut trainer = Digits::trainer(Sgd::new(0.1).momentum(0.9)).seed(7).build()?;
/// let history = trainer.fit(&train, Fit::epochs(3))?;
/// assert!(history.epochs[2].loss < history.epochs[0].loss);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Sgd {
    learning_rate: f32,
    momentum: f32,
    dampening: f32,
    nesterov: bool,
    weight_decay: f32,
}

/// The share of the gradient in the momentum; 1 in the first step.
const SHARE: &str = "1 - dampening";

impl Sgd {
    /// With a learning rate, the factor of the negative gradient.
    pub fn new(learning_rate: f32) -> Sgd {
        Sgd { learning_rate, momentum: 0.0, dampening: 0.0, nesterov: false, weight_decay: 0.0 }
    }

    /// Momentum: the share of the previous step in the next one, at least 0 and below 1; default 0.
    pub fn momentum(mut self, momentum: f32) -> Sgd {
        self.momentum = momentum;
        self
    }

    /// Dampening: 1 minus the share of the gradient in the momentum; default 0.
    pub fn dampening(mut self, dampening: f32) -> Sgd {
        self.dampening = dampening;
        self
    }

    /// Nesterov momentum: looks ahead by the next momentum step. Needs a momentum and no dampening.
    pub fn nesterov(mut self) -> Sgd {
        self.nesterov = true;
        self
    }

    /// Weight decay as an L2 penalty: adds this multiple of the parameter to its gradient; default 0.
    pub fn weight_decay(mut self, weight_decay: f32) -> Sgd {
        self.weight_decay = weight_decay;
        self
    }
}

impl Optimizer for Sgd {
    fn name(&self) -> &'static str {
        "SGD"
    }

    fn check(&self) -> Result<(), WrongNumber> {
        require_not_negative(LEARNING_RATE, self.learning_rate)?;
        require_share("momentum", self.momentum)?;
        require_not_negative("weight decay", self.weight_decay)?;
        require_share("dampening", self.dampening)?;
        let invalid = |name, expected, found| Err(WrongNumber { name, expected, found });
        match self.nesterov {
            true if self.momentum == 0.0 => {
                invalid("momentum", "above 0 for Nesterov's momentum", self.momentum)
            }
            true if self.dampening != 0.0 => {
                invalid("dampening", "0 for Nesterov's momentum", self.dampening)
            }
            _ => Ok(()),
        }
    }

    fn learning_rate(&self) -> f32 {
        self.learning_rate
    }

    fn scalar(&self, name: &str, step: u64, learning_rate: f32) -> Option<f32> {
        match name {
            LEARNING_RATE => Some(learning_rate),
            SHARE => Some(if step == 1 { 1.0 } else { 1.0 - self.dampening }),
            _ => None,
        }
    }

    fn update(&self, u: &mut Update<'_>) -> NodeId {
        let gradient = u.decayed(self.weight_decay);
        let mut direction = gradient;
        if self.momentum != 0.0 {
            let velocity = u.state("momentum", 0.0);
            let previous = u.g.scale(velocity.value, self.momentum);
            let mut share = gradient;
            if self.dampening != 0.0 {
                let factor = u.scalar(SHARE);
                share = u.g.mul(gradient, factor);
            }
            let next = u.g.add(previous, share);
            u.assign(velocity, next);
            direction = next;
            if self.nesterov {
                let ahead = u.g.scale(next, self.momentum);
                direction = u.g.add(gradient, ahead);
            }
        }
        let rate = u.learning_rate();
        let step = u.g.mul(direction, rate);
        u.g.sub(u.parameter, step)
    }
}
