//! What passes ask of an operation beside its lowering. Each fact is a method of
//! [`Operation`](super::Operation) with a default that is always safe: passes then assume nothing.

/// How a result is linear in its operands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Linearity {
    /// The sum of all operands, each with its sign.
    Sum(&'static [Sign]),
    /// The product of two operands.
    Product,
    /// The first operand divided by the second.
    Quotient,
    /// Otherwise, or not at all.
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

/// What happens to infinities and NaN from operands to result, element by element. The guard of a
/// step looks at as few values as possible; by this it knows at which.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Finiteness {
    /// The result is finite or NaN, whatever the operands are.
    pub is_bounded: bool,
    /// Finite operands give a finite result, but for a sum or product that is too large for a float.
    pub is_kept: bool,
    /// Whether an operand that is not finite shows in the result.
    pub shows: Shows,
    /// How many operands, the first ones, only decide: they are compared, or choose, and are not
    /// themselves in the result.
    pub deciding: usize,
}

/// Whether an operand that is not finite makes a result that is not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shows {
    /// In every element.
    Always,
    /// In some elements, not in others, as if by chance: of many, in one.
    ByChance,
    /// Not for certain.
    Unknown,
}

impl Finiteness {
    /// Nothing is known.
    pub const UNKNOWN: Finiteness =
        Finiteness { is_bounded: false, is_kept: false, shows: Shows::Unknown, deciding: 0 };
    /// Finite operands give a finite result.
    pub const KEPT: Finiteness = Finiteness { is_kept: true, ..Finiteness::UNKNOWN };
    /// The result is finite exactly where the operands are, but for its size.
    pub const EXACT: Finiteness = Finiteness { shows: Shows::Always, ..Finiteness::KEPT };
    /// The result is finite or NaN.
    pub const BOUNDED: Finiteness = Finiteness { is_bounded: true, ..Finiteness::KEPT };

    /// With this number of operands that only decide.
    pub const fn deciding(self, operands: usize) -> Finiteness {
        Finiteness { deciding: operands, ..self }
    }
}

/// The order in which the elements of a value lie in memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MemoryOrder {
    /// The batch first, then the axes of the example; the last axis is innermost.
    RowMajor,
    /// The examples of a batch next to each other, for each element.
    BatchLast,
}
