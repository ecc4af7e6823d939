//! The history of training: losses, epochs, validation; plain data.

/// The record of a training: losses of steps, epochs, and why it ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// The loss of every step, before its update: NaN if its targets have total weight 0.
    /// Steps of an interrupted epoch come last.
    pub losses: Vec<f32>,
    /// All completed epochs.
    pub epochs: Vec<Epoch>,
    /// The [number](Epoch::number) of the epoch with the lowest monitored loss:
    /// the validation's, or that of training without validation data. The first of
    /// equal ones. `None` if no epoch was completed, or that loss is NaN in all of
    /// them.
    pub best_epoch: Option<usize>,
    /// Why training ended.
    pub stop: Stop,
}

impl History {
    /// The epoch with the lowest monitored loss, see
    /// [`best_epoch`](History::best_epoch).
    pub fn best(&self) -> Option<&Epoch> {
        self.epochs.iter().find(|epoch| Some(epoch.number) == self.best_epoch)
    }
}

/// The record of one epoch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Epoch {
    /// Its number, counted from 1.
    pub number: usize,
    /// The loss over the epoch's examples, of each batch before its update: the
    /// mean, for each term weighted by its targets if they have weights; for a
    /// network with `loss sum`, the sum. NaN if the total weight is 0.
    pub loss: f64,
    /// Whether `loss` is above that of the epoch before.
    pub loss_rose: bool,
    /// The learning rate of its last step.
    pub learning_rate: f32,
    /// Examples trained on per second, evaluations not included.
    pub examples_per_second: f64,
    /// Loss and metrics of the training examples after the epoch, with
    /// [`Fit::evaluate_train`](crate::Fit::evaluate_train).
    pub train: Option<Validation>,
    /// Loss and metrics of the validation data after the epoch, with
    /// [`Fit::validate`](crate::Fit::validate).
    pub validation: Option<Validation>,
}

impl Epoch {
    /// The loss by which epochs are compared.
    pub(super) fn monitored_loss(&self) -> f64 {
        self.validation.as_ref().map_or(self.loss, |validation| validation.loss)
    }
}

/// Loss and metrics of an evaluation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Validation {
    /// The loss.
    pub loss: f64,
    /// The metrics, in declared order.
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
    /// The monitored loss had not improved for the patience of
    /// [`Fit::early_stopping`](crate::Fit::early_stopping).
    Early {
        /// The number of the epoch with the lowest loss, counted from 1.
        best_epoch: usize,
    },
    /// By Ctrl-C, see `Fit::stop_on_ctrl_c` (feature `ctrl-c`).
    Interrupted,
    /// The callback returned `ControlFlow::Break`.
    Callback,
}
