//! The optimizer [`Adadelta`]: hyperparameters, and its update as nodes of the graph.

use super::{LEARNING_RATE, Optimizer, Update, WrongNumber};
use super::{require_not_negative, require_share};
use crate::graph::NodeId;

/// Adadelta, with step sizes from running means of squared gradients and steps: PyTorch's
/// `torch.optim.Adadelta`.
///
/// ```text
/// g = gradient + weight decay · w
/// v = ρ · v + (1 - ρ) · g²
/// d = √(u + eps) / √(v + eps) · g
/// u = ρ · u + (1 - ρ) · d²
/// w = w - learning rate · d
/// ```
///
/// Defaults: learning rate 1 (`Adadelta::default()`), ρ 0.9, eps 1e-6, weight decay 0. The
/// state of a parameter is `v` and `u`, initially 0.
///
/// Source: M. Zeiler 2012.
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
/// let mut trainer = Digits::trainer(Adadelta::default()).seed(7).build()?;
/// let history = trainer.fit(&train, Fit::epochs(3))?;
/// assert!(history.epochs[2].loss < history.epochs[0].loss);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Adadelta {
    learning_rate: f32,
    rho: f64,
    eps: f32,
    weight_decay: f32,
}

impl Adadelta {
    /// With a learning rate, a factor of its steps.
    pub fn new(learning_rate: f32) -> Adadelta {
        Adadelta { learning_rate, rho: 0.9, eps: 1e-6, weight_decay: 0.0 }
    }

    /// The decay of the running means of squares, at least 0 and below 1; default 0.9.
    pub fn rho(mut self, rho: f64) -> Adadelta {
        self.rho = rho;
        self
    }

    /// Added to the mean squares; default 1e-6.
    pub fn eps(mut self, eps: f32) -> Adadelta {
        self.eps = eps;
        self
    }

    /// Weight decay as an L2 penalty: adds this multiple of the parameter to its gradient; default 0.
    pub fn weight_decay(mut self, weight_decay: f32) -> Adadelta {
        self.weight_decay = weight_decay;
        self
    }
}

impl Default for Adadelta {
    /// With a learning rate of 1.
    fn default() -> Adadelta {
        Adadelta::new(1.0)
    }
}

impl Optimizer for Adadelta {
    fn name(&self) -> &'static str {
        "Adadelta"
    }

    fn check(&self) -> Result<(), WrongNumber> {
        require_not_negative(LEARNING_RATE, self.learning_rate)?;
        require_share("rho", self.rho as f32)?;
        require_not_negative("eps", self.eps)?;
        require_not_negative("weight decay", self.weight_decay)
    }

    fn learning_rate(&self) -> f32 {
        self.learning_rate
    }

    fn scalar(&self, name: &str, _: u64, learning_rate: f32) -> Option<f32> {
        (name == LEARNING_RATE).then_some(learning_rate)
    }

    fn update(&self, u: &mut Update<'_>) -> NodeId {
        let gradient = u.decayed(self.weight_decay);
        let of_gradients = u.running_mean_square("mean square", gradient, self.rho);
        let of_steps = u.state("mean square of steps", 0.0);
        let (above, below) = (u.plus(of_steps.value, self.eps), u.plus(of_gradients, self.eps));
        let (above, below) = (u.g.sqrt(above), u.g.sqrt(below));
        let ratio = u.g.div(above, below);
        let step = u.g.mul(ratio, gradient);
        u.assign_mean_square(of_steps, step, self.rho);
        let rate = u.learning_rate();
        let step = u.g.mul(step, rate);
        u.g.sub(u.parameter, step)
    }
}
