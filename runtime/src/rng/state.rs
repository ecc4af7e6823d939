//! The state of a generator as words, for checkpoints.

use super::{Generator, WORDS};

/// Words of a state: those of the Mersenne twister; which of them is next; the seed, low half first;
/// whether there is a spare normal value, and its bits, low half first.
pub(crate) const STATE_WORDS: usize = WORDS + 6;

impl Generator {
    /// The complete state.
    pub(crate) fn to_words(&self) -> Vec<u32> {
        let halves = |x: u64| [x as u32, (x >> 32) as u32];
        let spare = self.spare_normal;
        let mut words = self.state.to_vec();
        words.push(self.next as u32);
        words.extend(halves(self.seed));
        words.push(u32::from(spare.is_some()));
        words.extend(halves(spare.unwrap_or(0)));
        words
    }

    /// The generator with this state; none if the words are not a state.
    pub(crate) fn from_words(words: &[u32]) -> Option<Generator> {
        let (state, others) = words.split_first_chunk::<WORDS>()?;
        let [next, seed_low, seed_high, has_spare @ (0 | 1), spare_low, spare_high] = *others
        else {
            return None;
        };
        let next = usize::try_from(next).ok().filter(|next| *next <= WORDS)?;
        let joined = |low: u32, high: u32| u64::from(high) << 32 | u64::from(low);
        let spare_normal = (has_spare == 1).then(|| joined(spare_low, spare_high));
        Some(Generator { seed: joined(seed_low, seed_high), state: *state, next, spare_normal })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generator_continues_from_its_words() {
        let mut generator = Generator::new(1 << 40 | 3);
        for _ in 0..1000 {
            let words = generator.to_words();
            assert_eq!(words.len(), STATE_WORDS);
            assert_eq!(Generator::from_words(&words), Some(generator.clone()));
            generator.fill_normal(&mut [0.0; 3], 0.0, 1.0); // leaves a spare value every other time
        }
    }

    #[test]
    fn words_that_are_not_a_state_are_rejected() {
        let words = Generator::new(1).to_words();
        assert_eq!(Generator::from_words(&words[1..]), None);
        assert_eq!(Generator::from_words(&[&words[..], &[0]].concat()), None);
        for (index, wrong) in [(WORDS, WORDS as u32 + 1), (WORDS + 3, 2)] {
            let mut words = words.clone();
            words[index] = wrong;
            assert_eq!(Generator::from_words(&words), None);
        }
    }
}
