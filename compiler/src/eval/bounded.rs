//! Running error analysis: a value together with a bound on the error of machine code.
//!
//! [`Bounded`] is a number type of the interpreter. Its `value` is the result in f64; its `error`
//! bounds the distance of any f32 computation of the same operation. Every operation propagates the
//! errors of its operands and adds its own:
//!
//! - `+ - · /` and roots are rounded to nearest: 2⁻²⁴ of the result, and 2⁻¹⁴⁹ where it may be
//!   denormal;
//! - functions have the largest errors that their documentation states and the tests of `codegen`
//!   check: [`ULPS`];
//! - sums of `n` terms, and products of matrices, have `(leaf + 64 · levels) · 2⁻²⁴` of the terms'
//!   magnitudes, as sums are blocked (N. J. Higham, *The accuracy of floating point summation*,
//!   1993, §3), and never more than `n` roundings;
//! - a comparison that the errors leave open is evaluated both ways: the result's error covers both
//!   branches ([`Real::all_branches`]);
//! - if a result may overflow, or a divisor may be zero, the error is infinite: no bound is known.
//!
//! The bounds are worst cases: no distribution of rounding errors is assumed. They restate the
//! documented accuracy, and use no code of the compiler that they check.

mod arithmetic;

use std::cell::RefCell;
use std::cmp::Ordering;

use ndarray::{Array2, ArrayView2};

use super::Real;

/// A value, and a bound on the distance of f32 results; see the [module](self).
pub type Bounded = Tracked<24>;

/// The same for f64: a bound on the distance of the exact value, and of any other way to compute it in
/// f64. Errors of the inputs are propagated to the results.
pub type Fine = Tracked<53>;

/// A value in f64, and a bound on its distance to results with a precision of `BITS` bits.
#[derive(Clone, Copy, Debug)]
pub struct Tracked<const BITS: u32> {
    /// The value in f64.
    pub value: f64,
    /// An upper bound on the distance; infinite if none is known.
    pub error: f64,
}

/// The smallest positive float.
const TINY: f64 = 1.401_298_464_324_817e-45;
/// The maximum number of terms of a chain of additions.
const CHAIN: usize = 1024;
/// The number of sums that are added up at each level of a blocked sum.
const FAN: usize = 64;
/// The maximum number of outcomes of comparisons for one element; beyond it, no bound is known.
const MAX_BRANCHES: usize = 256;

/// The largest errors of functions, in units in the last place.
pub const ULPS: &[(&str, f64)] = &[
    ("exp", 1.0),
    ("expm1", 1.5),
    ("log", 1.0),
    ("log1p", 2.5),
    ("tanh", 1.5),
    ("erf", 1.5),
    ("sin", 2.0),
    ("cos", 2.0),
    ("exp2", 1.0),
    ("log2", 1.0),
    ("log10", 1.0),
    ("asin", 2.5),
    ("acos", 1.5),
    ("atan", 2.5),
    ("sinh", 2.0),
    ("cosh", 1.5),
    ("asinh", 3.0),
    ("acosh", 3.5),
    ("atanh", 3.0),
    ("tan", 4.5),
    ("atan2", 3.5),
    ("hypot", 2.5),
    ("erfc", 5.5),
];

/// The error of a function in half units in the last place.
const fn halves(index: usize) -> f64 {
    2.0 * ULPS[index].1
}

impl<const BITS: u32> Tracked<BITS> {
    /// Half a unit in the last place, relative, and a little more for the rounding of this type.
    const UNIT: f64 = (1.0 + 1.0 / 1048576.0) / (1u64 << BITS) as f64;
    /// The smallest positive number.
    const TINY: f64 = if BITS == 24 { TINY } else { 5e-324 };
    /// The largest number.
    const LARGEST: f64 = if BITS == 24 { f32::MAX as f64 } else { f64::MAX };

    /// A value without error.
    pub fn exact(value: f64) -> Self {
        Self { value, error: 0.0 }
    }

