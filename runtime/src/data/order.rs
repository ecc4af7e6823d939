//! The order of shuffled epochs: that of PyTorch's `DataLoader(..., shuffle=True)`.
//!
//! Takes a seed, or a generator in any state, and the number of examples; returns a permutation of
//! them for each epoch. Guaranteed: the same generator gives the same orders, equal to those of a
//! `DataLoader` without worker processes that draws from the same generator. A `DataLoader` draws
//! differently from a generator passed as `generator=` than from PyTorch's global one: both are
//! here.

use crate::rng::Generator;

/// The shuffled orders of successive epochs.
///
/// At the start of each epoch a `DataLoader` draws two 63-bit numbers from PyTorch's global
/// generator: a seed for worker processes, which is not used here, and the seed of another
/// generator, which permutes the examples. A generator passed as `generator=` draws the first of
/// these numbers and then permutes the examples itself.
/// (`_BaseDataLoaderIter.__init__` in `torch/utils/data/dataloader.py`, `RandomSampler.__iter__` in
/// `torch/utils/data/sampler.py`.)
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
    /// Whether the generator is the loader's, passed as `generator=`, not the global one.
    is_of_loader: bool,
}

impl ShuffledOrder {
    /// The orders after `torch.manual_seed(seed)`.
    pub fn new(seed: u64) -> Self {
        Self::from_generator(Generator::new(seed))
    }

    /// The orders drawn from `generator` in its current state: in a PyTorch script, commonly after
    /// the initial weights.
    pub fn from_generator(generator: Generator) -> Self {
        Self { generator, is_of_loader: false }
    }

    /// The orders of `DataLoader(..., shuffle=True, generator=generator)`: different from those of
    /// the global generator with the same seed.
    ///
    /// ```
    /// use bilro::data::ShuffledOrder;
    /// use bilro::rng::Generator;
    ///
    /// // DataLoader(range(5), shuffle=True, generator=torch.Generator().manual_seed(7))
    /// let mut order = ShuffledOrder::of_loader_generator(Generator::new(7));
    /// assert_eq!(order.next_epoch(5), [1, 3, 0, 4, 2]);
    /// ```
    pub fn of_loader_generator(generator: Generator) -> Self {
        Self { generator, is_of_loader: true }
    }

    /// The generator, to draw further numbers after the epochs so far.
    pub fn into_generator(self) -> Generator {
        self.generator
    }

    /// The numbers `0..len` in the order of the next epoch.
    pub fn next_epoch(&mut self, len: u32) -> Vec<u32> {
        let mut rows = Vec::new();
        self.next_epoch_into(len, &mut rows);
        rows
    }

    /// As [`next_epoch`](Self::next_epoch), replacing the contents of `rows`: it allocates only if
    /// the capacity of `rows` is too small.
    pub fn next_epoch_into(&mut self, len: u32, rows: &mut Vec<u32>) {
        let _for_workers = self.generator.random_u64();
        if self.is_of_loader {
            let mut first = self.generator.clone();
            // The sampler permutes twice: for the epoch, and for an empty remainder.
            self.generator.permutation_into(len, rows);
            self.generator.permutation_into(len, rows);
            first.permutation_into(len, rows);
            return;
        }
        // `random_()` of an int64 tensor keeps 63 bits.
        let seed = self.generator.random_u64() & (i64::MAX as u64);
        Generator::new(seed).permutation_into(len, rows);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_has_every_row_once() {
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

    /// `DataLoader(range(5), shuffle=True, generator=torch.Generator().manual_seed(7))`, torch
    /// 2.15.
    #[test]
    fn a_generator_of_the_loader_draws_the_permutation_itself() {
        let mut order = ShuffledOrder::of_loader_generator(Generator::new(7));
        for expected in [[1, 3, 0, 4, 2], [3, 2, 4, 0, 1], [0, 4, 3, 2, 1]] {
            assert_eq!(order.next_epoch(5), expected);
        }
    }
}
