//! The optimizer [`Adagrad`]: hyperparameters, and its update as nodes of the graph.

use super::require_not_negative;
use super::{LEARNING_RATE, Optimizer, Update, WrongNumber};
use crate::graph::NodeId;

/// Adagrad, with step sizes from the sum of all squared gradients: PyTorch's `torch.optim.Adagrad`.
///
/// ```text
/// g = gradient + weight decay · w
/// s = s + g²                                   initial value before the first step
/// w = w - learning rate / (1 + (t - 1) · decay of the learning rate) · g / (√s + eps)
/// ```
///
/// Defaults: learning rate 0.01 (`Adagrad::default()`), decay of the learning rate 0, weight decay
/// 0, initial value 0, eps 1e-10. `t` counts steps from 1; the state of a parameter is `s`.
///
/// Source: J. Duchi, E. Hazan and Y. Singer 2011.
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
/// let mut trainer = Digits::trainer(Adagrad::new(0.05)).seed(7).build()?;
/// let history = trainer.fit(&train, Fit::epochs(3))?;
/// assert!(history.epochs[2].loss < history.epochs[0].loss);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Adagrad {
    learning_rate: f32,
    lr_decay: f32,
    weight_decay: f32,
    initial_accumulator_value: f32,
    eps: f32,
}

/// The decayed learning rate of a step.
const DECAYED: &str = "learning rate, decayed";

impl Adagrad {
    /// With a learning rate, the size of an element's first step.
    pub fn new(learning_rate: f32) -> Adagrad {
        Adagrad {
            learning_rate,
            lr_decay: 0.0,
            weight_decay: 0.0,
            initial_accumulator_value: 0.0,
            eps: 1e-10,
        }
    }

    /// The decay of the learning rate; default 0.
    pub fn lr_decay(mut self, lr_decay: f32) -> Adagrad {
        self.lr_decay = lr_decay;
        self
    }

    /// Weight decay as an L2 penalty: adds this multiple of the parameter to its gradient; default 0.
    pub fn weight_decay(mut self, weight_decay: f32) -> Adagrad {
        self.weight_decay = weight_decay;
        self
    }

    /// The initial value of the sum of squares; default 0.
    pub fn initial_accumulator_value(mut self, value: f32) -> Adagrad {
        self.initial_accumulator_value = value;
        self
    }

    /// Added to the denominator; default 1e-10.
    pub fn eps(mut self, eps: f32) -> Adagrad {
        self.eps = eps;
        self
    }
}

impl Default for Adagrad {
    /// With a learning rate of 0.01.
    fn default() -> Adagrad {
        Adagrad::new(0.01)
    }
}

impl Optimizer for Adagrad {
    fn name(&self) -> &'static str {
        "Adagrad"
    }

    fn check(&self) -> Result<(), WrongNumber> {
        require_not_negative(LEARNING_RATE, self.learning_rate)?;
        require_not_negative("lr_decay", self.lr_decay)?;
        require_not_negative("weight decay", self.weight_decay)?;
        require_not_negative("initial_accumulator_value", self.initial_accumulator_value)?;
        require_not_negative("eps", self.eps)
    }

    fn learning_rate(&self) -> f32 {
        self.learning_rate
    }

    fn scalar(&self, name: &str, step: u64, learning_rate: f32) -> Option<f32> {
        let steps_before = step.saturating_sub(1) as f64;
        let decay = 1.0 + steps_before * f64::from(self.lr_decay);
        match name {
            DECAYED => Some((f64::from(learning_rate) / decay) as f32),
            LEARNING_RATE => Some(learning_rate),
            _ => None,
        }
    }

    fn update(&self, u: &mut Update<'_>) -> NodeId {
        let gradient = u.decayed(self.weight_decay);
        let sum = u.state("sum of squares", self.initial_accumulator_value);
        let square = u.g.square(gradient);
        let next = u.g.add(sum.value, square);
        u.assign(sum, next);
        let root = u.g.sqrt(next);
        let denominator = u.plus(root, self.eps);
        let rate = u.rate(DECAYED);
        let numerator = u.g.mul(gradient, rate);
        let step = u.g.div(numerator, denominator);
        u.g.sub(u.parameter, step)
    }
}