    /// A value with a propagated error, and a number of roundings of the result.
    fn rounded(value: f64, propagated: f64, roundings: f64) -> Self {
        if !value.is_finite() {
            return Self { value, error: if propagated == 0.0 { 0.0 } else { f64::INFINITY } };
        }
        let size = value.abs() + propagated;
        let error = match size == 0.0 {
            true => 0.0,
            false => propagated + roundings * Self::UNIT * size + Self::TINY,
        };
        Self { value, error }.within_range()
    }

    /// Values beyond the largest float are infinite; those that may be beyond it have no bound.
    fn within_range(self) -> Self {
        let Self { value, error } = self;
        if value.abs() + error <= Self::LARGEST {
            self
        } else if value.abs() - error > Self::LARGEST * (1.0 + Self::UNIT) {
            Self::exact(f64::INFINITY.copysign(value))
        } else {
            Self { value, error: f64::INFINITY }
        }
    }

    /// A monotone function with an error of `halves` half units in the last place.
    fn monotone(self, f: impl Fn(f64) -> f64, halves: f64) -> Self {
        let value = f(self.value);
        if self.error == 0.0 {
            return Self::rounded(value, 0.0, halves);
        }
        let [low, high] = [f(self.value - self.error), f(self.value + self.error)];
        let propagated = (value - low).abs().max((high - value).abs());
        let is_known = !(value - low).is_nan() && !(high - value).is_nan();
        Self::rounded(value, if is_known { propagated } else { f64::INFINITY }, halves)
    }

    /// A monotone function that is exact where its argument is, and has steps.
    fn stepped(self, f: impl Fn(f64) -> f64) -> Self {
        let value = f(self.value);
        if self.error == 0.0 {
            return Self::exact(value);
        }
        let [low, high] = [f(self.value - self.error), f(self.value + self.error)];
        let error = (value - low).max(high - value);
        Self { value, error: if error.is_nan() { f64::INFINITY } else { error } }
    }

    /// A value without a known bound.
    fn unknown(value: f64) -> Self {
        Self { value, error: f64::INFINITY }
    }

    /// Whether a bound is known.
    fn is_known(self) -> bool {
        self.error < f64::INFINITY
    }

    /// Whether it is infinite without error.
    fn is_surely_infinite(self) -> bool {
        self.value.is_infinite() && self.error == 0.0
    }

    /// The order of two values, unless the errors leave it open.
    fn order(self, other: Self) -> Option<Ordering> {
        let Some(order) = self.value.partial_cmp(&other.value) else { return Some(Ordering::Less) };
        let errors = self.error + other.error;
        let is_open = errors > 0.0 && (self.value - other.value).abs() <= errors;
        let is_open = is_open || errors == f64::INFINITY || errors.is_nan();
        (!is_open).then_some(order)
    }

    fn compare(self, other: Self, holds: impl Fn(Ordering) -> bool) -> bool {
        let natural = self.value.partial_cmp(&other.value);
        match (natural, self.order(other)) {
            // A NaN without a known bound may be a number in f32.
            (None, _) => !(self.is_known() && other.is_known()) && decide(false),
            (_, Some(order)) => holds(order),
            (Some(natural), None) => decide(holds(natural)),
        }
    }

    /// A sum with a propagated error, whose terms' magnitudes add up to `size`.
    fn summed(value: f64, propagated: f64, size: f64, roundings: f64) -> Self {
        if !value.is_finite() {
            return Self { value, error: if propagated == 0.0 { 0.0 } else { f64::INFINITY } };
        }
        // A partial sum may overflow although the total does not.
        if size > Self::LARGEST {
            return Self::unknown(value);
        }
        Self { value, error: propagated + roundings * Self::UNIT * size }.within_range()
    }
}

/// The number of roundings of a term in a blocked sum of `n` terms whose longest chain is `leaf`.
fn roundings(n: usize, leaf: usize) -> f64 {
    let (mut sums, mut levels) = (n.div_ceil(leaf), 0);
    while sums > 1 {
        (sums, levels) = (sums.div_ceil(FAN), levels + 1);
    }
    n.min(leaf + FAN * levels) as f64
}

/// The chosen outcomes of open comparisons.
#[derive(Default)]
struct Branches {
    is_active: bool,
    path: Vec<bool>,
    next: usize,
}

