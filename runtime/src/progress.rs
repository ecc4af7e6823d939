//! How far an epoch is: a bar where there is a terminal, and a line when it is
//! done.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::fit::Epoch;

/// One epoch on its way.
pub(crate) struct Progress {
    tells: bool,
    epoch: usize,
    epochs: usize,
    done: usize,
    started: Instant,
    trained: Option<Duration>,
    #[cfg(feature = "progress")]
    bar: Option<indicatif::ProgressBar>,
}

impl Progress {
    /// Epoch `epoch` of `epochs`, counted from 1, over so many examples.
    pub fn epoch(tells: bool, epoch: usize, epochs: usize, examples: usize) -> Progress {
        #[cfg(not(feature = "progress"))]
        let _ = examples;
        Progress {
            tells,
            epoch,
            epochs,
            done: 0,
            started: Instant::now(),
            trained: None,
            #[cfg(feature = "progress")]
            bar: bar(tells, epoch, epochs, examples),
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
        self.done as f64 / trained.as_secs_f64().max(1e-9)
    }

    /// The epoch is over.
    pub fn finish(self, epoch: &Epoch) {
        #[cfg(feature = "progress")]
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if !self.tells {
            return;
        }
        let width = self.epochs.to_string().len();
        let mut line = format!(
            "epoch {:>width$}/{}  loss {:.4}  {:>9.0} examples/s",
            self.epoch, self.epochs, epoch.loss, epoch.examples_per_second
        );
        if let Some(validation) = &epoch.validation {
            line += &format!("  validation loss {:.4}", validation.loss);
            for (name, value) in &validation.metrics {
                line += &format!("  {name} {value:.4}");
            }
        }
        // Whoever closes the pipe wants no more lines, and the training to go on.
        let _ = writeln!(std::io::stdout(), "{line}");
    }
}

/// A bar, where standard output and standard error are a terminal.
#[cfg(feature = "progress")]
fn bar(
    tells: bool,
    epoch: usize,
    epochs: usize,
    examples: usize,
) -> Option<indicatif::ProgressBar> {
    use std::io::IsTerminal;

    if !tells || !std::io::stdout().is_terminal() || !std::io::stderr().is_terminal() {
        return None;
    }
    let bar = indicatif::ProgressBar::new(examples as u64);
    let template = "epoch {prefix} {wide_bar} {pos}/{len}  {msg}  {per_sec}";
    if let Ok(style) = indicatif::ProgressStyle::with_template(template) {
        let rate = |state: &indicatif::ProgressState, w: &mut dyn std::fmt::Write| {
            let _ = write!(w, "{:.0} examples/s", state.per_sec());
        };
        bar.set_style(style.with_key("per_sec", rate));
    }
    bar.set_prefix(format!("{epoch}/{epochs}"));
    Some(bar)
}
