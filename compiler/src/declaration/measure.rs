//! Aggregation of the loss and of metrics over several batches.
//!
//! The mean over a data set is not the mean of the batches' means: batches differ in size and in the
//! weights of their targets. So each [`Term`] has sums that are additive over batches, as roots of the
//! graph: [`Root::Sum`](crate::graph::Root::Sum), and for weighted targets
//! [`Root::Weight`](crate::graph::Root::Weight). Purposes that evaluate have these roots for the loss
//! and all metrics; purposes that train have them for a [weighted](Measure::weighs) loss only, as other
//! sums follow from the loss of the batch.

use crate::graph::Quantity;
use crate::shape::Shape;

/// The loss or a metric: the sum of its terms.
#[derive(Clone, PartialEq, Debug)]
pub struct Measure {
    /// The loss or a metric.
    pub quantity: Quantity,
    /// Its terms, at least one.
    pub terms: Vec<Term>,
}

/// A term of a loss or a metric: a value times a factor.
#[derive(Clone, PartialEq, Debug)]
pub enum Term {
    /// A weighted mean: the sum over all batches divided by their total weight. A batch has two numbers,
    /// its sum and its weight.
    Weighted,
    /// The mean of all elements of a value of this shape: the sum over all batches divided by the number
    /// of elements. A batch has its sum.
    Mean(Shape),
    /// The sum over all batches. A batch has its sum.
    Total,
}

impl Measure {
    /// Whether it has a weighted mean.
    pub fn weighs(&self) -> bool {
        self.terms.contains(&Term::Weighted)
    }
}
