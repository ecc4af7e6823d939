//! Arithmetic and functions of [`Tracked`], with the error that each of them adds.

use std::cmp::Ordering;
use std::num::FpCategory;
use std::ops::{Add, Div, Mul, Neg, Rem, Sub};

use num_traits::{Float, Num, NumCast, One, ToPrimitive, Zero};

use super::{Tracked, decide, halves};
use crate::eval::Real;

impl<const BITS: u32> Add for Tracked<BITS> {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let value = self.value + other.value;
        if self.is_surely_infinite() || other.is_surely_infinite() {
            let is_known = self.error.is_finite() && other.error.is_finite();
            return Self { value, error: if is_known { 0.0 } else { f64::INFINITY } };
        }
        Self::rounded(value, self.error + other.error, 1.0)
    }
}

impl<const BITS: u32> Sub for Tracked<BITS> {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl<const BITS: u32> Mul for Tracked<BITS> {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        let value = self.value * other.value;
        let propagated = self.value.abs() * other.error
            + other.value.abs() * self.error
            + self.error * other.error;
        let has_infinite = self.is_surely_infinite() || other.is_surely_infinite();
        let propagated = match propagated.is_nan() {
            // 0 · ∞ of values without errors.
            true if self.error == 0.0 && other.error == 0.0 => 0.0,
            true => f64::INFINITY,
            false => propagated,
        };
        if has_infinite {
            let is_sure = |x: Self| x.error == 0.0 || x.value.abs() > x.error;
            let is_known = is_sure(self) && is_sure(other);
            return Self { value, error: if is_known { 0.0 } else { f64::INFINITY } };
        }
        Self::rounded(value, propagated, 1.0)
    }
}

impl<const BITS: u32> Div for Tracked<BITS> {
    type Output = Self;

    fn div(self, other: Self) -> Self {
        let value = self.value / other.value;
        if other.is_surely_infinite() {
            let error = if self.error.is_finite() { 0.0 } else { f64::INFINITY };
            return Self { value, error };
        }
        if self.error == 0.0 && other.error == 0.0 {
            return Self::rounded(value, 0.0, 1.0);
        }
        let (a, b) = (self.value.abs(), other.value.abs());
        if b <= other.error || !self.value.is_finite() {
            return Self::unknown(value);
        }
        let propagated = (a * other.error + b * self.error) / (b * (b - other.error));
        Self::rounded(value, if propagated.is_nan() { f64::INFINITY } else { propagated }, 1.0)
    }
}

impl<const BITS: u32> Rem for Tracked<BITS> {
    type Output = Self;

    fn rem(self, other: Self) -> Self {
        let value = self.value % other.value;
        let count = (self.value / other.value).abs();
        // Machine code has remainders of quotients up to 2²³.
        if self.error == 0.0 && other.error == 0.0 && count <= 8_388_607.0 || value.is_nan() {
            return Self {
                value,
                error: if self.is_known() && other.is_known() { 0.0 } else { f64::INFINITY },
            };
        }
        // Within one quotient it moves with both values.
        let moved = self.error + (count + 1.0) * other.error;
        let is_within =
            value.abs() > moved && value.abs() + moved < other.value.abs() - other.error;
        match is_within && count <= 8_388_607.0 {
            true => Self::rounded(value, moved, 1.0),
            false => Self::unknown(value),
        }
    }
}

impl<const BITS: u32> Neg for Tracked<BITS> {
    type Output = Self;

    fn neg(self) -> Self {
        Self { value: -self.value, ..self }
    }
}

impl<const BITS: u32> PartialEq for Tracked<BITS> {
    fn eq(&self, other: &Self) -> bool {
        self.compare(*other, |order| order == Ordering::Equal)
    }
}

