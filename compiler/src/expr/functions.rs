//! Transcendental functions, each one polynomial in scalar operations, so that
//! every emitter computes the same bits.
//!
//! Largest errors, in units in the last place, against f64 over all floats of
//! the stated range: exp and exp2 1, expm1 1.5, log, log2 and log10 1, log1p 2.5,
//! tanh 1.5, sigmoid 2.5, softplus 3.5, mish 4.5, erf 1.5, erfc 5.5, sin and cos 2; the tests
//! of `codegen` check them. Coefficients without a source are this project's own: least largest
//! relative errors of the result, rounded from the lowest power upwards.

use super::{Expr, Expressions};
use crate::faults::{self, Fault};

/// Rounds by addition: added to a float of magnitude below 2²², it leaves the nearest integer
/// in the low bits.
const MAGIC: f32 = 12_582_912.0;

/// What the constants have beyond their floats.
const LOG2_E_LOW: f32 = 1.925_963e-8;
const LOG10_E_LOW: f32 = -1.010_305e-8;
const LOG10_2_LOW: f32 = -1.4320989e-08;

impl Expressions {
    /// `c[0] xⁿ⁻¹ + ... + c[n-1]` by Horner's rule with fused multiply-adds.
    pub(super) fn polynomial(&mut self, x: Expr, coefficients: &[f32]) -> Expr {
        let mut sum = self.float(coefficients[0]);
        for c in &coefficients[1..] {
            let c = self.float(*c);
            sum = self.mul_add(sum, x, c);
        }
        sum
    }

    /// `n` and `p` of eˣ = 2ⁿ·(1 + p), for x between -104 and 89: `n` in the exponent bits of a
    /// float, and `p` of magnitude ½ at most.
    pub(super) fn split_exp(&mut self, x: Expr) -> (Expr, Expr) {
        let (log2_e, magic) = (self.float(std::f32::consts::LOG2_E), self.float(MAGIC));
        let z = self.mul_add(x, log2_e, magic);
        let n = self.sub(z, magic);
        let (ln2_high, ln2_low) = (self.float(-0.693_145_75), self.float(-1.428_606_8e-6));
        let s = self.mul_add(n, ln2_high, x);
        let s = self.mul_add(n, ln2_low, s);
        let p = self.exp_of_fraction(s);
        let exponent = self.to_bits(z);
        (self.shift_left(exponent, 23), p)
    }

    /// eˢ - 1 for s of magnitude ½·ln 2 at most.
    fn exp_of_fraction(&mut self, s: Expr) -> Expr {
        let third = if faults::is(Fault::ExpCoefficient) { 0.166_766_67 } else { 0.166_666_67 };
        let u = self.polynomial(
            s,
            &[1.985_276_2e-4, 1.393_043_6e-3, 8.333_361e-3, 4.166_648_5e-2, third, 0.5],
        );
        let square = self.mul(s, s);
        self.mul_add(square, u, s)
    }

    /// 2ⁿ⁺ᵇʸ, given `n` in the exponent bits of a float.
    pub(super) fn power_of_two(&mut self, exponent: Expr, by: i32) -> Expr {
        let bias = self.int((127 + by) << 23);
        let bits = self.int_add(exponent, bias);
        self.from_bits(bits)
    }

    /// eˣ, below 1 ulp, of denormal results too.
    ///
    /// SLEEF's polynomial for `expf` (N. Shibata, F. Petrogalli, 2020) after a
    /// reduction by multiples of ln 2 in two parts. Rounding to the nearest
    /// multiple is an addition of 1.5·2²³, whose low bits are then the exponent.
    /// 2ⁿ is applied as two powers, each of which is a float: the first product is
    /// exact, and the second makes the result 0, denormal or infinite where
    /// it has to be.
    pub fn exp(&mut self, x: Expr) -> Expr {
        // Beyond these, the result is less than half of the smallest float, or above the largest.
        const LOWEST: f32 = -104.0;
        const HIGHEST: f32 = 89.0;
        let (low, high) = (self.float(LOWEST), self.float(HIGHEST));
        // The constant is the first operand, so that NaN survives.
        let clamped = self.min(high, x);
        let clamped = self.max(low, clamped);
        let (exponent, p) = self.split_exp(clamped);
        self.scaled(exponent, p)
    }

