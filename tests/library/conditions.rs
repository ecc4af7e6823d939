//! Conditions: comparisons, logic and choices, their operators, and gradients of what is not chosen.

use bilro::Backend;
use bilro::prelude::*;
use ndarray::{Array2, array};

const NAN: f32 = f32::NAN;
const INF: f32 = f32::INFINITY;
const BACKENDS: [Backend; 3] = [Backend::Jit, Backend::Interpreter, Backend::InterpreterF32];

network! {
    /// Every operator and function of conditions.
    struct Conditions {
        input a: [9];
        input b: [9];
        output greater = a > b;
        output greater_equal = a >= b;
        output less = a < b;
        output less_equal = a<=b;
        output equal = a == b;
        output not_equal = a!=b;
        output aliases = gt(a, b) + 2 * ge(a, b) + 4 * lt(a, b) + 8 * le(a, b) + 16 * eq(a, b) + 32 * ne(a, b);
        output and = a & b;
        output or = a | b;
        output xor = logical_xor(a, b);
        output not = !a;
        output nan = isnan(a);
        output infinite = isinf(a);
        output finite = a.isfinite();
        output chosen = where(a, b, -a);
        output filled = a.masked_fill(b, -3);
    }
}

/// As PyTorch's; a number is true unless it is 0.
#[test]
fn conditions_are_those_of_pytorch() {
    let a = array![[1.0, 2.0, 2.0, 0.0, -0.0, NAN, 1.0, INF, -INF]];
    let b = array![[2.0, 1.0, 2.0, -0.0, 3.0, NAN, NAN, INF, 0.0]];
    let pairs: Vec<(f32, f32)> = a.iter().copied().zip(b.iter().copied()).collect();
    for backend in BACKENDS {
        let model = Conditions::model().backend(backend).build().unwrap();
        let y = model.predict(conditions::Input { a: a.view(), b: b.view() }).unwrap();
        let is = |y: &Array2<f32>, holds: fn(f32, f32) -> bool| {
            let expected: Vec<f32> = pairs.iter().map(|(a, b)| f32::from(holds(*a, *b))).collect();
            assert_eq!(y.as_slice().unwrap(), expected, "{backend:?}");
        };
        is(&y.greater, |a, b| a > b);
        is(&y.greater_equal, |a, b| a >= b);
        is(&y.less, |a, b| a < b);
        is(&y.less_equal, |a, b| a <= b);
        is(&y.equal, |a, b| a == b);
        is(&y.not_equal, |a, b| a != b);
        is(&y.and, |a, b| a != 0.0 && b != 0.0);
        is(&y.or, |a, b| a != 0.0 || b != 0.0);
        is(&y.xor, |a, b| (a != 0.0) != (b != 0.0));
        is(&y.not, |a, _| a == 0.0);
        is(&y.nan, |a, _| a.is_nan());
        is(&y.infinite, |a, _| a.is_infinite());
        is(&y.finite, |a, _| a.is_finite());
        let all = [&y.greater, &y.greater_equal, &y.less, &y.less_equal, &y.equal, &y.not_equal];
        let sum = (0..).zip(all).map(|(i, y)| y * f32::from(1u8 << i)).reduce(|a, b| a + b);
        assert_eq!(y.aliases, sum.unwrap());
        for (i, (a, b)) in pairs.iter().enumerate() {
            let same = |x: f32, y: f32| x == y || (x.is_nan() && y.is_nan());
            assert!(same(y.chosen[[0, i]], if *a != 0.0 { *b } else { -a }), "{backend:?} {a} {b}");
            assert!(
                same(y.filled[[0, i]], if *b != 0.0 { -3.0 } else { *a }),
                "{backend:?} {a} {b}"
            );
        }
    }
}

network! {
    /// Functions whose slopes are infinite or NaN where they are not chosen.
    struct Chosen {
        input x: [4] grad;
        input m: [4];
        param p: [4] = ones;
        let root = where(x > 0, sqrt(x), 0);
        // Several functions, and a choice within another.
        let deep = where(m, exp(log(where(x > 1, sqrt(x - 1), 2)) * 0.5), x);
        // By the other side, with a value that both sides use.
        let both = where(x <= 0, x, log(x) * sqrt(p - 1 + x));
        let filled = masked_fill(reciprocal(x), x == 0, 7);
        output y = root + 2 * deep + 4 * both + 8 * filled;
        loss sum(y);
    }
}

#[test]
fn values_that_are_not_chosen_have_the_gradient_zero() {
    let x = array![[0.0, -1.0, 4.0, 1.0]];
    let m = array![[1.0, 0.0, 1.0, 0.0]];
    // The derivatives of what is chosen.
    let slope = |x: f32, m: f32| {
        let root = if x > 0.0 { 0.5 / x.sqrt() } else { 0.0 };
        let deep = match (m != 0.0, x > 1.0) {
            (false, _) => 1.0,
            (true, true) => 0.25 * (x - 1.0).powf(-0.75),
            (true, false) => 0.0,
        };
        let both = if x <= 0.0 { 1.0 } else { 1.0 / x.sqrt() + 0.5 * x.ln() / x.sqrt() };
        let filled = if x == 0.0 { 0.0 } else { -1.0 / (x * x) };
        root + 2.0 * deep + 4.0 * both + 8.0 * filled
    };
    for backend in BACKENDS {
        let model = Chosen::model().backend(backend).build().unwrap();
        let found = model.gradients(chosen::Batch { x: x.view(), m: m.view() }).unwrap();
        for ((x, m), found_x) in x.iter().zip(&m).zip(&found.x) {
            let expected = slope(*x, *m);
            let distance = (found_x - expected).abs();
            assert!(
                distance <= 1e-5 * expected.abs(),
                "{backend:?} at {x}: {found_x}, not {expected}"
            );
        }
        let slopes: Vec<f32> =
            x.iter().map(|x| if *x > 0.0 { x.ln() / x.sqrt() } else { 0.0 }).collect();
        for (found, expected) in found.p.iter().zip(slopes) {
            assert!(
                (found - 2.0 * expected).abs() <= 1e-5 * expected.abs(),
                "{backend:?}: {found}, not {expected}"
            );
        }
    }
}
