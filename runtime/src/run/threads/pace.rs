//! Adaptive choice of serial or parallel steps, by measurement.
//!
//! What sharing costs depends on what else the machine does, and on how long
//! the program takes from step to step: workers that sleep must be woken. So
//! the time of steps is watched, and the other way is tried for a few steps now
//! and then, ever more seldom while it loses.

/// Steps of a trial. The first does not count: it finds workers asleep, or
/// memory in another core's cache.
const TRIAL: usize = 4;

/// Steps before the first trial, and between later ones at most: where sharing
/// is three times as slow, trying it costs a hundredth, and a machine that has
/// become free is noticed within some tenths of a second.
const FIRST: u32 = 32;
const MOST: u32 = 1_024;

/// See the [module](self).
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    /// Which way is taken.
    shared: bool,
    /// What that usually takes: a running median.
    usual: Option<f64>,
    /// Steps until the next trial.
    left: u32,
    interval: u32,
    /// What the trial's steps took so far.
    trial: [f64; TRIAL],
    tried: usize,
}

impl Pace {
    pub fn new() -> Pace {
        let (left, interval) = (FIRST, FIRST);
        Pace { shared: true, usual: None, left, interval, trial: [0.0; TRIAL], tried: 0 }
    }

    /// Whether to share the next step.
    pub fn shares(&self) -> bool {
        self.shared != (self.left == 0)
    }

    /// Says what it took.
    pub fn took(&mut self, seconds: f64) {
        if self.left > 0 {
            self.left -= 1;
            // Steps that another program interrupts count no more than others.
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
            self.interval = FIRST;
        } else {
            self.interval = (2 * self.interval).min(MOST);
        }
        self.left = self.interval;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps that were shared, of so many.
    fn shared(pace: &mut Pace, steps: u32, alone: f64, together: f64) -> u32 {
        (0..steps)
            .map(|step| {
                let shares = pace.shares();
                // Every tenth step is interrupted.
                let more = if step % 10 == 9 { 1e-2 } else { 0.0 };
                pace.took(if shares { together } else { alone } + more);
                u32::from(shares)
            })
            .sum()
    }

    #[test]
    fn the_faster_way_is_taken_and_followed_when_it_changes() {
        let mut pace = Pace::new();
        assert!(shared(&mut pace, 20_000, 1e-4, 6e-5) > 19_900);
        assert!(shared(&mut pace, 20_000, 1e-4, 3e-4) < 5_000, "the machine is busy now");
        assert!(shared(&mut pace, 20_000, 1e-4, 3e-4) < 120);
        assert!(shared(&mut pace, 20_000, 1e-4, 6e-5) > 15_000, "and now no more");
    }
}
