//! Moments of the Adam family: running means of the gradient and of its square, their bias corrections,
//! and both forms of weight decay.

use super::{LEARNING_RATE, Update, WrongNumber, require_not_negative, require_share};
use crate::faults::{self, Fault};
use crate::graph::NodeId;

/// The hyperparameters, and their use in updates.
#[derive(Clone, Debug)]
pub(super) struct Moments {
    pub learning_rate: f32,
    pub betas: (f64, f64),
    pub eps: f32,
    pub weight_decay: f32,
    /// Whether weight decay is applied to the parameter instead of its gradient.
    pub is_decoupled: bool,
}

/// The learning rate times weight decay.
const DECAY: &str = "learning rate · weight decay";

impl Moments {
    /// With a learning rate; betas of 0.9 and 0.999, eps 1e-8, no weight decay.
    pub fn new(learning_rate: f32) -> Moments {
        let betas = (0.9, 0.999);
        Moments { learning_rate, betas, eps: 1e-8, weight_decay: 0.0, is_decoupled: false }
    }

    pub fn check(&self) -> Result<(), WrongNumber> {
        require_not_negative(LEARNING_RATE, self.learning_rate)?;
        // In the precision of the running means, f32.
        require_share("beta1", self.betas.0 as f32)?;
        require_share("beta2", self.betas.1 as f32)?;
        require_not_negative("eps", self.eps)?;
        require_not_negative("weight decay", self.weight_decay)
    }

    /// The step scalars of [`Self::decayed`].
    pub fn scalar(&self, name: &str, learning_rate: f32) -> Option<f32> {
        match name {
            LEARNING_RATE => Some(learning_rate),
            DECAY => Some((f64::from(learning_rate) * f64::from(self.weight_decay)) as f32),
            _ => None,
        }
    }

    /// The bias corrections `1 - β^step` of both running means, which start from 0: their divisors.
    pub fn corrections(&self, step: u64) -> (f64, f64) {
        let step = step + u64::from(faults::is(Fault::BiasCorrection));
        let correction = |beta: f64| 1.0 - beta.powf(step as f64);
        (correction(self.betas.0), correction(self.betas.1))
    }

    /// Parameter and gradient after weight decay.
    pub fn decayed(&self, u: &mut Update<'_>) -> (NodeId, NodeId) {
        if !self.is_decoupled || self.weight_decay == 0.0 {
            return (u.parameter, u.decayed(self.weight_decay));
        }
        let share = u.rate(DECAY);
        let decay = u.g.mul(u.parameter, share);
        (u.g.sub(u.parameter, decay), u.gradient)
    }

    /// The running mean of the gradient.
    pub fn first(&self, u: &mut Update<'_>, gradient: NodeId) -> NodeId {
        u.running_mean("mean", gradient, self.betas.0)
    }

    /// The running mean of its square.
    pub fn second(&self, u: &mut Update<'_>, gradient: NodeId) -> NodeId {
        u.running_mean_square("mean square", gradient, self.betas.1)
    }
}

/// Generates the setters of an optimizer's [`Moments`], and its `Default`.
macro_rules! moments_methods {
    ($optimizer:ident, $($moments:ident).+, $default:literal) => {
        impl $optimizer {
            /// The decays of the running means of the gradient and of its square, each at least 0 and
            /// below 1; default 0.9 and 0.999.
            pub fn betas(mut self, first: f64, second: f64) -> $optimizer {
                self.$($moments).+.betas = (first, second);
                self
            }

            /// Added to the denominator; default 1e-8.
            pub fn eps(mut self, eps: f32) -> $optimizer {
                self.$($moments).+.eps = eps;
                self
            }
        }

        impl Default for $optimizer {
            #[doc = concat!("With a learning rate of ", $default, ".")]
            fn default() -> $optimizer {
                $optimizer::new($default)
            }
        }
    };
}
pub(super) use moments_methods;
