//! The order of shuffled epochs: that of PyTorch's `DataLoader(..., shuffle=True)`.
//!
//! Takes a seed, or a generator that has been used already, and the number of examples; gives a
//! permutation of them for each epoch. Guaranteed: the same generator gives the same orders, equal
//! to those of a `DataLoader` without workers of its own that draws from the same generator.

use crate::rng::Generator;

/// Draws the order of one epoch after the other.
///
/// At the start of each epoch a `DataLoader` draws two 63-bit numbers from its generator: a seed
/// for worker processes, which is not used here, and the seed of another generator, which permutes
/// the examples. (`_BaseDataLoaderIter.__init__` in `torch/utils/data/dataloader.py`,
/// `RandomSampler.__iter__` in `torch/utils/data/sampler.py`.)
///
/// ```
/// use bilro::data::ShuffledOrder;
///
/// let mut order = ShuffledOrder::new(7);
/// let (first, second) = (order.next_epoch(100), order.next_epoch(100));
/// assert_ne!(first, second);
/// assert_eq!(first, ShuffledOrder::new(7).next_epoch(100));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShuffledOrder {
    generator: Generator,
}

impl ShuffledOrder {
    /// The orders after `torch.manual_seed(seed)`.
    pub fn new(seed: u64) -> Self {
        Self::from_generator(Generator::new(seed))
    }

    /// The orders that follow what `generator` was used for before: in a PyTorch script, commonly
    /// the initial weights.
    pub fn from_generator(generator: Generator) -> Self {
        Self { generator }
    }

    /// The generator, for what is to be drawn after the epochs so far.
    pub fn into_generator(self) -> Generator {
        self.generator
    }

    /// The numbers `0..len` in the order of the next epoch.
    pub fn next_epoch(&mut self, len: u32) -> Vec<u32> {
        let mut rows = Vec::new();
        self.next_epoch_into(len, &mut rows);
        rows
    }

    /// As [`next_epoch`](Self::next_epoch), replacing what `rows` holds: it allocates only if
    /// `rows` has too little capacity.
    pub fn next_epoch_into(&mut self, len: u32, rows: &mut Vec<u32>) {
        let _for_workers = self.generator.random_u64();
        // `random_()` of an int64 tensor keeps 63 bits.
        let seed = self.generator.random_u64() & (i64::MAX as u64);
        Generator::new(seed).permutation_into(len, rows);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_comes_once_in_every_epoch() {
        let mut order = ShuffledOrder::new(3);
        for _ in 0..3 {
            let mut rows = order.next_epoch(50);
            assert!(!rows.is_sorted());
            rows.sort_unstable();
            assert!(rows.into_iter().eq(0..50));
        }
    }

    #[test]
    fn epochs_continue_a_generator() {
        let mut order = ShuffledOrder::new(3);
        order.next_epoch(5);
        let mut continued = ShuffledOrder::from_generator(order.clone().into_generator());
        assert_eq!(order.next_epoch(40), continued.next_epoch(40));
    }
}