thread_local! {
    static BRANCHES: RefCell<Branches> = RefCell::default();
}

/// The outcome of an open comparison; `natural` is that of the values.
fn decide(natural: bool) -> bool {
    BRANCHES.with_borrow_mut(|branches| {
        if !branches.is_active {
            return natural;
        }
        if branches.next == branches.path.len() {
            branches.path.push(natural);
        }
        branches.next += 1;
        branches.path[branches.next - 1]
    })
}

/// Runs a function with these outcomes of its first open comparisons; returns the outcomes of all.
fn run<T>(f: &impl Fn() -> T, path: Vec<bool>) -> (T, Vec<bool>) {
    BRANCHES.with_borrow_mut(|branches| *branches = Branches { is_active: true, path, next: 0 });
    let y = f();
    let path = BRANCHES.with_borrow_mut(|branches| {
        branches.is_active = false;
        std::mem::take(&mut branches.path)
    });
    (y, path)
}

impl<const BITS: u32> Real for Tracked<BITS> {
    fn of(x: f32) -> Self {
        Self::exact(x.wide())
    }

    fn of_f64(x: f64) -> Self {
        let is_float = BITS > 24 || (x as f32).wide() == x || x.is_nan();
        if is_float { Self::exact(x) } else { Self::rounded(x, 0.0, 1.0) }
    }

    fn wide(self) -> f64 {
        self.value
    }

    fn erf(self) -> Self {
        self.monotone(libm::erf, halves(5))
    }

    fn erfc(self) -> Self {
        let y = self.monotone(libm::erfc, halves(22));
        // A denormal result has the errors of denormal factors.
        y.widened(8.0 * Self::TINY)
    }

    fn round_even(self) -> Self {
        self.stepped(f64::round_ties_even)
    }

    fn sum_of(terms: impl Iterator<Item = Self>, leaf: usize) -> Self {
        let (mut n, mut value, mut propagated, mut size) = (0, 0.0, 0.0, 0.0);
        for term in terms {
            n += 1;
            value += term.value;
            propagated += term.error;
            size += term.value.abs() + term.error;
        }
        match n {
            0 | 1 => Self { value, error: propagated },
            _ => Self::summed(value, propagated, size, roundings(n, leaf.max(CHAIN))),
        }
    }

    fn largest_of(terms: impl Iterator<Item = Self>) -> Self {
        let (mut value, mut low, mut high) =
            (f64::NEG_INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY);
        let (mut is_nan, mut is_known) = (false, true);
        for term in terms {
            is_nan |= term.value.is_nan();
            is_known &= term.is_known();
            value = value.max(term.value);
            low = low.max(term.value - term.error);
            high = high.max(term.value + term.error);
        }
        if is_nan || !is_known {
            let value = if is_nan { f64::NAN } else { value };
            return Self { value, error: if is_known { 0.0 } else { f64::INFINITY } };
        }
        let error = match high == low {
            true => 0.0,
            false => (high - value).max(value - low),
        };
        Self { value, error }
    }

    fn product_of(a: &ArrayView2<'_, Self>, b: &ArrayView2<'_, Self>) -> Vec<Self> {
        let n = a.ncols();
        let values = [a, b].map(|x| x.mapv(|x| x.value));
        let sizes = [a, b].map(|x| x.mapv(|x| x.value.abs() + x.error));
        let errors = [a, b].map(|x| x.mapv(|x| x.error));
        let has_errors = errors.each_ref().map(|e| e.iter().any(|e| *e != 0.0));
        let value = values[0].dot(&values[1]);
        let size = sizes[0].dot(&sizes[1]);
        // |a|·eb + ea·(|b| + eb)
        let mut propagated = Array2::<f64>::zeros(value.dim());
        if has_errors[1] {
            propagated += &values[0].mapv(f64::abs).dot(&errors[1]);
        }
        if has_errors[0] {
            propagated += &errors[0].dot(&sizes[1]);
        }
        let roundings = roundings(n, CHAIN);
        let elements = value.iter().zip(&propagated).zip(&size);
        elements
            .map(|((value, propagated), size)| {
                let tiny = if *size == 0.0 { 0.0 } else { n as f64 * Self::TINY };
                let propagated = if propagated.is_nan() { f64::INFINITY } else { *propagated };
                Self::summed(*value, propagated, *size, roundings).widened(tiny)
            })
            .collect()
    }

