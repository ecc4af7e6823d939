//! Progress of training: bars and lines.
//!
//! How far training is: a bar where there is a terminal, a line for an epoch
//! when it is done, and one for an end before the last.

use std::io::Write;
use std::time::{Duration, Instant};

use super::history::{Epoch, History, Stop};
use crate::model::Resumed;

/// Training on its way.
pub(crate) struct Progress {
    tells: bool,
    epochs: usize,
    /// Epochs from one line to the next.
    report_every: usize,
    warns: bool,
    /// Number and loss of the epoch of the last line.
    told: Option<(usize, f64)>,
    // Of the epoch that runs:
    number: usize,
    examples: usize,
    done: usize,
    /// Those of them that were done before training was resumed.
    before: usize,
    started: Instant,
    trained: Option<Duration>,
    /// One for all epochs: it draws so many times in a second, however short
    /// they are.
    #[cfg(feature = "progress")]
    bar: Option<indicatif::ProgressBar>,
}

impl Progress {
    /// For so many epochs.
    pub fn new(tells: bool, epochs: usize, report_every: usize, warns: bool) -> Progress {
        Progress {
            tells,
            epochs,
            report_every,
            warns,
            told: None,
            number: 0,
            examples: 0,
            done: 0,
            before: 0,
            started: Instant::now(),
            trained: None,
            #[cfg(feature = "progress")]
            bar: bar(tells),
        }
    }

    /// An epoch begins, by its number counted from 1, over so many examples.
    pub fn start(&mut self, number: usize, examples: usize) {
        (self.number, self.examples, self.done, self.before) = (number, examples, 0, 0);
        (self.started, self.trained) = (Instant::now(), None);
        #[cfg(feature = "progress")]
        if let Some(bar) = &self.bar {
            // While it is hidden, until `reset`: or it would be seen with what
            // it said of another epoch.
            bar.set_length(examples as u64);
            bar.set_prefix(format!("{number}/{}", self.epochs));
            bar.set_message("");
            bar.reset();
        }
    }

    /// Training goes on from a checkpoint.
    pub fn resume(&self, resumed: &Resumed) {
        if self.tells {
            for skipped in &resumed.skipped {
                say(&format!("left out: {skipped}"));
            }
            say(&format!("resumed after step {} from {}", resumed.steps, resumed.path.display()));
        }
    }

    /// Of the epoch that begins, so many examples are done already.
    pub fn skip(&mut self, examples: usize) {
        (self.done, self.before) = (examples, examples);
        #[cfg(feature = "progress")]
        if let Some(bar) = &self.bar {
            bar.set_position(examples as u64);
            bar.reset_eta();
        }
    }

    /// So many more examples, with this loss.
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

    /// Examples in a second, from the start to the first time it is asked.
    pub fn examples_per_second(&mut self) -> f64 {
        let trained = *self.trained.get_or_insert_with(|| self.started.elapsed());
        (self.done - self.before) as f64 / trained.as_secs_f64().max(1e-9)
    }

    /// The epoch is over, and perhaps all are. It is told at most once.
    pub fn finish(&mut self, epoch: &Epoch, is_last: bool) {
        self.clear();
        let is_due = is_last || epoch.number.is_multiple_of(self.report_every);
        let is_told = self.told.is_some_and(|(number, _)| number == epoch.number);
        if self.tells && is_due && !is_told {
            say(&self.line(epoch));
            self.told = Some((epoch.number, epoch.loss));
        }
    }

    /// Training is over, after so many epochs without a better loss.
    pub fn end(&mut self, history: &History, waited: usize, is_restored: bool) {
        self.clear();
        if !self.tells {
            return;
        }
        let mut line = match history.stop {
            Stop::Finished | Stop::Callback => String::new(),
            Stop::Early { .. } => {
                let epochs =
                    if waited == 1 { "1 epoch".into() } else { format!("{waited} epochs") };
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
            let watched = match history.epochs.iter().any(|epoch| epoch.validation.is_some()) {
                true => "the validation loss",
                false => "the loss",
            };
            let before = if line.is_empty() { "" } else { "; " };
            line += &format!("{before}no epoch is the best: {watched} is NaN in all of them");
        }
        if !line.is_empty() {
            say(&line);
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
        if let Some((number, loss)) = self.told
            && self.warns
            && epoch.loss > loss
        {
            line += &format!("  (loss above that of epoch {number})");
        }
        line
    }

    /// Takes the bar away, until the next epoch.
    fn clear(&mut self) {
        #[cfg(feature = "progress")]
        if let Some(bar) = &self.bar
            && !bar.is_finished()
        {
            bar.finish_and_clear();
        }
    }
}

/// An error leaves no half of a bar behind.
impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Whoever closes the pipe wants no more lines, and the training to go on.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// A bar, where standard output and standard error are a terminal.
#[cfg(feature = "progress")]
fn bar(tells: bool) -> Option<indicatif::ProgressBar> {
    use std::io::IsTerminal;

    if !tells || !std::io::stdout().is_terminal() || !std::io::stderr().is_terminal() {
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
