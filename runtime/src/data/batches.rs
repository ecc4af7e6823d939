//! Batches: an iterator over one epoch of a data set.
//!
//! Takes a data set and a batch size; yields [`Batch`]es that cover every example once, in order or
//! shuffled. Guaranteed: batches in order borrow the data set, shuffled ones are copies, and the
//! iterator has an exact length.

use super::{Dataset, ShuffledOrder, gather, rows_of};
use crate::{Error, Result};
use ndarray::{ArrayView, Axis, CowArray, Dimension, RemoveAxis};
use std::iter::FusedIterator;

/// The batches of one epoch, made by [`Dataset::batches`].
///
/// By default in order, with a last batch that may have fewer examples.
#[derive(Clone, Debug)]
pub struct Batches<'a, A, DX: Dimension, B, DY: Dimension> {
    data: &'a Dataset<A, DX, B, DY>,
    batch_size: usize,
    drop_last: bool,
    /// The order of the examples; `None`: that of the data set.
    order: Option<Vec<u32>>,
    /// The number of examples in the batches so far.
    done: usize,
}

impl<'a, A: Copy, DX: RemoveAxis, B: Copy, DY: RemoveAxis> Batches<'a, A, DX, B, DY> {
    pub(super) fn new(data: &'a Dataset<A, DX, B, DY>, batch_size: usize) -> Result<Self> {
        if batch_size == 0 {
            return Err(Error::InvalidArgument {
                name: "batch_size".into(),
                expected: "at least 1".into(),
                found: "0".into(),
            });
        }
        Ok(Self { data, batch_size, drop_last: false, order: None, done: 0 })
    }

    /// In the order of PyTorch's `DataLoader(..., shuffle=True)`, first epoch after
    /// `torch.manual_seed(seed)`. Starts from the beginning, even after some batches.
    ///
    /// The same seed gives the same order: use [`shuffle_with`](Self::shuffle_with) for several
    /// epochs.
    #[must_use]
    pub fn shuffle(self, seed: u64) -> Self {
        self.shuffle_with(&mut ShuffledOrder::new(seed))
    }

    /// In the next order of `order`, so that each epoch has another one. Starts from the beginning,
    /// even after some batches.
    #[must_use]
    pub fn shuffle_with(mut self, order: &mut ShuffledOrder) -> Self {
        // A data set has at most u32::MAX examples.
        self.order = Some(order.next_epoch(self.data.len() as u32));
        self.done = 0;
        self
    }

    /// Whether to leave out the last batch if it has fewer than `batch_size` examples; default
    /// `false`.
    #[must_use]
    pub fn drop_last(mut self, drop_last: bool) -> Self {
        self.drop_last = drop_last;
        self
    }
}

impl<'a, A: Copy, DX: RemoveAxis, B: Copy, DY: RemoveAxis> Iterator for Batches<'a, A, DX, B, DY> {
    type Item = Batch<'a, A, DX, B, DY>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.len() == 0 {
            return None;
        }
        let start = self.done;
        let end = start.saturating_add(self.batch_size).min(self.data.len());
        self.done = end;
        let Dataset { x, y } = self.data;
        Some(match &self.order {
            None => Batch { x: rows_of(x, start, end).into(), y: rows_of(y, start, end).into() },
            Some(order) => {
                let rows = &order[start..end];
                Batch { x: gather(x, rows).into(), y: gather(y, rows).into() }
            }
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let remaining = self.data.len() - self.done;
        let batches = if self.drop_last {
            remaining / self.batch_size
        } else {
            remaining.div_ceil(self.batch_size)
        };
        (batches, Some(batches))
    }
}

impl<A: Copy, DX: RemoveAxis, B: Copy, DY: RemoveAxis> ExactSizeIterator
    for Batches<'_, A, DX, B, DY>
{
}

impl<A: Copy, DX: RemoveAxis, B: Copy, DY: RemoveAxis> FusedIterator for Batches<'_, A, DX, B, DY> {}

