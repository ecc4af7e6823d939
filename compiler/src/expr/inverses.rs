//! Inverse trigonometric functions, hyperbolic functions and their inverses, as those of
//! [`functions`](super::functions).
//!
//! Largest errors, in units in the last place: asin 2.5, acos 1.5, atan 2.5, sinh 2, cosh 1.5, asinh 3,
//! acosh 3.5, atanh 3; the tests of `codegen` check them.

use std::f32::consts::{FRAC_PI_2, FRAC_PI_4, LN_2, PI};

use super::{Expr, Expressions};

/// What π/2 has beyond its float.
const FRAC_PI_2_LOW: f32 = -4.371_139e-8;

impl Expressions {
    /// For x from 0 to ½ the arcsine of x, above the arcsine of √(½(1 - x)), which is half of the
    /// arccosine; NaN above 1. Also the mask of x above ½.
    ///
    /// Cephes' polynomial for `asinf` (S. Moshier, 1992).
    fn half_arc(&mut self, x: Expr) -> (Expr, Expr) {
        let (half, one) = (self.float(0.5), self.float(1.0));
        let is_large = self.greater(x, half);
        let square = self.mul(x, x);
        let rest = self.sub(one, x);
        let rest = self.mul(half, rest);
        let square = self.select(is_large, rest, square);
        let root = self.sqrt(rest);
        let a = self.select(is_large, root, x);
        let p = self.polynomial(
            square,
            &[0.042_163_2, 0.024_181_31, 0.045_470_025, 0.074_953, 0.166_667_52],
        );
        let cube = self.mul(a, square);
        (is_large, self.mul_add(cube, p, a))
    }

    /// The arcsine, below 2.5 ulp; NaN for |x| above 1.
    pub fn asin(&mut self, x: Expr) -> Expr {
        let size = self.abs(x);
        let (is_large, arc) = self.half_arc(size);
        let (high, low) = (self.float(FRAC_PI_2), self.float(FRAC_PI_2_LOW));
        let twice = self.add(arc, arc);
        let rest = self.sub(low, twice);
        let large = self.add(high, rest);
        let y = self.select(is_large, large, arc);
        self.with_sign_of(x, y)
    }

    /// The arccosine, below 1.5 ulp; NaN for |x| above 1.
    pub fn acos(&mut self, x: Expr) -> Expr {
        let size = self.abs(x);
        let (is_large, arc) = self.half_arc(size);
        let (high, low) = (self.float(FRAC_PI_2), self.float(FRAC_PI_2_LOW));
        let signed = self.with_sign_of(x, arc);
        let rest = self.sub(low, signed);
        let small = self.add(high, rest);
        let twice = self.add(arc, arc);
        let (zero, pi, pi_low) = (self.float(0.0), self.float(PI), self.float(2.0 * FRAC_PI_2_LOW));
        let rest = self.sub(pi_low, twice);
        let negative = self.add(pi, rest);
        let is_negative = self.greater(zero, x);
        let large = self.select(is_negative, negative, twice);
        self.select(is_large, large, small)
    }

    /// The arctangent, below 2.5 ulp.
    ///
    /// Cephes' `atanf` (S. Moshier, 1992): above tan(π/8) by that of (x - 1) / (x + 1), above
    /// tan(3π/8) of -1 / x.
    pub fn atan(&mut self, x: Expr) -> Expr {
        let (zero, one, minus) = (self.float(0.0), self.float(1.0), self.float(-1.0));
        let (middle, large) = (self.float(0.414_213_57), self.float(2.414_213_6));
        let size = self.abs(x);
        let (is_middle, is_large) = (self.greater(size, middle), self.greater(size, large));
        let (less, more) = (self.sub(size, one), self.add(size, one));
        let numerator = self.by_size([is_middle, is_large], [size, less, minus]);
        let denominator = self.by_size([is_middle, is_large], [one, more, size]);
        let (quarter, half) = (self.float(FRAC_PI_4), self.float(FRAC_PI_2));
        let (quarter_low, half_low) = (self.float(FRAC_PI_2_LOW / 2.0), self.float(FRAC_PI_2_LOW));
        let high = self.by_size([is_middle, is_large], [zero, quarter, half]);
        let low = self.by_size([is_middle, is_large], [zero, quarter_low, half_low]);
        let a = self.div(numerator, denominator);
        let square = self.mul(a, a);
        let p = self.polynomial(square, &[0.080_537_446, -0.138_776_86, 0.199_777_1, -0.333_329_5]);
        let cube = self.mul(a, square);
        let arc = self.mul_add(cube, p, a);
        let arc = self.add(arc, low);
        let y = self.add(high, arc);
        self.with_sign_of(x, y)
    }

    /// The last of three formulas whose mask holds; the first has none.
    fn by_size(&mut self, [second, third]: [Expr; 2], [a, b, c]: [Expr; 3]) -> Expr {
        let y = self.select(second, b, a);
        self.select(third, c, y)
    }

