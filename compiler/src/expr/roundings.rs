//! Roundings to integers, and divisions with remainder: exact, by arithmetic of floats alone, so that
//! every emitter computes the same bits.

use super::{Expr, Expressions};

/// 2²³: floats from here on are integers. Added to a smaller float, it leaves the nearest integer.
const WHOLE: f32 = 8_388_608.0;

impl Expressions {
    /// The nearest integer of `size`, which is not negative; of two, the even one.
    fn nearest(&mut self, size: Expr) -> Expr {
        let whole = self.float(WHOLE);
        let shifted = self.add(size, whole);
        let rounded = self.sub(shifted, whole);
        // NaN, infinity and large numbers stay what they are.
        let is_small = self.greater(whole, size);
        self.select(is_small, rounded, size)
    }

    /// The nearest integer; of two, the even one. Zeros keep their sign.
    pub fn round(&mut self, x: Expr) -> Expr {
        let size = self.abs(x);
        let rounded = self.nearest(size);
        self.with_sign_of(x, rounded)
    }

    /// The integer next to `x` towards zero.
    pub fn trunc(&mut self, x: Expr) -> Expr {
        let size = self.abs(x);
        let rounded = self.nearest(size);
        let one = self.float(1.0);
        let lower = self.sub(rounded, one);
        let is_above = self.greater(rounded, size);
        let whole = self.select(is_above, lower, rounded);
        self.with_sign_of(x, whole)
    }

    /// The largest integer that is at most `x`.
    pub fn floor(&mut self, x: Expr) -> Expr {
        let (rounded, one) = (self.round(x), self.float(1.0));
        let lower = self.sub(rounded, one);
        let is_above = self.greater(rounded, x);
        self.select(is_above, lower, rounded)
    }

    /// The smallest integer that is at least `x`; between -1 and 0 that is -0.
    pub fn ceil(&mut self, x: Expr) -> Expr {
        let (rounded, one) = (self.round(x), self.float(1.0));
        let higher = self.add(rounded, one);
        let is_below = self.greater(x, rounded);
        let whole = self.select(is_below, higher, rounded);
        self.with_sign_of(x, whole)
    }

    /// `a - count·b`, exact for the integer next to `a / b` up to 2²³, and NaN beyond; 0 times infinity
    /// is 0.
    fn rest(&mut self, a: Expr, b: Expr, count: Expr) -> Expr {
        let (whole, nan, infinity) =
            (self.float(WHOLE), self.float(f32::NAN), self.float(f32::INFINITY));
        let minus = self.neg(count);
        let rest = self.mul_add(minus, b, a);
        let sizes = [self.abs(a), self.abs(b), self.abs(count)];
        let is_small = self.greater_equal(whole, sizes[2]);
        let rest = self.select(is_small, rest, nan);
        // Of a finite number by an infinite one.
        let (is_finite, is_infinite) =
            (self.greater(infinity, sizes[0]), self.equal(sizes[1], infinity));
        let of_infinity = self.select(is_finite, a, rest);
        self.select(is_infinite, of_infinity, rest)
    }

    /// `x`, negated where `y` is negative.
    fn times_sign_of(&mut self, x: Expr, y: Expr) -> Expr {
        let (zero, minus) = (self.float(0.0), self.neg(x));
        let is_negative = self.greater(zero, y);
        self.select(is_negative, minus, x)
    }

    /// The remainder of the division of `a` by `b`, of the sign of `a`, as in C; NaN where the quotient
    /// is beyond 2²³.
    ///
    /// The quotient may be rounded up to the next integer; then the difference has the other sign, and
    /// is corrected.
    pub fn fmod(&mut self, a: Expr, b: Expr) -> Expr {
        let quotient = self.div(a, b);
        let count = self.trunc(quotient);
        let rest = self.rest(a, b, count);
        let (zero, size) = (self.float(0.0), self.abs(b));
        let step = self.times_sign_of(size, a);
        let corrected = self.add(rest, step);
        let forward = self.times_sign_of(rest, a);
        let is_wrong = self.greater(zero, forward);
        self.select(is_wrong, corrected, rest)
    }

    /// The remainder of the division of `a` by `b`, of the sign of `b`, as in Python; NaN where the
    /// quotient is beyond 2²³.
    pub fn remainder(&mut self, a: Expr, b: Expr) -> Expr {
        let quotient = self.div(a, b);
        let count = self.floor(quotient);
        let rest = self.rest(a, b, count);
        let corrected = self.add(rest, b);
        let forward = self.times_sign_of(rest, b);
        let zero = self.float(0.0);
        let is_wrong = self.greater(zero, forward);
        self.select(is_wrong, corrected, rest)
    }

    /// The largest integer that is at most the exact `a / b`; from 2²³ on, the quotient.
    pub fn floor_divide(&mut self, a: Expr, b: Expr) -> Expr {
        let quotient = self.div(a, b);
        let count = self.floor(quotient);
        let rest = self.rest(a, b, count);
        let (zero, one) = (self.float(0.0), self.float(1.0));
        let lower = self.sub(count, one);
        let forward = self.times_sign_of(rest, b);
        let is_wrong = self.greater(zero, forward);
        self.select(is_wrong, lower, count)
    }
}
