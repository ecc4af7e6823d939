//! What operations are tried on.

use super::Op;
use crate::shape::Type;

/// An operation with operands to try it on.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The operation.
    pub op: Op,
    /// Its operands.
    pub operands: Vec<Operand>,
    /// The number of terms that a sum inside has at most: rounding grows with it.
    pub terms: usize,
}

impl Sample {
    /// An operation on reals and integers.
    pub fn new(op: impl Into<Op>, operands: impl IntoIterator<Item = Operand>) -> Sample {
        Sample { op: op.into(), operands: operands.into_iter().collect(), terms: 1 }
    }

    /// Says that sums inside have up to `terms` terms.
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
    /// Where its numbers come from.
    pub domain: Domain,
}

impl Operand {
    /// An operand of a type with values from a domain.
    pub fn new(ty: Type, domain: Domain) -> Operand {
        Operand { ty, domain }
    }
}

/// The numbers that a function is meant for.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Domain {
    /// Normal with this standard deviation.
    Normal(f32),
    /// Between 0.25 and 1.25.
    Positive,
    /// Between 0.05 and 0.95.
    Probability,
    /// Normal, but no two alike and none near zero, for functions with kinks:
    /// multiples of 1/16, all shifted by some 1/32.
    Apart,
    /// A few numbers, of which many are equal, infinities and now and then NaN: for functions of the
    /// order of their operands.
    Tied,
    /// 1 or -1.
    Sign,
    /// Uniform integers below the type's bound.
    Indices,
}
