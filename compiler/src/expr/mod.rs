//! Formulas of kernels: the computation for one element, as a graph of scalar
//! operations over the kernel's loads.
//!
//! Equal formulas are one node (hash-consing), so that subexpressions that two results share are
//! computed once.

mod functions;
mod inverses;
mod roundings;
pub mod scalar;

use rustc_hash::FxHashMap;

use scalar::{LaneType, Scalar};

/// The number of a formula in its [`Expressions`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Expr(pub u32);

/// The root of a formula: a leaf, or an operation on other formulas.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Term {
    /// The float with these bits.
    Float(u32),
    /// An integer.
    Int(i32),
    /// The element of one of the kernel's loads.
    Load(usize, LaneType),
    /// The index of the element on the kernel's vector axis. Operations use it before the
    /// kernel's axes are known; [`Term::Iota`] counts by strides of a kernel.
    Position,
    /// The number of the element in a value: the sum of the kernel's indices times strides, by
    /// its index in [`Kernel::iotas`](crate::kernel::Kernel::iotas).
    Iota(usize),
    /// The result of one of the kernel's reductions, or of its sum of products.
    Reduced(usize),
    /// An operation.
    Apply(Scalar, Vec<Expr>),
}

/// The formulas of a kernel, each once.
#[derive(Clone, Default, Debug)]
pub struct Expressions {
    terms: Vec<Term>,
    known: FxHashMap<Term, Expr>,
    /// The constant that [`Expressions::position`] returns, where the position is known.
    position: Option<i32>,
}

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident($($x:ident),+) => $scalar:expr;)*) => {
        $($(#[$doc])* pub fn $name(&mut self, $($x: Expr),+) -> Expr {
            self.apply($scalar, &[$($x),+])
        })*
    };
}