    /// 2ˣ, below 1 ulp, of denormal results too; exact for integers.
    pub fn exp2(&mut self, x: Expr) -> Expr {
        // Beyond these, the result is less than half of the smallest float, or above the largest.
        let (low, high) = (self.float(-151.0), self.float(129.0));
        // The constant is the first operand, so that NaN survives.
        let clamped = self.min(high, x);
        let clamped = self.max(low, clamped);
        let (magic, ln2) = (self.float(MAGIC), self.float(std::f32::consts::LN_2));
        let z = self.add(clamped, magic);
        let n = self.sub(z, magic);
        let fraction = self.sub(clamped, n);
        let s = self.mul(fraction, ln2);
        let p = self.exp_of_fraction(s);
        let exponent = self.to_bits(z);
        let exponent = self.shift_left(exponent, 23);
        self.scaled(exponent, p)
    }

    /// 2ⁿ·(1 + p), given `n` in the exponent bits of a float.
    fn scaled(&mut self, exponent: Expr, p: Expr) -> Expr {
        let one = self.float(1.0);
        let p = self.add(p, one);
        let (halved, mask) = (self.shift_right(exponent, 1), self.int(!0x7F_FFFF));
        let first = self.and(halved, mask);
        let second = self.int_sub(exponent, first);
        let (first, second) = (self.power_of_two(first, 0), self.power_of_two(second, 0));
        let r = self.mul(p, first);
        self.mul(r, second)
    }

    /// eˣ - 1, below 1.5 ulp, near 0 too.
    ///
    /// 2ⁿ·p + (2ⁿ - 1) with `n` and `p` of [`Self::exp`]; computed as halves, since 2ⁿ is
    /// no float for the largest x.
    pub fn expm1(&mut self, x: Expr) -> Expr {
        // e⁻¹⁸ is negligible beside 1.
        const LOWEST: f32 = -18.0;
        const HIGHEST: f32 = 88.72283;
        let (low, high) = (self.float(LOWEST), self.float(HIGHEST));
        // The constant is the first operand, so that NaN survives.
        let clamped = self.min(high, x);
        let clamped = self.max(low, clamped);
        let (exponent, p) = self.split_exp(clamped);
        let half_power = self.power_of_two(exponent, -1);
        let half = self.float(0.5);
        let offset = self.sub(half_power, half);
        let r = self.mul_add(half_power, p, offset);
        let r = self.add(r, r);
        let infinity = self.float(f32::INFINITY);
        let too_high = self.greater(x, high);
        let r = self.select(too_high, infinity, r);
        // Where x² is negligible beside x; half of a denormal number may not be a float.
        let (size, tiny) = (self.abs(x), self.float(2.980_232_2e-8));
        let is_tiny = self.greater(tiny, size);
        self.select(is_tiny, x, r)
    }

    /// The natural logarithm, below 1 ulp; -∞ at 0, NaN below.
    ///
    /// The form of Cephes' `logf` (S. Moshier, 1992): the argument is split
    /// into a power of two and a factor in [√½, √2).
    pub fn log(&mut self, x: Expr) -> Expr {
        let [e, f, z, y] = self.split_log(x);
        let (ln2_low, ln2_high) = (self.float(-2.121_944_4e-4), self.float(0.693_359_4));
        let y = self.mul_add(e, ln2_low, y);
        let half = self.float(-0.5);
        let y = self.mul_add(half, z, y);
        let y = self.add(f, y);
        let r = self.mul_add(e, ln2_high, y);
        self.log_at_ends(x, r)
    }

    /// The logarithm to base 2, below 1 ulp; exact for powers of two; -∞ at 0, NaN below.
    pub fn log2(&mut self, x: Expr) -> Expr {
        let [e, f, z, y] = self.split_log(x);
        let (log2_e, log2_e_low) = (self.float(std::f32::consts::LOG2_E), self.float(LOG2_E_LOW));
        let log = self.scaled_log([f, z, y], log2_e, log2_e_low, None);
        let r = self.add(e, log);
        self.log_at_ends(x, r)
    }

    /// The logarithm to base 10, below 1 ulp; -∞ at 0, NaN below.
    pub fn log10(&mut self, x: Expr) -> Expr {
        let [e, f, z, y] = self.split_log(x);
        let (log10_e, log10_e_low) =
            (self.float(std::f32::consts::LOG10_E), self.float(LOG10_E_LOW));
        let (log10_2, log10_2_low) =
            (self.float(std::f32::consts::LOG10_2), self.float(LOG10_2_LOW));
        let log = self.scaled_log([f, z, y], log10_e, log10_e_low, Some((e, log10_2_low)));
        let r = self.mul_add(e, log10_2, log);
        self.log_at_ends(x, r)
    }