    fn all_branches(f: impl Fn() -> Self) -> Self {
        let (mut y, mut path) = run(&f, Vec::new());
        if path.is_empty() {
            return y;
        }
        // Depth first: the last outcome that has not been flipped.
        let mut flipped = vec![false; path.len()];
        for _ in 0..MAX_BRANCHES {
            let Some(last) = flipped.iter().rposition(|flipped| !flipped) else { return y };
            path.truncate(last + 1);
            flipped.truncate(last + 1);
            (path[last], flipped[last]) = (!path[last], true);
            let other;
            (other, path) = run(&f, path);
            flipped.resize(path.len(), false);
            let distance = match other.value == y.value {
                true => 0.0,
                false => (other.value - y.value).abs(),
            };
            let error = distance + other.error;
            y.error = if error.is_nan() { f64::INFINITY } else { y.error.max(error) };
        }
        Self::unknown(y.value)
    }
}

impl<const BITS: u32> Tracked<BITS> {
    fn widened(self, by: f64) -> Self {
        match self.value.is_finite() {
            true => Self { error: self.error + by, ..self },
            false => self,
        }
    }
}

impl Bounded {
    /// The bound of a result: `tolerance` times the error, and `slack` times the magnitude.
    pub fn bound(self, tolerance: f64, slack: f64) -> f64 {
        tolerance * self.error + slack * self.value.abs()
    }

    /// The distance of a result of f32 in units of [`Bounded::bound`]; `None` if no bound is known.
    /// Values too large for a float are infinite; a result that is infinite or NaN must be the same.
    pub fn distance_of(self, found: f64, tolerance: f64, slack: f64) -> Option<f64> {
        if !self.error.is_finite() {
            return None;
        }
        let value = match (self.value as f32).is_finite() {
            true => self.value,
            false => f64::from(self.value as f32),
        };
        if !value.is_finite() {
            let found = f64::from(found as f32);
            let is_same = found == value || (found.is_nan() && value.is_nan());
            return Some(if is_same { 0.0 } else { f64::INFINITY });
        }
        let distance = (found - value).abs();
        match distance == 0.0 {
            true => Some(0.0),
            false if distance.is_nan() => Some(f64::INFINITY),
            false => Some(distance / self.bound(tolerance, slack)),
        }
    }
}

/// The expectations of results of compiled code: the declared values in f64, with the errors of the
/// compiled graph in f32.
///
/// Where a result is beyond its error, the declared graph may not have the value of f64 in f32 either:
/// an intermediate result overflows, or is at a kink. So a result is right too if it is within the
/// errors of both graphs of the value of the declared graph in f32, which `declared_in_f32` evaluates.
pub fn expectations(
    found: &[f64],
    declared: &[f64],
    compiled: &[Bounded],
    declared_in_f32: impl FnOnce() -> Vec<Bounded>,
    [tolerance, slack]: [f64; 2],
) -> Vec<Bounded> {
    let pairs = declared.iter().zip(compiled);
    let mut expected: Vec<Bounded> =
        pairs.map(|(value, compiled)| Bounded { value: *value, error: compiled.error }).collect();
    let is_wrong = |found: f64, expected: Bounded| {
        expected.distance_of(found, tolerance, slack).is_some_and(|distance| distance > 1.0)
    };
    let wrong: Vec<usize> = (0..expected.len().min(found.len()))
        .filter(|i| is_wrong(found[*i], expected[*i]))
        .collect();
    if wrong.is_empty() {
        return expected;
    }
    let declared = declared_in_f32();
    for i in wrong {
        let other =
            Bounded { value: declared[i].value, error: declared[i].error + compiled[i].error };
        if !is_wrong(found[i], other) {
            expected[i] = other;
        }
    }
    expected
}

#[cfg(test)]
mod tests {
    use num_traits::{Float, One, Zero};

