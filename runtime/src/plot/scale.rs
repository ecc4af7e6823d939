//! Scales of axes: linear and logarithmic ranges, and tick marks at round numbers.

/// A range of numbers along an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    pub low: f64,
    pub high: f64,
    /// Whether the scale is logarithmic.
    pub log: bool,
    /// Whether ticks are only at integers.
    pub integers: bool,
}

impl Scale {
    /// From one number to another; if they are equal, a range around them.
    pub fn new(low: f64, high: f64) -> Scale {
        let (low, high) = match low < high {
            true => (low, high),
            false => {
                let margin = if low == 0.0 { 1.0 } else { 0.1 * low.abs() };
                (low - margin, high + margin)
            }
        };
        Scale { low, high, log: false, integers: false }
    }

    /// Around all finite numbers.
    pub fn around(values: impl IntoIterator<Item = f64>) -> Option<Scale> {
        let (low, high) = range(values)?;
        Some(Scale::new(low, high))
    }

    /// Around all positive numbers, logarithmic.
    pub fn around_log(values: impl IntoIterator<Item = f64>) -> Option<Scale> {
        let (low, high) = range(values.into_iter().filter(|v| *v > 0.0))?;
        let (low, high) = if low < high { (low, high) } else { (low / 2.0, high * 2.0) };
        Some(Scale { low, high, log: true, integers: false }.limited())
    }

    /// With a margin on both sides, as a fraction of the range; starting at 0 if the range
    /// is near it.
    pub fn with_margin(self, fraction: f64) -> Scale {
        if self.log {
            let factor = (self.high / self.low).powf(fraction);
            return Scale { low: self.low / factor, high: self.high * factor, ..self }.limited();
        }
        let margin = fraction * (self.high - self.low);
        let low = match self.low >= 0.0 && self.low < 0.3 * self.high {
            true => 0.0,
            false => self.low - margin,
        };
        Scale { low, high: self.high + margin, ..self }
    }

    /// Limited to finite positive numbers, which have a logarithm.
    fn limited(self) -> Scale {
        let low = self.low.clamp(f64::MIN_POSITIVE, f64::MAX / 2.0);
        Scale { low, high: self.high.clamp(1.001 * low, f64::MAX), ..self }
    }

    /// With ticks only at integers.
    pub fn integers(self) -> Scale {
        Scale { integers: true, ..self }
    }

    /// The position of a number: 0 at the low end, 1 at the high one; none if it is not
    /// finite, or not positive on a logarithmic scale.
    pub fn position(&self, value: f64) -> Option<f64> {
        let position = match self.log {
            true if value <= 0.0 => return None,
            true => (value.ln() - self.low.ln()) / (self.high.ln() - self.low.ln()),
            // Halved, because the width of the range may overflow.
            false => (value / 2.0 - self.low / 2.0) / (self.high / 2.0 - self.low / 2.0),
        };
        position.is_finite().then_some(position)
    }

    /// At most `max` round numbers within the range, with their texts; at least two if
    /// `max` allows.
    pub fn ticks(&self, max: usize) -> Vec<(f64, String)> {
        let max = max.max(1);
        if self.log {
            let ticks = self.log_ticks(max);
            if ticks.len() > 1 {
                return ticks;
            }
        }
        let span = self.high - self.low;
        if !span.is_finite() || span <= 0.0 {
            return vec![];
        }
        // 1, 2, 5, 10, 20, 50, ... times a power of ten.
        // The smallest numbers become 0 when divided, and have no finite logarithm.
        let mut exponent = ((span / max as f64).log10().floor() as i32).max(-323) - 1;
        loop {
            for factor in [1.0, 2.0, 5.0] {
                let step = factor * 10f64.powi(exponent);
                if !(step > 0.0 && step.is_finite()) || self.integers && step < 1.0 {
                    continue;
                }
                let first = (self.low / step - 1e-9).ceil();
                let last = (self.high / step + 1e-9).floor();
                let count = last - first + 1.0;
                if count > max as f64 {
                    continue;
                }
                let numbers = (0..count.max(0.0) as usize).map(|i| (first + i as f64) * step);
                return numbers.map(|v| (v, self.formatted(v, step))).collect();
            }
            exponent += 1;
            if exponent > 310 {
                return vec![];
            }
        }
    }

