//! Splits of a data set: training, validation and test sets.
//!
//! Takes fractions and, to shuffle, a seed; returns data sets that own their examples. Guaranteed:
//! no split is empty, they have no example in common, and together they have all.

use super::{Dataset, empty, gather};
use crate::rng::Generator;
use crate::{Error, Result};
use ndarray::{Ix1, RemoveAxis};
use std::collections::BTreeMap;

impl<A: Copy, DX: RemoveAxis, B: Copy, DY: RemoveAxis> Dataset<A, DX, B, DY> {
    /// Two disjoint data sets, which together are this one: the first has
    /// `fraction` of the examples, rounded to the nearest integer (a half away from zero).
    ///
    /// The examples are shuffled first: the first split is
    /// `torch.randperm(len)[:first]` after `torch.manual_seed(seed)`, the second the remainder of
    /// that permutation, both in its order.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if `fraction` is not between 0 and 1, both excluded;
    /// [`Error::Empty`] if a split would have no examples.
    pub fn split(&self, fraction: f64, seed: u64) -> Result<(Self, Self)> {
        let first = self.split_point(fraction)?;
        self.check_memory(self.len())?;
        // `new` has checked that the number of examples fits into a u32.
        let rows = Generator::new(seed).permutation(self.len() as u32);
        let (first, second) = rows.split_at(first);
        Ok((self.select(first)?, self.select(second)?))
    }

    /// As [`split`](Self::split), but not shuffled: the first split has the first examples.
    ///
    /// # Errors
    ///
    /// Those of [`split`](Self::split).
    pub fn split_in_order(&self, fraction: f64) -> Result<(Self, Self)> {
        let first = self.split_point(fraction)?;
        Ok((self.copy_rows(0, first)?, self.copy_rows(first, self.len())?))
    }

    /// A data set for each of `fractions`; they are disjoint, and together they are this one: for
    /// training, validation and test, for example.
    ///
    /// The splits are those of `torch.utils.data.random_split(data, fractions)` after
    /// `torch.manual_seed(seed)`: sizes are rounded down, and the remaining examples are added to
    /// the splits from the first on, one each.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if a fraction is not between 0 and 1, or they do not add up to 1;
    /// [`Error::Empty`] if a split would have no examples.
    ///
    /// ```
    /// let digits = bilro::data::digits()?;
    /// let [train, validation, test] = digits.random_split([0.7, 0.15, 0.15], 7)?;
    /// assert_eq!((train.len(), validation.len(), test.len()), (1258, 270, 269));
    /// # Ok::<(), bilro::Error>(())
    /// ```
    pub fn random_split<const N: usize>(
        &self,
        fractions: [f64; N],
        seed: u64,
    ) -> Result<[Self; N]> {
        let sizes = self.sizes(fractions)?;
        self.check_memory(self.len())?;
        let rows = Generator::new(seed).permutation(self.len() as u32);
        let mut remaining = &rows[..];
        Ok(sizes.map(|size| {
            let (split, tail) = remaining.split_at(size);
            remaining = tail;
            // `sizes` guarantees that the split is not empty and within the examples.
            Self { x: gather(&self.x, split), y: gather(&self.y, split) }
        }))
    }

    /// The sizes of [`random_split`](Self::random_split)'s splits: none is 0, and they add up to
    /// the number of examples.
    fn sizes<const N: usize>(&self, fractions: [f64; N]) -> Result<[usize; N]> {
        let sum: f64 = fractions.iter().sum();
        // With PyTorch's tolerance: math.isclose(sum(lengths), 1).
        let is_one = (sum - 1.0).abs() <= 1e-9 * sum.abs().max(1.0);
        if !is_one || fractions.iter().any(|fraction| !(0.0..=1.0).contains(fraction)) {
            return Err(Error::InvalidArgument {
                name: "fractions".into(),
                expected: "between 0 and 1, with a sum of 1".into(),
                found: format!("{fractions:?}, with a sum of {sum}"),
            });
        }
        let mut sizes = fractions.map(|fraction| (self.len() as f64 * fraction).floor() as usize);
        // Less than one example is missing per split, up to rounding of the sum.
        let assigned: usize = sizes.iter().sum();
        for i in 0..self.len().saturating_sub(assigned) {
            sizes[i % N] += 1;
        }
        match sizes.iter().position(|&size| size == 0) {
            Some(i) => Err(empty(&format!("split {i} (counted from 0)"))),
            None => Ok(sizes),
        }
    }

    /// The size of the first of two splits.
    fn split_point(&self, fraction: f64) -> Result<usize> {
        check_fraction(fraction)?;
        let first = (self.len() as f64 * fraction).round() as usize;
        if first == 0 {
            return Err(empty("the first split"));
        }
        if first >= self.len() {
            return Err(empty("the second split"));
        }
        Ok(first)
    }
}