    /// ln(1 + f) times a constant in two parts, and a product that is small beside it.
    fn scaled_log(
        &mut self,
        [f, z, y]: [Expr; 3],
        factor: Expr,
        factor_low: Expr,
        more: Option<(Expr, Expr)>,
    ) -> Expr {
        let half = self.float(-0.5);
        let y = self.mul_add(half, z, y);
        let low = self.mul(f, factor_low);
        let sum = self.mul_add(y, factor, low);
        let sum = match more {
            Some((a, b)) => self.mul_add(a, b, sum),
            None => sum,
        };
        self.mul_add(f, factor, sum)
    }

    /// Of x = 2ᵉ·(1 + f): e, f, f², and ln(1 + f) - f + f²/2.
    fn split_log(&mut self, x: Expr) -> [Expr; 4] {
        let (zero, one) = (self.float(0.0), self.float(1.0));
        // Denormals are scaled up by 2²³ first.
        let smallest = self.float(f32::MIN_POSITIVE);
        let is_denormal = self.greater(smallest, x);
        let scale = if faults::is(Fault::LogDenormal) { 1.0 } else { 8_388_608.0 };
        let scale = self.float(scale);
        let scaled = self.mul(x, scale);
        let normal = self.select(is_denormal, scaled, x);
        let shift = self.float(-23.0);
        let shift = self.select(is_denormal, shift, zero);

        let (root_half, mantissa) = (self.int(0x3F35_04F3), self.int(0x7F_FFFF));
        let bits = self.to_bits(normal);
        let a = self.int_sub(bits, root_half);
        let e = self.shift_right(a, 23);
        let e = self.to_float(e);
        let e = self.add(e, shift);
        let m = self.and(a, mantissa);
        let m = self.int_add(m, root_half);
        let m = self.from_bits(m);
        let f = self.sub(m, one);
        let z = self.mul(f, f);
        let p = self.polynomial(
            f,
            &[
                0.070_376_836,
                -0.115_146_1,
                0.116_769_99,
                -0.124_201_41,
                0.142_493_23,
                -0.166_680_58,
                0.200_007_15,
                -0.249_999_94,
                0.333_333_3,
            ],
        );
        let fz = self.mul(f, z);
        let y = self.mul(fz, p);
        [e, f, z, y]
    }

    /// A logarithm `r` of positive floats, for all `x`.
    fn log_at_ends(&mut self, x: Expr, r: Expr) -> Expr {
        let (zero, infinity) = (self.float(0.0), self.float(f32::INFINITY));
        let nan = self.float(f32::NAN);
        let is_finite = self.greater(infinity, x);
        let r = self.select(is_finite, r, infinity);
        let is_negative = self.greater(zero, x);
        let r = self.select(is_negative, nan, r);
        let is_zero = self.equal(x, zero);
        let minus_infinity = self.float(f32::NEG_INFINITY);
        let r = self.select(is_zero, minus_infinity, r);
        self.keep_nan(x, r)
    }

    /// ln(1 + x) for x from 0 to 1, below 2.5 ulp even where 1 + x rounds to 1
    /// (W. Kahan's correction).
    pub fn log1p(&mut self, x: Expr) -> Expr {
        let one = self.float(1.0);
        let w = self.add(x, one);
        let rounded = self.sub(w, one);
        let log = self.log(w);
        let scaled = self.mul(log, x);
        let corrected = self.div(scaled, rounded);
        let vanishes = self.equal(w, one);
        self.select(vanishes, x, corrected)
    }

    /// ln(1 + x), below 2.5 ulp even where 1 + x rounds to 1, for all x; -∞ at -1, NaN below.
    pub fn ln_1p(&mut self, x: Expr) -> Expr {
        let one = self.float(1.0);
        let w = self.add(x, one);
        let rounded = self.sub(w, one);
        let log = self.log(w);
        let share = self.div(x, rounded);
        let corrected = self.mul(log, share);
        // From 2²⁴ on, 1 is negligible; the share of infinities is NaN.
        let limit = self.float(16_777_216.0);
        let is_large = self.greater(x, limit);
        let y = self.select(is_large, log, corrected);
        let vanishes = self.equal(w, one);
        self.select(vanishes, x, y)
    }

    /// 1 / (1 + e⁻ˣ), below 2.5 ulp, of denormal results too.
    ///
    /// Below 0 as eˣ / (1 + eˣ): e⁻ˣ may be too large where this is not 0.
    pub fn sigmoid(&mut self, x: Expr) -> Expr {
        let size = self.abs(x);
        let minus = self.neg(size);
        let e = self.exp(minus);
        let (zero, one) = (self.float(0.0), self.float(1.0));
        let denominator = self.add(e, one);
        let is_positive = self.greater(x, zero);
        let numerator = self.select(is_positive, one, e);
        self.div(numerator, denominator)
    }