    use super::*;

    /// f32 arithmetic on numbers within the errors stays within the bounds.
    #[test]
    fn f32_stays_within_the_bounds() {
        let mut state = 7u64;
        let mut draw = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 40) as f32 / (1 << 22) as f32 - 2.0
        };
        let mut worst = 0f64;
        for _ in 0..20_000 {
            let [a, b, c] = [draw(), draw(), draw()];
            let formula = |a: f32, b: f32, c: f32| {
                [a * b + c, (a - b) / (c.abs() + 0.5), (a * b).tanh() * c.exp(), a.max(b) - c]
            };
            let [x, y, z] = [a, b, c].map(Bounded::of);
            let bounded = [
                x * y + z,
                (x - y) / (z.abs() + Bounded::of(0.5)),
                (x * y).tanh() * z.exp(),
                x.max(y) - z,
            ];
            for (found, bound) in formula(a, b, c).into_iter().zip(bounded) {
                let distance = (found.wide() - bound.value).abs();
                assert!(distance <= bound.error, "{a} {b} {c}: {found} and {bound:?}");
                worst = worst.max(distance / bound.error);
            }
        }
        // Bounds far above the errors would be useless.
        assert!(worst > 0.5, "{worst}");
    }

    #[test]
    fn open_comparisons_are_evaluated_both_ways() {
        let relu = |x: Bounded| {
            Bounded::all_branches(|| if x < Bounded::zero() { Bounded::zero() } else { x })
        };
        let y = relu(Bounded { value: -0.1, error: 0.25 });
        assert_eq!((y.value, y.error), (0.0, 0.35));
        let y = relu(Bounded { value: -0.5, error: 0.25 });
        assert_eq!((y.value, y.error), (0.0, 0.0));
        let step = |x: Bounded| {
            let one = || if x > Bounded::zero() { Bounded::one() } else { Bounded::zero() };
            Bounded::all_branches(one)
        };
        assert_eq!(step(Bounded { value: 0.1, error: 0.25 }).error, 1.0);
        assert_eq!(step(Bounded { value: 0.5, error: 0.25 }).error, 0.0);
    }

    #[test]
    fn sums_and_products_of_f32_stay_within_the_bounds() {
        let terms: Vec<f32> = (0..5000).map(|i| ((i * 37 % 101) as f32 - 50.0) / 7.0).collect();
        for n in [1, 2, 17, 1000, 5000] {
            let naive: f32 = terms[..n.min(1000)].iter().sum();
            let bound = Bounded::sum_of(terms[..n.min(1000)].iter().map(|x| Bounded::of(*x)), 0);
            assert!((naive.wide() - bound.value).abs() <= bound.error);
            let view = ndarray::ArrayView2::from_shape((1, n), &terms[..n]).unwrap();
            let bounded = view.mapv(Bounded::of);
            let product = Bounded::product_of(&bounded.view(), &bounded.t().view())[0];
            let size: f64 = terms[..n].iter().map(|x| x.wide().powi(2)).sum();
            assert!((product.value - size).abs() <= 1e-9 * size);
            assert!(product.error <= (1024.0 + 64.0) * 6e-8 * size);
        }
        assert_eq!(roundings(7, CHAIN), 7.0);
        assert_eq!(roundings(1024 * 64, CHAIN), 1024.0 + 64.0);
        assert_eq!(roundings(1024 * 65, CHAIN), 1024.0 + 128.0);
    }

    #[test]
    fn overflow_and_division_by_zero_have_no_bound() {
        let large = Bounded::of(f32::MAX);
        assert_eq!((large * large).value, f64::INFINITY);
        assert_eq!((large * large).error, 0.0);
        assert_eq!((large * Bounded::of(1.0)).error, f64::INFINITY);
        let zero = Bounded { value: 1e-9, error: 1e-8 };
        assert_eq!((Bounded::one() / zero).error, f64::INFINITY);
        assert_eq!(zero.ln().error, f64::INFINITY);
        // The score of a masked class is -∞ exactly.
        assert_eq!(Bounded::of(f32::NEG_INFINITY).exp().value, 0.0);
    }
}