impl Expressions {
    /// The number of formulas.
    pub fn len(&self) -> usize {
        self.terms.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// A formula's root.
    pub fn term(&self, e: Expr) -> &Term {
        &self.terms[e.0 as usize]
    }

    /// All formulas, operands first.
    pub fn iter(&self) -> impl Iterator<Item = (Expr, &Term)> {
        self.terms.iter().enumerate().map(|(i, t)| (Expr(i as u32), t))
    }

    /// The type of a formula's value.
    pub fn lane_type(&self, e: Expr) -> LaneType {
        match self.term(e) {
            Term::Float(_) | Term::Reduced(_) => LaneType::Float,
            Term::Int(_) | Term::Position | Term::Iota(_) => LaneType::Int,
            Term::Load(_, kind) => *kind,
            Term::Apply(scalar, _) => scalar.result(),
        }
    }

    /// Adds a formula, or returns the equal one.
    pub fn push(&mut self, term: Term) -> Expr {
        let next = Expr(self.terms.len() as u32);
        let e = *self.known.entry(term.clone()).or_insert(next);
        if e == next {
            self.terms.push(term);
        }
        e
    }

    /// A float.
    pub fn float(&mut self, x: f32) -> Expr {
        self.push(Term::Float(x.to_bits()))
    }

    /// An integer.
    pub fn int(&mut self, x: i32) -> Expr {
        self.push(Term::Int(x))
    }

    /// The index of the element on the last axis.
    pub fn position(&mut self) -> Expr {
        match self.position {
            Some(position) => self.int(position),
            None => self.push(Term::Position),
        }
    }

    /// Runs `build` with [`Expressions::position`] set to a constant: all elements have this
    /// index on the last axis.
    pub fn at_position<T>(&mut self, position: i32, build: impl FnOnce(&mut Self) -> T) -> T {
        let outer = self.position.replace(position);
        let built = build(self);
        self.position = outer;
        built
    }

    /// An operation, evaluated at once if all operands are constants.
    pub fn apply(&mut self, scalar: Scalar, x: &[Expr]) -> Expr {
        debug_assert!(
            x.iter().map(|x| self.lane_type(*x)).eq(scalar.operands().iter().copied()),
            "{scalar:?} on operands of other types"
        );
        let constants: Option<Vec<u32>> = x.iter().map(|x| self.constant(*x)).collect();
        if let Some(bits) = constants {
            match scalar.result() {
                LaneType::Float => return self.push(Term::Float(scalar.evaluate(&bits))),
                LaneType::Int => return self.push(Term::Int(scalar.evaluate(&bits) as i32)),
                LaneType::Mask => {}
            }
        }
        self.push(Term::Apply(scalar, x.to_vec()))
    }

    fn constant(&self, e: Expr) -> Option<u32> {
        match self.term(e) {
            Term::Float(bits) => Some(*bits),
            Term::Int(n) => Some(*n as u32),
            _ => None,
        }
    }

    operations! {
        /// `a + b`
        add(a, b) => Scalar::Add;
        /// `a - b`
        sub(a, b) => Scalar::Sub;
        /// `a · b`
        mul(a, b) => Scalar::Mul;
        /// `a / b`
        div(a, b) => Scalar::Div;
        /// See [`Scalar::Max`].
        max(a, b) => Scalar::Max;
        /// See [`Scalar::Min`].
        min(a, b) => Scalar::Min;
        /// `-a`
        neg(a) => Scalar::Neg;
        /// `|a|`
        abs(a) => Scalar::Abs;
        /// `√a`
        sqrt(a) => Scalar::Sqrt;
        /// `a · b + c`, rounded once.
        mul_add(a, b, c) => Scalar::MulAdd;
        /// `a > b`
        greater(a, b) => Scalar::Greater;
        /// `a ≥ b`
        greater_equal(a, b) => Scalar::GreaterEqual;
        /// `a = b`
        equal(a, b) => Scalar::Equal;
        /// `mask ? a : b`
        select(mask, a, b) => Scalar::Select;
        /// `a + b` on integers.
        int_add(a, b) => Scalar::IntAdd;
        /// `a - b` on integers.
        int_sub(a, b) => Scalar::IntSub;
        /// `a = b` on integers.
        int_equal(a, b) => Scalar::IntEqual;
        /// `a > b` on integers.
        int_greater(a, b) => Scalar::IntGreater;
        /// `a & b`, bit by bit.
        and(a, b) => Scalar::And;
        /// `a | b`, bit by bit.
        or(a, b) => Scalar::Or;
        /// `a ^ b`, bit by bit.
        xor(a, b) => Scalar::Xor;
        /// The nearest float.
        to_float(a) => Scalar::ToFloat;
        /// A float's bits.
        to_bits(a) => Scalar::ToBits;
        /// The float with these bits.
        from_bits(a) => Scalar::FromBits;
    }

    /// `a << by`
    pub fn shift_left(&mut self, a: Expr, by: u8) -> Expr {
        self.apply(Scalar::ShiftLeft(by), &[a])
    }

    /// `a >> by`, keeping the sign.
    pub fn shift_right(&mut self, a: Expr, by: u8) -> Expr {
        self.apply(Scalar::ShiftRight(by), &[a])
    }

    /// `a >> by`, unsigned: zeros are shifted in.
    pub fn shift_bits_right(&mut self, a: Expr, by: u8) -> Expr {
        self.apply(Scalar::ShiftBitsRight(by), &[a])
    }

    /// The bits rotated to the left.
    pub fn rotate_left(&mut self, a: Expr, by: u8) -> Expr {
        let (left, right) = (self.shift_left(a, by), self.shift_bits_right(a, 32 - by));
        self.or(left, right)
    }

    /// 1 where the mask is true, else 0.
    pub fn indicator(&mut self, mask: Expr) -> Expr {
        let (one, zero) = (self.float(1.0), self.float(0.0));
        self.select(mask, one, zero)
    }

    /// The mask of an [`Self::indicator`]; of any other formula, whether it is greater than zero.
    pub fn is_set(&mut self, indicator: Expr) -> Expr {
        let (one, zero) = (self.float(1.0), self.float(0.0));
        match self.term(indicator) {
            Term::Apply(Scalar::Select, x) if x[1] == one && x[2] == zero => x[0],
            _ => self.greater(indicator, zero),
        }
    }

    /// `a` where a condition is not 0, else `b`; by the mask of an [`Self::indicator`].
    pub fn choose(&mut self, condition: Expr, a: Expr, b: Expr) -> Expr {
        let (one, zero) = (self.float(1.0), self.float(0.0));
        let by_mask = match self.term(condition) {
            Term::Apply(Scalar::Select, x) => Some((x[0], [x[1], x[2]])),
            _ => None,
        };
        match by_mask {
            Some((mask, sides)) if sides == [one, zero] => self.select(mask, a, b),
            Some((mask, sides)) if sides == [zero, one] => self.select(mask, b, a),
            _ => {
                let is_false = self.equal(condition, zero);
                self.select(is_false, b, a)
            }
        }
    }

    /// 1 where a condition is not 0, else 0.
    pub fn truth(&mut self, condition: Expr) -> Expr {
        let (one, zero) = (self.float(1.0), self.float(0.0));
        self.choose(condition, one, zero)
    }

    /// 0 where a condition is not 0, else 1.
    pub fn not(&mut self, condition: Expr) -> Expr {
        let (one, zero) = (self.float(1.0), self.float(0.0));
        self.choose(condition, zero, one)
    }

    /// `x` where it is NaN, else `otherwise`.
    pub fn keep_nan(&mut self, x: Expr, otherwise: Expr) -> Expr {
        let is_number = self.equal(x, x);
        self.select(is_number, otherwise, x)
    }
}
