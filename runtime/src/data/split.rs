//! Dividing a data set in two: what is learnt from, and what the result is tested with.
//!
//! Takes a fraction and, to shuffle, a seed; gives two data sets that own their examples.
//! Guaranteed: both have examples, they have none in common, and together they have all.

use super::{Dataset, empty};
use crate::rng::Generator;
use crate::{Error, Result};
use ndarray::RemoveAxis;

impl<A: Copy, DX: RemoveAxis, B: Copy, DY: RemoveAxis> Dataset<A, DX, B, DY> {
    /// Two data sets without a common example, which together are this one: the first has
    /// `fraction` of the examples, rounded to the nearest whole number (a half away from zero).
    ///
    /// The examples are shuffled first: the first part is
    /// `torch.randperm(len)[:first]` after `torch.manual_seed(seed)`, the second the rest of that
    /// permutation, both in its order.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] if `fraction` is not between 0 and 1, both excluded; [`Error::Empty`]
    /// if a part would have no examples.
    pub fn split(&self, fraction: f64, seed: u64) -> Result<(Self, Self)> {
        let first = self.split_point(fraction)?;
        // `new` has made sure that the number of examples is a u32.
        let rows = Generator::new(seed).permutation(self.len() as u32);
        let (first, second) = rows.split_at(first);
        Ok((self.select(first)?, self.select(second)?))
    }

    /// As [`split`](Self::split), but not shuffled: the first part has the first examples.
    ///
    /// # Errors
    ///
    /// Those of [`split`](Self::split).
    pub fn split_in_order(&self, fraction: f64) -> Result<(Self, Self)> {
        let first = self.split_point(fraction)?;
        Ok((self.copy_rows(0, first), self.copy_rows(first, self.len())))
    }

    /// The size of the first part of a split.
    fn split_point(&self, fraction: f64) -> Result<usize> {
        if !(fraction > 0.0 && fraction < 1.0) {
            return Err(Error::Setting {
                name: "fraction".into(),
                expected: "between 0 and 1, both excluded".into(),
                found: fraction.to_string(),
            });
        }
        let first = (self.len() as f64 * fraction).round() as usize;
        if first == 0 {
            return Err(empty("the first part of the split"));
        }
        if first >= self.len() {
            return Err(empty("the second part of the split"));
        }
        Ok(first)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_rows_match, numbered};
    use super::*;
    use ndarray::array;
    use std::collections::BTreeSet;

    #[test]
    fn split_divides_into_disjoint_parts() {
        let data = numbered(10);
        for (fraction, first) in [(0.8, 8), (0.25, 3), (0.24, 2), (0.05, 1)] {
            let (a, b) = data.split(fraction, 7).unwrap();
            assert_eq!((a.len(), b.len()), (first, 10 - first), "{fraction}");
            assert_rows_match(a.x(), a.y());
            assert_rows_match(b.x(), b.y());
            let all: BTreeSet<u32> = a.y().iter().chain(b.y()).copied().collect();
            assert_eq!(all.len(), 10);
        }
        assert_eq!(data.split(0.5, 7).unwrap(), data.split(0.5, 7).unwrap());
        assert_ne!(data.split(0.5, 7).unwrap(), data.split(0.5, 8).unwrap());
    }

    #[test]
    fn split_follows_randperm() {
        // torch.manual_seed(0); torch.randperm(10)
        let (a, b) = numbered(10).split(0.6, 0).unwrap();
        assert_eq!((a.y(), b.y()), (array![4, 1, 7, 5, 3, 9].view(), array![0, 8, 6, 2].view()));
    }

    #[test]
    fn split_in_order_keeps_the_order() {
        let (a, b) = numbered(5).split_in_order(0.6).unwrap();
        assert_eq!((a.y(), b.y()), (array![0, 1, 2].view(), array![3, 4].view()));
        assert_rows_match(b.x(), b.y());
    }

    #[test]
    fn impossible_splits_are_refused() {
        let data = numbered(10);
        for fraction in [0.0, 1.0, -0.1, 1.5, f64::NAN, f64::INFINITY] {
            assert!(matches!(data.split(fraction, 0), Err(Error::Setting { .. })), "{fraction}");
        }
        for fraction in [0.04, 0.96] {
            assert!(matches!(data.split(fraction, 0), Err(Error::Empty { .. })), "{fraction}");
            assert!(matches!(data.split_in_order(fraction), Err(Error::Empty { .. })));
        }
    }
}
