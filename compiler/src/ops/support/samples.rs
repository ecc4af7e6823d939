//! Samples: operands for the tests of operations.

use super::Op;
use crate::shape::Type;

/// A test case: an operation and its operands.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The operation.
    pub op: Op,
    /// Its operands.
    pub operands: Vec<Operand>,
    /// The largest number of terms of a sum in it, which bounds the rounding error.
    pub terms: usize,
}

impl Sample {
    /// A sample without sums.
    pub fn new(op: impl Into<Op>, operands: impl IntoIterator<Item = Operand>) -> Sample {
        Sample { op: op.into(), operands: operands.into_iter().collect(), terms: 1 }
    }

    /// Sets the number of terms of sums.
    pub fn summing(mut self, terms: usize) -> Sample {
        self.terms = terms;
        self
    }
}

/// An operand of a sample.
#[derive(Clone, Debug)]
pub struct Operand {
    /// Its type.
    pub ty: Type,
    /// The domain of its elements.
    pub domain: Domain,
}

impl Operand {
    /// An operand of a type with values from a domain.
    pub fn new(ty: Type, domain: Domain) -> Operand {
        Operand { ty, domain }
    }
}

/// The numbers that an operand is drawn from.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Domain {
    /// Normal with this standard deviation.
    Normal(f32),
    /// Between 0.25 and 1.25.
    Positive,
    /// Between 1.25 and 2.25.
    AboveOne,
    /// Between 0.05 and 0.95.
    Probability,
    /// Normal, but distinct and not near zero, for functions with kinks: multiples of 1/16, shifted
    /// by an odd multiple of 1/32.
    Separated,
    /// Numbers with many ties, infinities and some NaN, for operations that depend on the order of
    /// their elements.
    Tied,
    /// 1 or -1.
    Sign,
    /// Uniform integers below the type's bound.
    Indices,
}
