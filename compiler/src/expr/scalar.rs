//! Scalar operations: the arithmetic of one lane that every emitter must implement, with its
//! exact semantics in [`Scalar::evaluate`].

/// The type of a lane. All are 32 bits wide.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LaneType {
    /// A float.
    Float,
    /// A signed integer, wrapping.
    Int,
    /// True or false.
    Mask,
}

/// How the elements of a reduction are combined.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reduction {
    /// Their sum.
    Sum,
    /// The largest of them.
    Max,
}

/// One operation on lanes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Scalar {
    /// `a + b`
    Add,
    /// `a - b`
    Sub,
    /// `a · b`
    Mul,
    /// `a / b`
    Div,
    /// `a > b ? a : b`: where one of them is NaN, `b`.
    Max,
    /// `a < b ? a : b`: where one of them is NaN, `b`.
    Min,
    /// `-a`
    Neg,
    /// `|a|`
    Abs,
    /// `√a`, correctly rounded.
    Sqrt,
    /// `a · b + c`, rounded once.
    MulAdd,
    /// `a > b`; false with NaN.
    Greater,
    /// `a ≥ b`; false with NaN.
    GreaterEqual,
    /// `a = b`; false with NaN.
    Equal,
    /// `mask ? a : b`, on floats.
    Select,
    /// `a + b` on integers.
    IntAdd,
    /// `a - b` on integers.
    IntSub,
    /// `a = b` on integers.
    IntEqual,
    /// `a > b` on integers.
    IntGreater,
    /// `a & b`, bit by bit.
    And,
    /// `a | b`, bit by bit.
    Or,
    /// `a ^ b`, bit by bit.
    Xor,
    /// `a << n`
    ShiftLeft(u8),
    /// `a >> n`, keeping the sign.
    ShiftRight(u8),
    /// `a >> n`, unsigned: zeros are shifted in.
    ShiftBitsRight(u8),
    /// The nearest float.
    ToFloat,
    /// A float's bits.
    ToBits,
    /// The float with these bits.
    FromBits,
}

impl Scalar {
    /// The types of its operands.
    pub fn operands(self) -> &'static [LaneType] {
        use LaneType::*;
        match self {
            Scalar::Add | Scalar::Sub | Scalar::Mul | Scalar::Div | Scalar::Max | Scalar::Min => {
                &[Float, Float]
            }
            Scalar::Greater | Scalar::GreaterEqual | Scalar::Equal => &[Float, Float],
            Scalar::Neg | Scalar::Abs | Scalar::Sqrt | Scalar::ToBits => &[Float],
            Scalar::MulAdd => &[Float, Float, Float],
            Scalar::Select => &[Mask, Float, Float],
            Scalar::IntAdd
            | Scalar::IntSub
            | Scalar::IntEqual
            | Scalar::IntGreater
            | Scalar::And
            | Scalar::Or
            | Scalar::Xor => &[Int, Int],
            Scalar::ShiftLeft(_)
            | Scalar::ShiftRight(_)
            | Scalar::ShiftBitsRight(_)
            | Scalar::ToFloat
            | Scalar::FromBits => &[Int],
        }
    }

    /// The type of its result.
    pub fn result(self) -> LaneType {
        match self {
            Scalar::Greater
            | Scalar::GreaterEqual
            | Scalar::Equal
            | Scalar::IntEqual
            | Scalar::IntGreater => LaneType::Mask,
            Scalar::IntAdd
            | Scalar::IntSub
            | Scalar::And
            | Scalar::Or
            | Scalar::Xor
            | Scalar::ShiftLeft(_)
            | Scalar::ShiftRight(_)
            | Scalar::ShiftBitsRight(_)
            | Scalar::ToBits => LaneType::Int,
            _ => LaneType::Float,
        }
    }

    /// The result's bits from the operands' bits; a mask is 0 or !0.
    pub fn evaluate(self, x: &[u32]) -> u32 {
        let f = |i: usize| f32::from_bits(x[i]);
        let n = |i: usize| x[i] as i32;
        let mask = |b: bool| if b { !0 } else { 0 };
        let float = f32::to_bits;
        match self {
            Scalar::Add => float(f(0) + f(1)),
            Scalar::Sub => float(f(0) - f(1)),
            Scalar::Mul => float(f(0) * f(1)),
            Scalar::Div => float(f(0) / f(1)),
            Scalar::Max => float(if f(0) > f(1) { f(0) } else { f(1) }),
            Scalar::Min => float(if f(0) < f(1) { f(0) } else { f(1) }),
            Scalar::Neg => x[0] ^ 0x8000_0000,
            Scalar::Abs => x[0] & 0x7FFF_FFFF,
            Scalar::Sqrt => float(f(0).sqrt()),
            Scalar::MulAdd => float(f(0).mul_add(f(1), f(2))),
            Scalar::Greater => mask(f(0) > f(1)),
            Scalar::GreaterEqual => mask(f(0) >= f(1)),
            Scalar::Equal => mask(f(0) == f(1)),
            Scalar::Select => {
                if x[0] != 0 {
                    x[1]
                } else {
                    x[2]
                }
            }
            Scalar::IntAdd => x[0].wrapping_add(x[1]),
            Scalar::IntSub => x[0].wrapping_sub(x[1]),
            Scalar::IntEqual => mask(x[0] == x[1]),
            Scalar::IntGreater => mask(n(0) > n(1)),
            Scalar::And => x[0] & x[1],
            Scalar::Or => x[0] | x[1],
            Scalar::Xor => x[0] ^ x[1],
            Scalar::ShiftLeft(by) => x[0] << by,
            Scalar::ShiftRight(by) => (n(0) >> by) as u32,
            Scalar::ShiftBitsRight(by) => x[0] >> by,
            Scalar::ToFloat => float(n(0) as f32),
            Scalar::ToBits | Scalar::FromBits => x[0],
        }
    }
}