    /// Powers of ten, with 2 and 5 between them if they fit.
    fn log_ticks(&self, max: usize) -> Vec<(f64, String)> {
        let (low, high) = (self.low.log10().floor() as i32, self.high.log10().ceil() as i32);
        let within = |v: &f64| (self.low * 0.999..=self.high * 1.001).contains(v);
        let numbers = |factors: &[f64], every: usize| -> Vec<f64> {
            let powers = (low..=high).filter(|e| e.rem_euclid(every as i32) == 0);
            let numbers = powers.flat_map(|e| factors.iter().map(move |f| f * 10f64.powi(e)));
            numbers.filter(within).collect()
        };
        let mut ticks = numbers(&[1.0, 2.0, 5.0], 1);
        let mut every = 1;
        while ticks.len() > max && every < 700 {
            ticks = numbers(&[1.0], every);
            every += 1;
        }
        ticks.into_iter().map(|v| (v, short(v))).collect()
    }

    /// A number with the digits needed for this distance of ticks.
    fn formatted(&self, value: f64, step: f64) -> String {
        let largest = self.low.abs().max(self.high.abs());
        if value == 0.0 || value.abs() < step / 2.0 {
            return "0".into();
        }
        if largest >= 1e6 || step < 0.99e-4 {
            let digits = (value.abs().log10().floor() - (step * 1.0001).log10().floor()).max(0.0);
            return format!("{:.*e}", digits as usize, value);
        }
        let decimals = (-(step * 1.0001).log10().floor()).max(0.0) as usize;
        format!("{value:.decimals$}")
    }
}

/// A number in short form: `0.001`, `20`, `1e6`.
pub(super) fn short(value: f64) -> String {
    if value == 0.0 || (1e-3..1e5).contains(&value.abs()) {
        // Three significant digits.
        let decimals = match value {
            0.0 => 0,
            v => (2.0 - v.abs().log10().floor()).max(0.0) as usize,
        };
        let text = format!("{value:.decimals$}");
        match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.').into(),
            false => text,
        }
    } else {
        let text = format!("{value:.2e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let mantissa = match mantissa.contains('.') {
            true => mantissa.trim_end_matches('0').trim_end_matches('.'),
            false => mantissa,
        };
        format!("{mantissa}e{exponent}")
    }
}

/// The smallest and the largest of the finite numbers.
pub(super) fn range(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    let finite = values.into_iter().filter(|v| v.is_finite());
    finite.fold(None, |range, v| match range {
        None => Some((v, v)),
        Some((low, high)) => Some((v.min(low), v.max(high))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(scale: Scale, max: usize) -> String {
        let texts: Vec<_> = scale.ticks(max).into_iter().map(|t| t.1).collect();
        texts.join(" ")
    }

    #[test]
    fn ticks_are_round_numbers_within_the_range() {
        assert_eq!(texts(Scale::new(0.0, 2.4), 6), "0.0 0.5 1.0 1.5 2.0".replace("0.0", "0"));
        assert_eq!(texts(Scale::new(1.0, 40.0).integers(), 9), "5 10 15 20 25 30 35 40");
        assert_eq!(texts(Scale::new(1.0, 2.0).integers(), 9), "1 2");
        assert_eq!(texts(Scale::new(-1.0, 1.0), 5), "-1.0 -0.5 0 0.5 1.0");
        assert_eq!(texts(Scale::new(0.0, 3e9), 4), "0 1e9 2e9 3e9");
        assert_eq!(texts(Scale::new(0.0, 2e-7), 3), "0 1e-7 2e-7");
        assert_eq!(texts(Scale::around_log([0.001, 7.0]).unwrap(), 5), "0.001 0.01 0.1 1");
        assert_eq!(texts(Scale::around_log([1.0, 12.0]).unwrap(), 5), "1 2 5 10");
        assert_eq!(texts(Scale::around_log([3.1, 4.2]).unwrap(), 3), "3.5 4.0");
    }

    #[test]
    fn extreme_ranges_terminate() {
        for (low, high) in [
            (f64::MIN, f64::MAX),
            (0.0, 5e-324),
            (1e300, 1e300 * (1.0 + 1e-15)),
            (1.0, 1.0 + f64::EPSILON),
            (1e-320, 1e308),
        ] {
            let scale = Scale::new(low, high);
            assert!(scale.ticks(7).len() <= 7, "{low} {high}");
            assert!(scale.position(low).is_none_or(|p| p.abs() < 1e-6));
            if let Some(log) = Scale::around_log([low, high]) {
                assert!(log.ticks(7).len() <= 7, "{low} {high}");
            }
        }
    }

    #[test]
    fn numbers_in_short_form() {
        let texts = [0.0, 1.0, 0.25, -3.24159, 1234.5, 1e5, 2.5e-7].map(short);
        assert_eq!(texts, ["0", "1", "0.25", "-3.24", "1234", "1e5", "2.5e-7"]);
    }
}