impl<const BITS: u32> PartialOrd for Tracked<BITS> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.value.partial_cmp(&other.value)
    }

    fn lt(&self, other: &Self) -> bool {
        self.compare(*other, Ordering::is_lt)
    }

    fn le(&self, other: &Self) -> bool {
        self.compare(*other, Ordering::is_le)
    }

    fn gt(&self, other: &Self) -> bool {
        self.compare(*other, Ordering::is_gt)
    }

    fn ge(&self, other: &Self) -> bool {
        self.compare(*other, Ordering::is_ge)
    }
}

impl<const BITS: u32> Zero for Tracked<BITS> {
    fn zero() -> Self {
        Self::exact(0.0)
    }

    fn is_zero(&self) -> bool {
        self.value == 0.0
    }
}

impl<const BITS: u32> One for Tracked<BITS> {
    fn one() -> Self {
        Self::exact(1.0)
    }
}

impl<const BITS: u32> Num for Tracked<BITS> {
    type FromStrRadixErr = num_traits::ParseFloatError;

    fn from_str_radix(text: &str, radix: u32) -> Result<Self, Self::FromStrRadixErr> {
        f64::from_str_radix(text, radix).map(Self::of_f64)
    }
}

impl<const BITS: u32> ToPrimitive for Tracked<BITS> {
    fn to_i64(&self) -> Option<i64> {
        self.value.to_i64()
    }

    fn to_u64(&self) -> Option<u64> {
        self.value.to_u64()
    }

    fn to_f64(&self) -> Option<f64> {
        Some(self.value)
    }
}

impl<const BITS: u32> NumCast for Tracked<BITS> {
    fn from<T: ToPrimitive>(x: T) -> Option<Self> {
        x.to_f64().map(Self::of_f64)
    }
}

/// Functions that machine code does not have: their errors have no bound.
macro_rules! unknown {
    ($($name:ident),*) => {
        $(fn $name(self) -> Self {
            Self::unknown(self.value.$name())
        })*
    };
}

macro_rules! monotone {
    ($($name:ident => $index:literal),*) => {
        $(fn $name(self) -> Self {
            self.monotone(f64::$name, halves($index))
        })*
    };
}

macro_rules! constants {
    ($($name:ident),*) => {
        $(fn $name() -> Self {
            Self::of(f32::$name())
        })*
    };
}

/// Of a value without a known bound, which may be anything in f32, they are open.
macro_rules! predicates {
    ($($name:ident),*) => {
        $(fn $name(self) -> bool {
            let natural = self.value.$name();
            if self.is_known() { natural } else { decide(natural) }
        })*
    };
}

impl<const BITS: u32> Float for Tracked<BITS> {
    constants!(
        nan,
        infinity,
        neg_infinity,
        neg_zero,
        min_value,
        min_positive_value,
        max_value,
        epsilon
    );
    predicates!(is_nan, is_infinite, is_finite, is_normal, is_sign_positive, is_sign_negative);
    unknown!(round, fract, signum, cbrt);
    monotone!(
        exp2 => 8, log2 => 9, log10 => 10, asin => 11, atan => 13, sinh => 14, asinh => 16,
        acosh => 17, atanh => 18
    );

    fn floor(self) -> Self {
        self.stepped(f64::floor)
    }

    fn ceil(self) -> Self {
        self.stepped(f64::ceil)
    }

    fn trunc(self) -> Self {
        self.stepped(f64::trunc)
    }

    fn acos(self) -> Self {
        self.monotone(f64::acos, halves(12))
    }

    fn cosh(self) -> Self {
        // By the magnitude, it grows.
        let low = Self { value: (self.value.abs() - self.error).max(0.0), error: 0.0 };
        let y = self.abs().monotone(f64::cosh, halves(15));
        let below = y.value - low.value.cosh();
        Self { error: if below.is_nan() { f64::INFINITY } else { y.error.max(below) }, ..y }
    }

    fn tan(self) -> Self {
        let quotient = self.sin() / self.cos();
        match self.error == 0.0 && quotient.is_known() {
            true => Self::rounded(self.value.tan(), 0.0, halves(19)),
            false => quotient,
        }
    }

    fn classify(self) -> FpCategory {
        self.value.classify()
    }

