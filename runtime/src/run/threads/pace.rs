//! Adaptive choice of serial or parallel steps, by measurement.
//!
//! The cost of sharing depends on the load of the machine, and on the program's
//! time between steps: sleeping workers must be woken. So steps are timed, and the
//! alternative is tried for a few steps from time to time, at growing intervals
//! while it is slower.

/// Steps of a trial. The first does not count: workers may be asleep, or the memory
/// in another core's cache.
const TRIAL: usize = 4;

/// Steps before the first trial.
const FIRST_INTERVAL: u32 = 32;

/// The maximum number of steps between trials: where sharing is three times as slow,
/// trials cost a hundredth of the time, and a machine that has become free is noticed
/// within some tenths of a second.
const MAX_INTERVAL: u32 = 1_024;

/// See the [module](self).
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    /// Whether steps are shared, outside of trials.
    shared: bool,
    /// The usual time of such a step: a running median.
    usual: Option<f64>,
    /// Steps until the next trial.
    until_trial: u32,
    interval: u32,
    /// The times of the trial's steps so far.
    trial: [f64; TRIAL],
    tried: usize,
}

impl Pace {
    pub fn new() -> Pace {
        let (until_trial, interval) = (FIRST_INTERVAL, FIRST_INTERVAL);
        Pace { shared: true, usual: None, until_trial, interval, trial: [0.0; TRIAL], tried: 0 }
    }

    /// Whether to share the next step.
    pub fn shares(&self) -> bool {
        self.shared != (self.until_trial == 0)
    }

    /// Records the time of a step.
    pub fn record(&mut self, seconds: f64) {
        if self.until_trial > 0 {
            self.until_trial -= 1;
            // A median: steps that another program interrupts weigh no more than others.
            self.usual = Some(match self.usual {
                Some(usual) if seconds > usual => usual * 1.1,
                Some(usual) => (usual / 1.1).max(seconds),
                None => seconds,
            });
            return;
        }
        self.trial[self.tried] = seconds;
        self.tried += 1;
        if self.tried < TRIAL {
            return;
        }
        self.tried = 0;
        let counted = &mut self.trial[1..];
        counted.sort_by(f64::total_cmp);
        let median = counted[counted.len() / 2];
        if self.usual.is_some_and(|usual| median < usual) {
            self.shared = !self.shared;
            self.usual = Some(median);
            self.interval = FIRST_INTERVAL;
        } else {
            self.interval = (2 * self.interval).min(MAX_INTERVAL);
        }
        self.until_trial = self.interval;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of shared steps out of `steps`.
    fn shared(pace: &mut Pace, steps: u32, serial: f64, parallel: f64) -> u32 {
        (0..steps)
            .map(|step| {
                let shares = pace.shares();
                // Every tenth step is interrupted.
                let more = if step % 10 == 9 { 1e-2 } else { 0.0 };
                pace.record(if shares { parallel } else { serial } + more);
                u32::from(shares)
            })
            .sum()
    }

    #[test]
    fn the_faster_alternative_is_chosen_again_when_it_changes() {
        let mut pace = Pace::new();
        assert!(shared(&mut pace, 20_000, 1e-4, 6e-5) > 19_900);
        assert!(shared(&mut pace, 20_000, 1e-4, 3e-4) < 5_000, "the machine is busy now");
        assert!(shared(&mut pace, 20_000, 1e-4, 3e-4) < 120);
        assert!(shared(&mut pace, 20_000, 1e-4, 6e-5) > 15_000, "the machine is free again");
    }
}