impl<A: Copy, DX: RemoveAxis> Dataset<A, DX, u32, Ix1> {
    /// As [`split`](Self::split), but for each class separately: the first split has `fraction` of
    /// each class's examples, rounded to the nearest integer, at least one and not all. So both
    /// splits have the classes in the same proportions.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if `fraction` is not between 0 and 1, both excluded;
    /// [`Error::Empty`] if a class has only one example, which cannot be in both splits.
    ///
    /// ```
    /// let (train, test) = bilro::data::digits()?.split_stratified(0.8, 7)?;
    /// assert_eq!(test.y().iter().filter(|&&digit| digit == 8).count(), 35); // of 174
    /// # Ok::<(), bilro::Error>(())
    /// ```
    pub fn split_stratified(&self, fraction: f64, seed: u64) -> Result<(Self, Self)> {
        check_fraction(fraction)?;
        self.check_memory(self.len())?;
        let mut quotas: BTreeMap<u32, usize> = BTreeMap::new();
        for &class in &self.y {
            *quotas.entry(class).or_default() += 1;
        }
        // From the number of examples of each class to the number that the first split still takes.
        for (class, count) in &mut quotas {
            if *count < 2 {
                return Err(empty(&format!("the second split, for class {class},")));
            }
            *count = ((*count as f64 * fraction).round() as usize).clamp(1, *count - 1);
        }
        let rows = Generator::new(seed).permutation(self.len() as u32);
        let (first, second): (Vec<u32>, Vec<u32>) =
            rows.into_iter().partition(|&row| match quotas.get_mut(&self.y[row as usize]) {
                Some(quota) if *quota > 0 => {
                    *quota -= 1;
                    true
                }
                _ => false,
            });
        Ok((self.select(&first)?, self.select(&second)?))
    }
}

fn check_fraction(fraction: f64) -> Result<()> {
    if fraction > 0.0 && fraction < 1.0 {
        return Ok(());
    }
    Err(Error::InvalidArgument {
        name: "fraction".into(),
        expected: "between 0 and 1, both excluded".into(),
        found: fraction.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_rows_match, numbered};
    use super::*;
    use ndarray::array;
    use std::collections::BTreeSet;

    #[test]
    fn splits_are_disjoint_and_complete() {
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
    fn invalid_fractions_are_refused() {
        let data = numbered(10);
        for fraction in [0.0, 1.0, -0.1, 1.5, f64::NAN, f64::INFINITY] {
            assert!(
                matches!(data.split(fraction, 0), Err(Error::InvalidArgument { .. })),
                "{fraction}"
            );
        }
        for fraction in [0.04, 0.96] {
            assert!(matches!(data.split(fraction, 0), Err(Error::Empty { .. })), "{fraction}");
            assert!(matches!(data.split_in_order(fraction), Err(Error::Empty { .. })));
        }
    }

    #[test]
    fn random_split_follows_pytorch() {
        // torch.manual_seed(0); random_split(range(10), [0.5, 0.25, 0.25])
        let [a, b, c] = numbered(10).random_split([0.5, 0.25, 0.25], 0).unwrap();
        assert_eq!((a.y(), b.y()), (array![4, 1, 7, 5, 3, 9].view(), array![0, 8].view()));
        assert_eq!(c.y(), array![6, 2]);
        assert_rows_match(b.x(), b.y());
        // 0.1 + 0.2 + 0.7 is not 1 in binary, but close enough.
        assert!(numbered(10).random_split([0.1, 0.2, 0.7], 0).is_ok());
    }

    #[test]
    fn invalid_fractions_of_random_splits_are_refused() {
        let data = numbered(10);
        for fractions in [[0.5, 0.4], [0.6, 0.5], [1.5, -0.5], [f64::NAN, 0.5]] {
            let result = data.random_split(fractions, 0);
            assert!(matches!(result, Err(Error::InvalidArgument { .. })), "{fractions:?}");
        }
        assert!(matches!(data.random_split([], 0), Err(Error::InvalidArgument { .. })));
        let error = data.random_split([1.0, 0.0], 0).unwrap_err().to_string();
        assert!(error.starts_with("split 1 (counted from 0) has no examples"), "{error}");
        let three = numbered(2).random_split([0.4, 0.3, 0.3], 0).unwrap_err();
        assert!(matches!(three, Error::Empty { .. }), "{three}");
    }

    #[test]
    fn a_stratified_split_has_every_class_in_both() {
        // 2 of class 0, 10 of class 1, 37 of class 2.
        let labels = (0..49).map(|i| if i < 2 { 0 } else { 1 + u32::from(i >= 12) });
        let data = numbered(49).map_y(|_| labels.collect()).unwrap();
        for (fraction, expected) in [(0.8, [1, 8, 30]), (0.3, [1, 3, 11]), (0.01, [1, 1, 1])] {
            let (a, b) = data.split_stratified(fraction, 7).unwrap();
            let count = |y: ndarray::ArrayView1<'_, u32>| {
                [0, 1, 2].map(|class| y.iter().filter(|&&y| y == class).count())
            };
            assert_eq!(count(a.y()), expected, "{fraction}");
            let all = [2, 10, 37];
            assert_eq!(count(b.y()), std::array::from_fn(|i| all[i] - expected[i]));
            let rows: BTreeSet<u32> =
                a.x().column(0).iter().chain(b.x().column(0)).map(|&x| x as u32).collect();
            assert_eq!(rows.len(), 49, "no row is in both");
        }
        let (a, _) = data.split_stratified(0.8, 7).unwrap();
        assert!(!a.y().iter().is_sorted());
        assert_ne!(a, data.split_stratified(0.8, 8).unwrap().0);
    }

    #[test]
    fn invalid_stratified_splits_are_refused() {
        let error = numbered(2).split_stratified(0.5, 0).unwrap_err().to_string();
        assert!(error.contains("class 0"), "{error}");
        assert!(matches!(numbered(4).split_stratified(1.0, 0), Err(Error::InvalidArgument { .. })));
    }
}