/// A batch of at least one example of a data set: borrowed if contiguous, otherwise copied.
#[derive(Clone, Debug)]
pub struct Batch<'a, A, DX: Dimension, B, DY: Dimension> {
    x: CowArray<'a, A, DX>,
    y: CowArray<'a, B, DY>,
}

impl<A, DX: RemoveAxis, B, DY: RemoveAxis> Batch<'_, A, DX, B, DY> {
    /// The examples, `[examples, ...]`, in row-major order.
    pub fn x(&self) -> ArrayView<'_, A, DX> {
        self.x.view()
    }

    /// Their targets, `[examples, ...]`, in row-major order.
    pub fn y(&self) -> ArrayView<'_, B, DY> {
        self.y.view()
    }

    /// The number of examples, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a batch is never empty")]
    pub fn len(&self) -> usize {
        self.x.len_of(Axis(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array1, Array2, Ix1, Ix2};

    type Numbered = crate::data::Classification;

    fn numbered(n: usize) -> Numbered {
        let x = Array2::from_shape_fn((n, 3), |(i, _)| i as f32);
        Dataset::new(x, Array1::from_iter(0..n as u32)).unwrap()
    }

    /// The labels of all batches, checked to match their examples.
    fn labels(batches: Batches<f32, Ix2, u32, Ix1>) -> Vec<u32> {
        let mut labels = Vec::new();
        for batch in batches {
            assert!(batch.x().rows().into_iter().zip(batch.y()).all(|(x, &y)| x[2] == y as f32));
            assert!(batch.x().is_standard_layout());
            labels.extend(batch.y());
        }
        labels
    }

    #[test]
    fn the_last_batch_may_be_short_or_left_out() {
        let data = numbered(10);
        let sizes = |batches: Batches<f32, Ix2, u32, Ix1>| -> Vec<usize> {
            let announced = batches.len();
            let sizes: Vec<usize> = batches.map(|batch| batch.len()).collect();
            assert_eq!(sizes.len(), announced);
            sizes
        };
        assert_eq!(sizes(data.batches(4).unwrap()), [4, 4, 2]);
        assert_eq!(sizes(data.batches(4).unwrap().drop_last(true)), [4, 4]);
        assert_eq!(sizes(data.batches(4).unwrap().shuffle(1)), [4, 4, 2]);
        assert_eq!(sizes(data.batches(5).unwrap().drop_last(true)), [5, 5]);
        assert_eq!(sizes(data.batches(usize::MAX).unwrap()), [10]);
        assert_eq!(sizes(data.batches(11).unwrap().drop_last(true)), [0; 0]);
    }

    #[test]
    fn a_batch_size_of_0_is_refused() {
        assert!(matches!(numbered(3).batches(0), Err(Error::InvalidArgument { .. })));
    }

    #[test]
    fn batches_in_order_borrow() {
        let data = numbered(10);
        for (i, batch) in data.batches(3).unwrap().enumerate() {
            assert!(batch.x.is_view() && batch.y.is_view());
            assert_eq!(batch.x().as_ptr(), data.x().row(3 * i).as_ptr());
        }
        assert!(labels(data.batches(3).unwrap()).into_iter().eq(0..10));
    }

    #[test]
    fn a_shuffled_epoch_has_every_example_once() {
        let data = numbered(101);
        let mut seen = labels(data.batches(16).unwrap().shuffle(5));
        assert!(!seen.is_sorted());
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..101));
    }

    #[test]
    fn the_seed_determines_the_order() {
        let data = numbered(50);
        let order = |seed| labels(data.batches(8).unwrap().shuffle(seed));
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
    }

    #[test]
    fn epochs_of_one_order_differ() {
        let data = numbered(50);
        let mut order = ShuffledOrder::new(1);
        let mut epoch = || labels(data.batches(8).unwrap().shuffle_with(&mut order));
        let (first, second) = (epoch(), epoch());
        assert_eq!(first, labels(data.batches(50).unwrap().shuffle(1)));
        assert_ne!(first, second);
    }

    #[test]
    fn shuffling_starts_over() {
        let data = numbered(10);
        let mut batches = data.batches(4).unwrap();
        batches.next();
        assert_eq!(labels(batches.shuffle(0)).len(), 10);
    }
}
