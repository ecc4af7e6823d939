//! Properties of operations that passes query beside the lowering. Each is a method of
//! [`Operation`](super::Operation) with a conservative default.

/// How a result is linear in its operands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Linearity {
    /// The sum of all operands, each with its sign.
    Sum(&'static [Sign]),
    /// The product of two operands.
    Product,
    /// The first operand divided by the second.
    Quotient,
    /// Not known to be linear.
    Unknown,
}

/// The sign of a summand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sign {
    /// It is added.
    Plus,
    /// It is subtracted.
    Minus,
}

/// How infinities and NaN propagate from operands to result, element by element. The guard of a step
/// uses it to check as few values as possible.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Finiteness {
    /// The result is finite or NaN for all operands.
    pub is_bounded: bool,
    /// Finite operands produce a finite result, except for overflow of a sum or product.
    pub preserves_finite: bool,
    /// Whether a non-finite operand makes the result non-finite.
    pub propagation: Propagation,
    /// The number of leading operands that are only conditions: compared or selecting, but not part of
    /// the result.
    pub conditions: usize,
}

/// Whether a non-finite operand makes the result non-finite.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Propagation {
    /// In every element.
    Always,
    /// In some elements and not in others, depending on the data: in large values, in at least one.
    Sometimes,
    /// Not known.
    Unknown,
}

impl Finiteness {
    /// No property is known.
    pub const UNKNOWN: Finiteness = Finiteness {
        is_bounded: false,
        preserves_finite: false,
        propagation: Propagation::Unknown,
        conditions: 0,
    };
    /// Finite operands produce a finite result.
    pub const PRESERVED: Finiteness = Finiteness { preserves_finite: true, ..Finiteness::UNKNOWN };
    /// The result is finite exactly where the operands are, except for overflow.
    pub const EXACT: Finiteness =
        Finiteness { propagation: Propagation::Always, ..Finiteness::PRESERVED };
    /// The result is finite or NaN.
    pub const BOUNDED: Finiteness = Finiteness { is_bounded: true, ..Finiteness::PRESERVED };

    /// With this number of leading conditions.
    pub const fn with_conditions(self, conditions: usize) -> Finiteness {
        Finiteness { conditions, ..self }
    }
}

/// The order of the elements of a value in memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MemoryOrder {
    /// The batch axis outermost, then the axes of the example, the last one innermost.
    RowMajor,
    /// The batch axis innermost.
    BatchLast,
}
