//! Transcendental functions, each one polynomial in scalar operations, so that
//! every emitter computes the same bits.
//!
//! Largest errors, in units in the last place, against f64 over all floats of
//! the stated range: exp 1, log 1, tanh 1.5, sigmoid 2.5; the tests of
//! `codegen` check them.

use super::expr::{Expr, Expressions};

impl Expressions {
    /// `c[0] xⁿ⁻¹ + ... + c[n-1]` by Horner's rule with fused multiply-adds.
    fn polynomial(&mut self, x: Expr, coefficients: &[f32]) -> Expr {
        let mut sum = self.float(coefficients[0]);
        for c in &coefficients[1..] {
            let c = self.float(*c);
            sum = self.mul_add(sum, x, c);
        }
        sum
    }

    /// eˣ, below 1 ulp for results that are not denormal. Below -87.34, where
    /// they would be, 0.
    ///
    /// SLEEF's polynomial for `expf` (N. Shibata, F. Petrogalli, 2020) after a
    /// reduction by multiples of ln 2 in two parts. Rounding to the nearest
    /// multiple is an addition of 1.5·2²³, whose low bits are then the exponent.
    pub fn exp(&mut self, x: Expr) -> Expr {
        const LOWEST: f32 = -87.33654;
        const HIGHEST: f32 = 88.72283;
        let (low, high) = (self.float(LOWEST), self.float(HIGHEST));
        // The constant goes first, so that NaN survives.
        let clamped = self.min(high, x);
        let clamped = self.max(low, clamped);
        let (log2_e, magic) = (self.float(std::f32::consts::LOG2_E), self.float(12_582_912.0));
        let z = self.mul_add(clamped, log2_e, magic);
        let n = self.sub(z, magic);
        let (ln2_high, ln2_low) = (self.float(-0.693_145_75), self.float(-1.428_606_8e-6));
        let s = self.mul_add(n, ln2_high, clamped);
        let s = self.mul_add(n, ln2_low, s);
        let u = self.polynomial(
            s,
            &[1.985_276_2e-4, 1.393_043_6e-3, 8.333_361e-3, 4.166_648_5e-2, 0.166_666_67, 0.5],
        );
        let one = self.float(1.0);
        let square = self.mul(s, s);
        let p = self.mul_add(square, u, s);
        let p = self.add(p, one);
        let (bits, exponent) = (self.to_bits(p), self.to_bits(z));
        let exponent = self.shift_left(exponent, 23);
        let scaled = self.int_add(bits, exponent);
        let r = self.from_bits(scaled);
        let (infinity, zero) = (self.float(f32::INFINITY), self.float(0.0));
        let too_high = self.greater(x, high);
        let r = self.select(too_high, infinity, r);
        let too_low = self.greater(low, x);
        let r = self.select(too_low, zero, r);
        self.keep_nan(x, r)
    }

    /// The natural logarithm, below 1 ulp; -∞ at 0, NaN below.
    ///
    /// The form of Cephes' `logf` (S. Moshier, 1992): the argument is split
    /// into a power of two and a factor in [√½, √2).
    pub fn log(&mut self, x: Expr) -> Expr {
        let (zero, one) = (self.float(0.0), self.float(1.0));
        let infinity = self.float(f32::INFINITY);
        // Denormals are scaled up by 2²³ first.
        let smallest = self.float(f32::MIN_POSITIVE);
        let is_denormal = self.greater(smallest, x);
        let scale = self.float(8_388_608.0);
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
        let (ln2_low, ln2_high) = (self.float(-2.121_944_4e-4), self.float(0.693_359_4));
        let y = self.mul_add(e, ln2_low, y);
        let half = self.float(-0.5);
        let y = self.mul_add(half, z, y);
        let y = self.add(f, y);
        let r = self.mul_add(e, ln2_high, y);

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

    /// ln(1 + x) for x ≥ 0, exact to some ulp even where 1 + x rounds to 1
    /// (W. Kahan's correction).
    pub fn log1p(&mut self, x: Expr) -> Expr {
        let one = self.float(1.0);
        let w = self.add(x, one);
        let rest = self.sub(w, one);
        let log = self.log(w);
        let scaled = self.mul(log, x);
        let corrected = self.div(scaled, rest);
        let vanishes = self.equal(w, one);
        self.select(vanishes, x, corrected)
    }

    /// 1 / (1 + e⁻ˣ), below 2.5 ulp.
    pub fn sigmoid(&mut self, x: Expr) -> Expr {
        let minus = self.neg(x);
        let e = self.exp(minus);
        let one = self.float(1.0);
        let denominator = self.add(e, one);
        self.div(one, denominator)
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
        let sign = self.int(i32::MIN);
        let (bits, x_bits) = (self.to_bits(r), self.to_bits(x));
        let sign = self.and(x_bits, sign);
        let bits = self.or(bits, sign);
        self.from_bits(bits)
    }
}
