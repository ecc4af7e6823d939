//! How the loss, or a metric, of many examples follows from what batches of them give.
//!
//! A batch's own loss and metrics are single numbers, but numbers of several batches do not make one
//! by a mean: where targets have weights, a batch with few of them would count as much as one with
//! many. So each [`Term`] of the loss gives numbers that add up over batches, as roots of the graph:
//! [`Root::Sum`](crate::graph::Root::Sum), and where targets have weights
//! [`Root::Weight`](crate::graph::Root::Weight). Purposes that evaluate have these roots of the loss
//! and of all metrics; those that train have them of a loss that [weighs](Measure::weighs), as the
//! others' sums follow from the batch's loss.

use crate::graph::Quantity;
use crate::shape::Shape;

/// The loss or a metric: the sum of its terms.
#[derive(Clone, PartialEq, Debug)]
pub struct Measure {
    /// Whose terms these are.
    pub quantity: Quantity,
    /// At least one.
    pub terms: Vec<Term>,
}

/// One of the values that are added up to a loss or a metric, with its factor.
#[derive(Clone, PartialEq, Debug)]
pub enum Term {
    /// The mean goes by weights: the sum over all batches divided by the weight of all. A batch gives
    /// two numbers, its sum and its weight.
    Weighted,
    /// The mean of all elements of a value of this shape: the sum over all batches divided by the
    /// number of elements. A batch gives its sum.
    Mean(Shape),
    /// The sum over all batches. A batch gives its sum.
    Total,
}

impl Measure {
    /// Whether one of the means goes by weights.
    pub fn weighs(&self) -> bool {
        self.terms.contains(&Term::Weighted)
    }
}
