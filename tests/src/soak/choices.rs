//! The source of all random choices of a network: a seed, or the bytes of a fuzzer.

/// A source of choices. The first alternative of every choice is the simplest one, so that bytes of
/// zeros, and the end of the bytes, yield a small network.
#[derive(Clone, Debug)]
pub struct Choices<'a>(Source<'a>);

#[derive(Clone, Debug)]
enum Source<'a> {
    Seed(u64),
    Bytes(&'a [u8]),
}

impl<'a> Choices<'a> {
    /// Choices from a seed.
    pub fn of_seed(seed: u64) -> Choices<'static> {
        Choices(Source::Seed(seed))
    }

    /// Choices from bytes; zeros after their end.
    pub fn of_bytes(bytes: &'a [u8]) -> Choices<'a> {
        Choices(Source::Bytes(bytes))
    }

    /// A number from 0 to `n - 1`, uniform for a seed; 0 if `n` is 0.
    pub fn index(&mut self, n: usize) -> usize {
        let n = n.max(1) as u64;
        let word = match n {
            1 => 0,
            2..=256 => self.word(1),
            257..=65_536 => self.word(2),
            _ => self.word(8),
        };
        (word % n) as usize
    }

    /// `true` with this probability; `false` after the end of the bytes.
    pub fn chance(&mut self, probability: f64) -> bool {
        let limit = (probability * 256.0).round() as u64;
        255 - self.word(1) % 256 < limit
    }

    /// A number from `low` to `high`, of few binary digits.
    pub fn number(&mut self, low: f64, high: f64) -> f64 {
        let share = (self.word(2) % 65_536) as f64 / 65_536.0;
        let number = low + share * (high - low);
        // Texts stay short: five digits after the point.
        (number * 1e5).round() / 1e5
    }

    /// One of several alternatives.
    ///
    /// # Panics
    /// Without alternatives.
    pub fn pick<'t, T>(&mut self, all: &'t [T]) -> &'t T {
        &all[self.index(all.len())]
    }

    /// An index, by weights.
    pub fn weighted(&mut self, weights: &[usize]) -> usize {
        let mut left = self.index(weights.iter().sum());
        for (i, weight) in weights.iter().enumerate() {
            if left < *weight {
                return i;
            }
            left -= weight;
        }
        0
    }

    /// A seed for values, of 64 bits.
    pub fn seed(&mut self) -> u64 {
        self.word(8)
    }

    fn word(&mut self, bytes: usize) -> u64 {
        match &mut self.0 {
            Source::Seed(state) => {
                // SplitMix64 (G. Steele, D. Lea, C. Flood 2014).
                *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
                let mut z = *state;
                z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
                z ^ (z >> 31)
            }
            Source::Bytes(data) => {
                let mut word = [0; 8];
                let count = bytes.min(data.len());
                let (read, after) = data.split_at(count);
                word[..count].copy_from_slice(read);
                *data = after;
                u64::from_le_bytes(word)
            }
        }
    }
}