    /// The angle of the point (x, y), below 3.5 ulp where it is no denormal number; of signed zeros and
    /// infinities as in C.
    pub fn atan2(&mut self, y: Expr, x: Expr) -> Expr {
        let [zero, one] = [0.0, 1.0].map(|number| self.float(number));
        let (width, height) = (self.abs(x), self.abs(y));
        let is_steep = self.greater(height, width);
        let (low, high) =
            (self.select(is_steep, width, height), self.select(is_steep, height, width));
        let share = self.div(low, high);
        // Of two zeros, and of two infinities.
        let is_zero = self.equal(high, zero);
        let share = self.select(is_zero, zero, share);
        let is_equal = self.equal(low, high);
        let equal = self.select(is_zero, zero, one);
        let share = self.select(is_equal, equal, share);
        let angle = self.atan(share);
        let (quarter, quarter_low) = (self.float(FRAC_PI_2), self.float(FRAC_PI_2_LOW));
        let rest = self.sub(quarter_low, angle);
        let steep = self.add(quarter, rest);
        let angle = self.select(is_steep, steep, angle);
        let (pi, pi_low) = (self.float(PI), self.float(2.0 * FRAC_PI_2_LOW));
        let rest = self.sub(pi_low, angle);
        let behind = self.add(pi, rest);
        // By the sign bit: -0 is behind too.
        let direction = self.with_sign_of(x, one);
        let is_behind = self.greater(zero, direction);
        let angle = self.select(is_behind, behind, angle);
        let angle = self.with_sign_of(y, angle);
        let angle = self.keep_nan(x, angle);
        self.keep_nan(y, angle)
    }

    /// `√(a² + b²)`, below 2.5 ulp where it is no denormal number; ∞ if one of the two is infinite.
    pub fn hypot(&mut self, a: Expr, b: Expr) -> Expr {
        let (zero, one, infinity) = (self.float(0.0), self.float(1.0), self.float(f32::INFINITY));
        let (a, b) = (self.abs(a), self.abs(b));
        let is_second = self.greater(b, a);
        let (low, high) = (self.select(is_second, a, b), self.select(is_second, b, a));
        let share = self.div(low, high);
        let sum = self.mul_add(share, share, one);
        let root = self.sqrt(sum);
        let y = self.mul(high, root);
        let is_zero = self.equal(high, zero);
        let y = self.select(is_zero, low, y);
        let (first, second) = (self.equal(a, infinity), self.equal(b, infinity));
        let y = self.select(first, infinity, y);
        self.select(second, infinity, y)
    }

    /// eˣ / 2 for x from 0; ∞ where that is too large for a float.
    fn half_exp(&mut self, x: Expr) -> Expr {
        // Above it the result is infinite. The constant is the first operand, so that NaN survives.
        let highest = self.float(89.5);
        let clamped = self.min(highest, x);
        let (exponent, p) = self.split_exp(clamped);
        let power = self.power_of_two(exponent, -2);
        let quarter = self.mul_add(power, p, power);
        self.add(quarter, quarter)
    }

    /// The hyperbolic cosine, below 1.5 ulp.
    pub fn cosh(&mut self, x: Expr) -> Expr {
        let size = self.abs(x);
        let half = self.half_exp(size);
        let quarter = self.float(0.25);
        let other = self.div(quarter, half);
        self.add(half, other)
    }

    /// The hyperbolic sine, below 2 ulp: below 1 its series, above by exponentials.
    pub fn sinh(&mut self, x: Expr) -> Expr {
        let size = self.abs(x);
        let half = self.half_exp(size);
        let (quarter, one) = (self.float(0.25), self.float(1.0));
        let other = self.div(quarter, half);
        let large = self.sub(half, other);
        let large = self.with_sign_of(x, large);
        let square = self.mul(x, x);
        let p = self.polynomial(
            square,
            &[2.505_210_8e-8, 2.755_732e-6, 1.984_127e-4, 8.333_334e-3, 0.166_666_67],
        );
        let cube = self.mul(x, square);
        let small = self.mul_add(cube, p, x);
        let is_small = self.greater(one, size);
        self.select(is_small, small, large)
    }

    /// ln(1 + t), or of twice `x` where x is so large that `t` is that, but may overflow.
    fn log_of_sum(&mut self, t: Expr, x: Expr) -> Expr {
        let (limit, zero, ln2) = (self.float(67_108_864.0), self.float(0.0), self.float(LN_2));
        let is_large = self.greater(x, limit);
        let t = self.select(is_large, x, t);
        let more = self.select(is_large, ln2, zero);
        let log = self.ln_1p(t);
        self.add(log, more)
    }

    /// The inverse of the hyperbolic sine, below 3 ulp: ln(1 + x + x² / (1 + √(x² + 1))) for x from 0.
    pub fn asinh(&mut self, x: Expr) -> Expr {
        let (size, one) = (self.abs(x), self.float(1.0));
        let square = self.mul(size, size);
        let sum = self.add(square, one);
        let root = self.sqrt(sum);
        let denominator = self.add(root, one);
        let share = self.div(square, denominator);
        let t = self.add(size, share);
        let y = self.log_of_sum(t, size);
        self.with_sign_of(x, y)
    }

    /// The inverse of the hyperbolic cosine, below 3.5 ulp: ln(1 + t + √(t·(t + 2))) with t = x - 1;
    /// NaN below 1.
    pub fn acosh(&mut self, x: Expr) -> Expr {
        let (one, two, nan) = (self.float(1.0), self.float(2.0), self.float(f32::NAN));
        let t = self.sub(x, one);
        let sum = self.add(t, two);
        let product = self.mul(t, sum);
        let root = self.sqrt(product);
        let t = self.add(t, root);
        let y = self.log_of_sum(t, x);
        let is_low = self.greater(one, x);
        self.select(is_low, nan, y)
    }

    /// The inverse of the hyperbolic tangent, below 3 ulp: ½·ln(1 + 2x / (1 - x)) for x from 0; NaN
    /// for |x| above 1.
    pub fn atanh(&mut self, x: Expr) -> Expr {
        let (size, one, half) = (self.abs(x), self.float(1.0), self.float(0.5));
        let twice = self.add(size, size);
        let rest = self.sub(one, size);
        let t = self.div(twice, rest);
        let log = self.ln_1p(t);
        let y = self.mul(half, log);
        self.with_sign_of(x, y)
    }
}