    /// ln(1 + eˣ), below 3.5 ulp, of denormal results too.
    ///
    /// max(x, 0) + ln(1 + e^-|x|), which does not overflow.
    pub fn softplus(&mut self, x: Expr) -> Expr {
        // The constant is the first operand, so that NaN survives.
        let zero = self.float(0.0);
        let positive = self.max(zero, x);
        let size = self.abs(x);
        let minus = self.neg(size);
        let e = self.exp(minus);
        let correction = self.log1p(e);
        self.add(positive, correction)
    }

    /// x·tanh(ln(1 + eˣ)), below 4.5 ulp where eˣ is not denormal, from -87.34 on,
    /// and below |x| ulp where it is; NaN at -∞.
    ///
    /// With n = eˣ·(eˣ + 2) that is x·n / (n + 2), where nothing cancels. Above
    /// 20, n / (n + 2) is 1.
    pub fn mish(&mut self, x: Expr) -> Expr {
        // The constant is the first operand, so that NaN survives.
        let (limit, two) = (self.float(20.0), self.float(2.0));
        let clamped = self.min(limit, x);
        let e = self.exp(clamped);
        let n = self.add(e, two);
        let n = self.mul(e, n);
        let denominator = self.add(n, two);
        let share = self.div(n, denominator);
        self.mul(x, share)
    }

    /// The error function, below 1.5 ulp.
    ///
    /// The split is that of most of its implementations: an odd polynomial for
    /// small x, and 1 - e^q(x) for the others.
    pub fn erf(&mut self, x: Expr) -> Expr {
        const SPLIT: f32 = 0.925;
        let square = self.mul(x, x);
        let p = self.polynomial(
            square,
            &[
                -5.958_971e-4,
                4.987_252_4e-3,
                -2.676_291_6e-2,
                0.112_817_3,
                -0.376_124_9,
                0.128_379_15,
            ],
        );
        let small = self.mul_add(p, x, x);

        // Above 4 it is 1. The constant is the first operand, so that NaN survives.
        let (one, four, size) = (self.float(1.0), self.float(4.0), self.abs(x));
        let t = self.min(four, size);
        let q = self.polynomial(
            t,
            &[
                -1.123_084e-5,
                3.228_03e-4,
                -3.642_467_5e-3,
                2.376_210_1e-2,
                -0.106_236_94,
                -0.635_151_27,
                -0.128_648_5,
            ],
        );
        let minus = self.neg(t);
        let q = self.mul_add(q, t, minus);
        let (exponent, p) = self.split_exp(q);
        let power = self.power_of_two(exponent, 0);
        let complement = self.sub(one, power);
        let minus = self.neg(power);
        let large = self.mul_add(minus, p, complement);
        let large = self.with_sign_of(x, large);

        let split = self.float(SPLIT);
        let is_small = self.greater(split, size);
        self.select(is_small, small, large)
    }

    /// The complementary error function 1 - erf(x), below 5.5 ulp where it is no denormal number.
    ///
    /// For x from 0 it is e^(-x²)·t·p(t) with t = 1 / (1 + x/2); e^(-x²) is corrected by what rounding
    /// takes from x².
    pub fn erfc(&mut self, x: Expr) -> Expr {
        // Above it the result is 0. The constant is the first operand, so that NaN survives.
        let (highest, half, one, two) =
            (self.float(10.5), self.float(0.5), self.float(1.0), self.float(2.0));
        let size = self.abs(x);
        let size = self.min(highest, size);
        let denominator = self.mul_add(size, half, one);
        let t = self.div(one, denominator);
        let p = self.polynomial(
            t,
            &[
                0.010_815_106,
                -0.115_466_855,
                0.411_119_6,
                -0.647_035_54,
                0.402_873_46,
                -0.088_874_556,
                0.222_445_07,
                0.239_268_7,
                0.282_787_17,
                0.282_067_8,
            ],
        );
        let square = self.mul(size, size);
        let minus = self.neg(square);
        let lost = self.mul_add(size, size, minus);
        let power = self.exp(minus);
        let minus = self.neg(power);
        let power = self.mul_add(minus, lost, power);
        let y = self.mul(power, t);
        let y = self.mul(y, p);
        let mirrored = self.sub(two, y);
        let zero = self.float(0.0);
        let is_negative = self.greater(zero, x);
        self.select(is_negative, mirrored, y)
    }