    fn abs(self) -> Self {
        Self { value: self.value.abs(), ..self }
    }

    fn mul_add(self, a: Self, b: Self) -> Self {
        self * a + b
    }

    fn recip(self) -> Self {
        Self::one() / self
    }

    fn powi(self, n: i32) -> Self {
        self.powf(Self::of(n as f32))
    }

    fn powf(self, exponent: Self) -> Self {
        let (x, c) = (self.value, exponent.value);
        let value = x.powf(c);
        if c == 0.0 {
            return Self::exact(value);
        }
        // Repeated squaring rounds each factor; e^(c·ln x) multiplies the error of the exponent.
        let exponential = 3.0 * (c * x.abs().ln()).abs();
        let roundings = 6.0 + if c.abs() <= 64.0 { c.abs() } else { 0.0 };
        let roundings = roundings + if exponential.is_finite() { exponential } else { 0.0 };
        let ends = [x - self.error, x + self.error, 0.0];
        let crosses = x.abs() < self.error;
        let propagated = match self.error == 0.0 {
            true => 0.0,
            false => ends[..if crosses { 3 } else { 2 }]
                .iter()
                .map(|x| (x.powf(c) - value).abs())
                .fold(0.0, |m, e| if e.is_nan() { f64::INFINITY } else { m.max(e) }),
        };
        Self::rounded(value, propagated, roundings)
    }

    fn sqrt(self) -> Self {
        // Monotone for values of 0 and above; NaN below, and then without a bound.
        self.monotone(f64::sqrt, 1.0)
    }

    fn exp(self) -> Self {
        self.monotone(f64::exp, halves(0))
    }

    fn exp_m1(self) -> Self {
        self.monotone(f64::exp_m1, halves(1))
    }

    fn ln(self) -> Self {
        self.monotone(f64::ln, halves(2))
    }

    fn ln_1p(self) -> Self {
        self.monotone(f64::ln_1p, halves(3))
    }

    fn log(self, base: Self) -> Self {
        self.ln() / base.ln()
    }

    fn tanh(self) -> Self {
        self.monotone(f64::tanh, halves(4))
    }

    fn sin(self) -> Self {
        self.wave(f64::sin, halves(6))
    }

    fn cos(self) -> Self {
        self.wave(f64::cos, halves(7))
    }

    fn sin_cos(self) -> (Self, Self) {
        (self.sin(), self.cos())
    }

    fn max(self, other: Self) -> Self {
        Self::largest_of([self, other].into_iter())
    }

    fn min(self, other: Self) -> Self {
        -Self::largest_of([-self, -other].into_iter())
    }

    fn abs_sub(self, other: Self) -> Self {
        (self - other).max(Self::zero())
    }

    fn hypot(self, other: Self) -> Self {
        // Its slopes are 1 at most.
        Self::rounded(self.value.hypot(other.value), self.error + other.error, halves(21))
    }

    fn atan2(self, other: Self) -> Self {
        let value = self.value.atan2(other.value);
        let errors = self.error + other.error;
        if errors == 0.0 {
            return Self::rounded(value, 0.0, halves(20));
        }
        let distance = self.value.hypot(other.value) - errors;
        let may_cross = self.value.abs() <= self.error && other.value <= other.error;
        match distance > 0.0 && !may_cross {
            // The arcsine of a share grows π/2 times as fast at most.
            true => Self::rounded(value, 1.6 * errors / distance, halves(20)),
            false => Self::unknown(value),
        }
    }

    fn integer_decode(self) -> (u64, i16, i8) {
        self.value.integer_decode()
    }
}

impl<const BITS: u32> Tracked<BITS> {
    /// The sine or cosine, whose slope is 1 at most; NaN beyond 2²⁰.
    fn wave(self, f: impl Fn(f64) -> f64, halves: f64) -> Self {
        if BITS == 24 && self.value.abs() + self.error > 1_048_576.0 {
            return Self::unknown(f(self.value));
        }
        Self::rounded(f(self.value), self.error.min(2.0), halves)
    }
}
