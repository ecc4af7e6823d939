//! Progress of training: a bar in a terminal, a line for each epoch, and one for an
//! early end.

use std::io::Write;
use std::time::{Duration, Instant};

use super::history::{Epoch, History, Stop};
use crate::model::Resumed;

/// The progress of a training, and its output.
pub(crate) struct Progress {
    is_enabled: bool,
    epochs: usize,
    /// Epochs from one line to the next.
    report_every: usize,
    warns: bool,
    /// Number and loss of the epoch of the last line.
    reported: Option<(usize, f64)>,
    // Of the current epoch:
    number: usize,
    examples: usize,
    done: usize,
    /// Those of them that were done before training was resumed.
    done_before: usize,
    started: Instant,
    trained: Option<Duration>,
    /// One bar for all epochs: it limits the redraws per second, however short epochs
    /// are.
    #[cfg(feature = "progress")]
    bar: Option<indicatif::ProgressBar>,
}

impl Progress {
    /// For a number of epochs.
    pub fn new(is_enabled: bool, epochs: usize, report_every: usize, warns: bool) -> Progress {
        Progress {
            is_enabled,
            epochs,
            report_every,
            warns,
            reported: None,
            number: 0,
            examples: 0,
            done: 0,
            done_before: 0,
            started: Instant::now(),
            trained: None,
            #[cfg(feature = "progress")]
            bar: bar(is_enabled),
        }
    }

    /// Begins an epoch, with its number counted from 1 and its number of examples.
    pub fn start(&mut self, number: usize, examples: usize) {
        (self.number, self.examples, self.done, self.done_before) = (number, examples, 0, 0);
        (self.started, self.trained) = (Instant::now(), None);
        #[cfg(feature = "progress")]
        if let Some(bar) = &self.bar {
            // The bar is hidden until `reset`: otherwise it would be drawn with the
            // values of the previous epoch.
            bar.set_length(examples as u64);
            bar.set_prefix(format!("{number}/{}", self.epochs));
            bar.set_message("");
            bar.reset();
        }
    }

    /// Reports that training resumes from a checkpoint.
    pub fn resume(&self, resumed: &Resumed) {
        if self.is_enabled {
            for skipped in &resumed.skipped {
                print(&format!("skipped: {skipped}"));
            }
            print(&format!("resumed after step {} from {}", resumed.steps, resumed.path.display()));
        }
    }

    /// Skips the first examples of the epoch: a checkpoint includes them.
    pub fn skip(&mut self, examples: usize) {
        (self.done, self.done_before) = (examples, examples);
        #[cfg(feature = "progress")]
        if let Some(bar) = &self.bar {
            bar.set_position(examples as u64);
            bar.reset_eta();
        }
    }

    /// Adds a step's examples and its loss.
    pub fn step(&mut self, examples: usize, loss: f32) {
        self.done += examples;
        #[cfg(feature = "progress")]
        if let Some(bar) = &self.bar {
            bar.set_message(format!("loss {loss:.4}"));
            bar.set_position(self.done as u64);
        }
        #[cfg(not(feature = "progress"))]
        let _ = loss;
    }

    /// Examples per second, from the start to the first call.
    pub fn examples_per_second(&mut self) -> f64 {
        let trained = *self.trained.get_or_insert_with(|| self.started.elapsed());
        (self.done - self.done_before) as f64 / trained.as_secs_f64().max(1e-9)
    }

    /// Ends an epoch, and training if `is_last`. An epoch is reported at most once.
    pub fn finish(&mut self, epoch: &Epoch, is_last: bool) {
        self.clear();
        let is_due = is_last || epoch.number.is_multiple_of(self.report_every);
        let is_reported = self.reported.is_some_and(|(number, _)| number == epoch.number);
        if self.is_enabled && is_due && !is_reported {
            print(&self.line(epoch));
            self.reported = Some((epoch.number, epoch.loss));
        }
    }

    /// Ends training, after a number of epochs without an improvement.
    pub fn end(&mut self, history: &History, without_improvement: usize, is_restored: bool) {
        self.clear();
        if !self.is_enabled {
            return;
        }
        let mut line = match history.stop {
            Stop::Finished | Stop::Callback => String::new(),
            Stop::Early { .. } => {
                let epochs = match without_improvement {
                    1 => "1 epoch".into(),
                    n => format!("{n} epochs"),
                };
                format!("stopped early: no better loss for {epochs}")
            }
            Stop::Interrupted if self.done < self.examples => format!(
                "interrupted in epoch {}/{}, after {} of {} examples",
                self.number, self.epochs, self.done, self.examples
            ),
            Stop::Interrupted => format!("interrupted after epoch {}/{}", self.number, self.epochs),
        };
        if let (true, Some(best)) = (is_restored, history.best_epoch) {
            let before = if line.is_empty() { "" } else { "; " };
            line += &format!("{before}the parameters are those of epoch {best}");
        }
        if history.best_epoch.is_none() && !history.epochs.is_empty() {
            let monitored = match history.epochs.iter().any(|epoch| epoch.validation.is_some()) {
                true => "the validation loss",
                false => "the loss",
            };
            let before = if line.is_empty() { "" } else { "; " };
            line += &format!("{before}no epoch is the best: {monitored} is NaN in all of them");
        }
        if !line.is_empty() {
            print(&line);
        }
    }

    fn line(&self, epoch: &Epoch) -> String {
        let width = self.epochs.to_string().len();
        let mut line = format!(
            "epoch {:>width$}/{}  loss {:.4}  {:>9.0} examples/s",
            epoch.number, self.epochs, epoch.loss, epoch.examples_per_second
        );
        for (examples, evaluated) in [("training", &epoch.train), ("validation", &epoch.validation)]
        {
            let Some(evaluated) = evaluated else { continue };
            line += &format!("  {examples} loss {:.4}", evaluated.loss);
            for (name, value) in &evaluated.metrics {
                line += &format!("  {name} {value:.4}");
            }
        }
        if let Some((number, loss)) = self.reported
            && self.warns
            && epoch.loss > loss
        {
            line += &format!("  (loss above that of epoch {number})");
        }
        line
    }

    /// Hides the bar, until the next epoch.
    fn clear(&mut self) {
        #[cfg(feature = "progress")]
        if let Some(bar) = &self.bar
            && !bar.is_finished()
        {
            bar.finish_and_clear();
        }
    }
}

/// Hides the bar after an error too.
impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Prints a line; a closed pipe does not stop training.
fn print(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// A bar, if standard output and standard error are terminals.
#[cfg(feature = "progress")]
fn bar(is_enabled: bool) -> Option<indicatif::ProgressBar> {
    use std::io::IsTerminal;

    if !is_enabled || !std::io::stdout().is_terminal() || !std::io::stderr().is_terminal() {
        return None;
    }
    let bar = indicatif::ProgressBar::new(0);
    let template = "epoch {prefix} {wide_bar} {pos}/{len}  {msg}  {per_sec}";
    if let Ok(style) = indicatif::ProgressStyle::with_template(template) {
        let rate = |state: &indicatif::ProgressState, w: &mut dyn std::fmt::Write| {
            let _ = write!(w, "{:.0} examples/s", state.per_sec());
        };
        bar.set_style(style.with_key("per_sec", rate));
    }
    // Hidden until an epoch starts.
    bar.finish_and_clear();
    Some(bar)
}