    /// The sine, below 2 ulp for |x| up to 2²⁰. Beyond, where neighbouring
    /// floats are 1/8 and more apart, NaN.
    pub fn sin(&mut self, x: Expr) -> Expr {
        let size = self.abs(x);
        let y = self.shifted_sin(size, 0);
        let (bits, sign) = (self.to_bits(x), self.int(i32::MIN));
        let sign = self.and(bits, sign);
        self.flip(y, sign)
    }

    /// The cosine, below 2 ulp for |x| up to 2²⁰. Beyond, where neighbouring
    /// floats are 1/8 and more apart, NaN.
    pub fn cos(&mut self, x: Expr) -> Expr {
        let size = self.abs(x);
        self.shifted_sin(size, 1)
    }

    /// sin(x + quarters·π/2) for x from 0 to 2²⁰, NaN above.
    ///
    /// The reduction is W. Cody's and W. Waite's: n·π/2 is subtracted in three
    /// terms. The first is 24 bits long, and the difference is a multiple of its
    /// last bit below 2, so that the fused multiply-add is exact.
    fn shifted_sin(&mut self, x: Expr, quarters: i32) -> Expr {
        const HIGHEST: f32 = 1_048_576.0;
        let (two_over_pi, magic) = (self.float(std::f32::consts::FRAC_2_PI), self.float(MAGIC));
        let z = self.mul_add(x, two_over_pi, magic);
        let n = self.sub(z, magic);
        let mut r = x;
        for term in [-1.570_796_4, 4.371_139e-8, 1.715_124_5e-15] {
            let term = self.float(term);
            r = self.mul_add(n, term, r);
        }
        let square = self.mul(r, r);
        let p = self.polynomial(square, &[-1.948_414_7e-4, 8.331_925e-3, -0.166_666_51]);
        let cube = self.mul(square, r);
        let sin = self.mul_add(cube, p, r);
        let p = self.polynomial(square, &[2.439_365e-5, -1.388_695_9e-3, 4.166_663_8e-2]);
        let (one, half) = (self.float(1.0), self.float(-0.5));
        let cos = self.mul_add(half, square, one);
        let fourth = self.mul(square, square);
        let cos = self.mul_add(fourth, p, cos);

        let (bits, quarters) = (self.to_bits(z), self.int(quarters));
        let quarter = self.int_add(bits, quarters);
        let (first, second) = (self.int(1), self.int(2));
        let odd = self.and(quarter, first);
        let is_odd = self.int_equal(odd, first);
        let y = self.select(is_odd, cos, sin);
        let is_negated = self.and(quarter, second);
        let sign = self.shift_left(is_negated, 30);
        let y = self.flip(y, sign);
        let (highest, nan) = (self.float(HIGHEST), self.float(f32::NAN));
        let too_high = self.greater(x, highest);
        self.select(too_high, nan, y)
    }

    /// `x`, negated where `sign` is the sign bit; `sign` has no other bits.
    fn flip(&mut self, x: Expr, sign: Expr) -> Expr {
        let bits = self.to_bits(x);
        let bits = self.int_add(bits, sign);
        self.from_bits(bits)
    }

    /// `y`, which is not negative or has the sign of `x`, with the sign of `x`.
    pub(super) fn with_sign_of(&mut self, x: Expr, y: Expr) -> Expr {
        let sign = self.int(i32::MIN);
        let (bits, x_bits) = (self.to_bits(y), self.to_bits(x));
        let sign = self.and(x_bits, sign);
        let bits = self.or(bits, sign);
        self.from_bits(bits)
    }

    /// The hyperbolic tangent, below 1.5 ulp.
    ///
    /// Cephes' split at 0.625 (S. Moshier, 1992): an odd polynomial below,
    /// 1 - 2 / (e²ˣ + 1) above.
    pub fn tanh(&mut self, x: Expr) -> Expr {
        let (one, two) = (self.float(1.0), self.float(2.0));
        let size = self.abs(x);
        let z = self.mul(x, x);
        let p = self.polynomial(
            z,
            &[-5.704_988_7e-3, 2.063_909e-2, -5.373_971_6e-2, 0.133_314_42, -0.333_332_8],
        );
        let cube = self.mul(size, z);
        let small = self.mul_add(cube, p, size);

        let limit = self.float(20.0);
        let doubled = self.mul(size, two);
        let doubled = self.min(limit, doubled);
        let e = self.exp(doubled);
        let denominator = self.add(e, one);
        let quotient = self.div(two, denominator);
        let large = self.sub(one, quotient);

        let split = self.float(0.625);
        let is_small = self.greater(split, size);
        let r = self.select(is_small, small, large);
        self.with_sign_of(x, r)
    }
}
