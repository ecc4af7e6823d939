//! The history of training: plain data.

use crate::model::Resumed;

/// What happened while training.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// The loss of every step, before its update: NaN where none of its targets
    /// counts. Those of an epoch that was interrupted are the last.
    pub losses: Vec<f32>,
    /// Every epoch that came to its end.
    pub epochs: Vec<Epoch>,
    /// The [number](Epoch::number) of the epoch with the lowest watched loss:
    /// the validation's, or that of training where nothing is validated. Of
    /// several that are equal, the first. `None` where no epoch came to its
    /// end, or that loss is NaN in all of them.
    pub best_epoch: Option<usize>,
    /// Why training ended.
    pub stop: Stop,
    /// The checkpoint from which this call of `fit` went on, if it did. What is before it in this
    /// history has been read from it.
    pub resumed: Option<Resumed>,
}

impl History {
    /// The epoch with the lowest watched loss, see
    /// [`best_epoch`](History::best_epoch).
    pub fn best(&self) -> Option<&Epoch> {
        self.epochs.iter().find(|epoch| Some(epoch.number) == self.best_epoch)
    }
}

/// What happened in one epoch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Epoch {
    /// Its number, counted from 1.
    pub number: usize,
    /// The loss over the epoch's examples, each as it was before its step: the
    /// mean, of each term by the weights of its targets where they have some;
    /// where the network says `loss sum`, the sum. NaN where no target counts.
    pub loss: f64,
    /// Whether `loss` is above that of the epoch before.
    pub loss_rose: bool,
    /// The learning rate of its last step.
    pub learning_rate: f32,
    /// Examples trained on in a second, all evaluations left out.
    pub examples_per_second: f64,
    /// How the training examples fare after the epoch, where
    /// [`Fit::evaluate_train`](crate::Fit::evaluate_train) asks.
    pub train: Option<Validation>,
    /// After the epoch, where examples to validate on were given.
    pub validation: Option<Validation>,
}

impl Epoch {
    /// The loss by which epochs are compared.
    pub(super) fn watched(&self) -> f64 {
        self.validation.as_ref().map_or(self.loss, |validation| validation.loss)
    }
}

/// How the examples to validate on fare.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Validation {
    /// Their loss.
    pub loss: f64,
    /// Their metrics, in declared order.
    pub metrics: Vec<(String, f64)>,
}

impl Validation {
    /// The metric of this name, if the network has it.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.metrics.iter().find(|(n, _)| n == name).map(|(_, value)| *value)
    }
}

/// Why training ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stop {
    /// All epochs have been run.
    #[default]
    Finished,
    /// The watched loss had not improved for as many epochs as
    /// [`Fit::early_stopping`](crate::Fit::early_stopping) says.
    Early {
        /// The number of the epoch with the lowest loss, counted from 1.
        best_epoch: usize,
    },
    /// By Ctrl-C, see `Fit::stop_on_ctrl_c` (feature `ctrl-c`).
    Interrupted,
    /// The callback said so.
    Callback,
}
