//! Tests of the transcendental functions: errors against f64, machine code against the
//! evaluator.

use super::{artifact, check, elementwise, floats, targets};
use crate::codegen::module::Executable;
use crate::expr::{Expr, Expressions};
use crate::plan::{Allocation, Region};
use crate::target::Target;

/// The values of a function by machine code, as bits.
fn values(
    target: Target,
    f: impl FnOnce(&mut Expressions, Expr) -> Expr,
    mut x: Vec<u32>,
) -> Vec<u32> {
    let program = elementwise(target.lanes, x.len(), f);
    let allocations =
        [Region::Arena, Region::Parameters].map(|region| Allocation { region, offset: 0 });
    let regions = [Region::Arena, Region::Parameters];
    let executable =
        Executable::new(&artifact(vec![program], &allocations, &regions), false).unwrap();
    let mut y = vec![0u32; x.len()];
    let table = [x.as_mut_ptr().cast(), y.as_mut_ptr().cast()];
    // SAFETY: both are as long as the program's buffers, and not used by other code.
    unsafe { executable.run(&table) };
    y
}

/// The largest error of `f` in units in the last place of the exact result,
/// over bit patterns in the entire range of floats.
fn largest_error(
    target: Target,
    f: impl FnOnce(&mut Expressions, Expr) -> Expr,
    exact: fn(f64) -> f64,
    counts: fn(f32, f64) -> bool,
) -> (f64, f32) {
    let n = 1 << 20;
    let mut x: Vec<u32> =
        (0..n as u32).map(|i| i.wrapping_mul(4096).wrapping_add(i >> 8)).collect();
    let special = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        1e-42,
        -1e-42,
        f32::MIN_POSITIVE,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        f32::MAX,
        f32::MIN,
        88.72283,
        88.72284,
        88.0,
        -87.33654,
        -87.33655,
        -88.0,
        -104.0,
        // The last that are not 0, and the smallest result that is not denormal.
        -103.972_08,
        -103.97,
        -103.5,
        -103.2,
        -95.0,
        -87.336_55,
        88.8,
        89.5,
        0.625,
        0.62499,
        10.0,
        -10.0,
        2.0,
        // The splits of expm1 and erf, and the end of sin's range.
        2.980_232_2e-8,
        -17.5,
        0.925,
        0.924_999_95,
        3.9,
        4.0,
        1_048_576.0,
        -1_048_576.1,
        1_048_575.94,
        // The nearest floats to multiples of π/2.
        std::f32::consts::FRAC_PI_2,
        std::f32::consts::PI,
        -std::f32::consts::TAU,
        16_367.173,
        1_036_725.6,
    ];
    x.extend(special.iter().map(|x: &f32| x.to_bits()));
    x.extend(near_splits());
    let y = values(target, f, x.clone());

    let mut worst = (0.0, 0.0);
    for (x, y) in x.iter().zip(&y) {
        let (x, y) = (f32::from_bits(*x), f32::from_bits(*y));
        let e = exact(f64::from(x));
        assert_eq!(e.is_nan(), y.is_nan(), "f({x:?}) = {y:?}, not {e:?}");
        if e.is_nan() || !counts(x, e) {
            continue;
        }
        let nearest = e as f32;
        if nearest.is_infinite() || y.is_infinite() || nearest == 0.0 {
            assert_eq!(nearest, y, "at {x:?}");
            continue;
        }
        let unit =
            f64::from(f32::from_bits(nearest.abs().to_bits() + 1)) - f64::from(nearest.abs());
        let error = (f64::from(y) - e).abs() / unit;
        if error > worst.0 {
            worst = (error, x);
        }
    }
    worst
}

#[test]
fn functions_are_as_exact_as_documented() {
    let all = |_: f32, _: f64| true;
    // Its domain: from 0 to 1.
    let log1p_within = |e: &mut Expressions, x: Expr| {
        let (one, size) = (e.float(1.0), e.abs(x));
        let x = e.min(one, size);
        e.log1p(x)
    };
    let normal = |_: f32, y: f64| y >= f64::from(f32::MIN_POSITIVE);
    let above = |x: f32, _: f64| x >= -87.33654;
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let log1p = |x: f64| x.abs().clamp(0.0, 1.0).ln_1p();
    let softplus = |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p();
    let mish = |x: f64| {
        let e = x.min(100.0).exp();
        x * (e * (e + 2.0) / (e * (e + 2.0) + 2.0))
    };
    let sin = |x: f64| if x.abs() > 1_048_576.0 { f64::NAN } else { x.sin() };
    let cos = |x: f64| if x.abs() > 1_048_576.0 { f64::NAN } else { x.cos() };
    let tan = |x: f64| if x.abs() > 1_048_576.0 { f64::NAN } else { x.tan() };
    let tangent = |e: &mut Expressions, x: Expr| {
        let (sin, cos) = (e.sin(x), e.cos(x));
        e.div(sin, cos)
    };
    // That of the standard library overflows.
    let acosh = |x: f64| if x > 1e10 { x.ln() + std::f64::consts::LN_2 } else { x.acosh() };
    for target in targets() {
        let errors = [
            ("exp", 1.0, largest_error(target, Expressions::exp, f64::exp, all)),
            ("log", 1.0, largest_error(target, Expressions::log, f64::ln, all)),
            ("tanh", 1.5, largest_error(target, Expressions::tanh, f64::tanh, all)),
            ("sigmoid", 2.5, largest_error(target, Expressions::sigmoid, sigmoid, all)),
            ("expm1", 1.5, largest_error(target, Expressions::expm1, f64::exp_m1, all)),
            ("log1p", 2.5, largest_error(target, log1p_within, log1p, all)),
            ("softplus", 3.5, largest_error(target, Expressions::softplus, softplus, all)),
            ("mish", 4.5, largest_error(target, Expressions::mish, mish, above)),
            ("erf", 1.5, largest_error(target, Expressions::erf, libm::erf, all)),
            ("erfc", 5.5, largest_error(target, Expressions::erfc, libm::erfc, normal)),
            ("sin", 2.0, largest_error(target, Expressions::sin, sin, all)),
            ("cos", 2.0, largest_error(target, Expressions::cos, cos, all)),
            ("exp2", 1.0, largest_error(target, Expressions::exp2, f64::exp2, all)),
            ("log2", 1.0, largest_error(target, Expressions::log2, f64::log2, all)),
            ("log10", 1.0, largest_error(target, Expressions::log10, f64::log10, all)),
            ("ln_1p", 2.5, largest_error(target, Expressions::ln_1p, f64::ln_1p, all)),
            ("asin", 2.5, largest_error(target, Expressions::asin, f64::asin, all)),
            ("acos", 1.5, largest_error(target, Expressions::acos, f64::acos, all)),
            ("atan", 2.5, largest_error(target, Expressions::atan, f64::atan, all)),
            ("sinh", 2.0, largest_error(target, Expressions::sinh, f64::sinh, all)),
            ("cosh", 1.5, largest_error(target, Expressions::cosh, f64::cosh, all)),
            ("asinh", 3.0, largest_error(target, Expressions::asinh, f64::asinh, all)),
            ("acosh", 3.5, largest_error(target, Expressions::acosh, acosh, all)),
            ("atanh", 3.0, largest_error(target, Expressions::atanh, f64::atanh, all)),
            ("tan", 4.5, largest_error(target, tangent, tan, all)),
            ("floor", 0.0, largest_error(target, Expressions::floor, f64::floor, all)),
            ("ceil", 0.0, largest_error(target, Expressions::ceil, f64::ceil, all)),
            ("trunc", 0.0, largest_error(target, Expressions::trunc, f64::trunc, all)),
            ("round", 0.0, largest_error(target, Expressions::round, f64::round_ties_even, all)),
        ];
        for (name, bound, (error, x)) in errors {
            println!("{name}: {error:.3} ulp at {x:?}");
            assert!(error <= bound, "{name}: {error} ulp at {x:?}");
        }
    }
}

/// Bit patterns around the powers of two and the splits of inverse functions, and halves.
fn near_splits() -> Vec<u32> {
    let around = [0.5, 1.0, 1.5, 2.5, 0.414_213_57, 2.414_213_6, 89.2, 89.415_98, 8_388_608.0];
    let around = around.iter().flat_map(|x: &f32| [x.to_bits(), (-x).to_bits()]);
    around.flat_map(|bits| (0..64).map(move |i| bits - 32 + i)).collect()
}

/// The error in units in the last place of two values at these pairs, with the pair.
fn largest_error_of_two(
    target: Target,
    f: impl Fn(&mut Expressions, Expr, Expr) -> Expr,
    exact: fn(f64, f64) -> f64,
) -> (f64, [f32; 2]) {
    let special = [0.0, -0.0, 1.0, -1.0, 2.5, -3.0, 1e-30, 1e30, -7e5, f32::INFINITY, f32::NAN];
    let mut state = 1u32;
    let mut draw = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 1_048_576.0 - 8.0
    };
    let mut second: Vec<f32> = special.to_vec();
    second.extend((0..40).map(|_| draw()));
    let mut first = [&special[..], &[-f32::INFINITY, 5.0, -5.0, 1e-40]].concat();
    first.extend((0..4000).map(|_| draw()));
    let mut worst = (0.0, [0.0; 2]);
    for b in second {
        let with = |e: &mut Expressions, x: Expr| {
            let b = e.float(b);
            f(e, x, b)
        };
        let x: Vec<u32> = first.iter().map(|x| x.to_bits()).collect();
        for (a, y) in first.iter().zip(values(target, with, x)) {
            let (a, y) = (*a, f32::from_bits(y));
            let e = exact(f64::from(a), f64::from(b));
            assert_eq!(e.is_nan(), y.is_nan(), "f({a:?}, {b:?}) = {y:?}, not {e:?}");
            let nearest = e as f32;
            if e.is_nan() || nearest == y {
                continue;
            }
            let next = f32::from_bits(nearest.abs().to_bits() + 1);
            let unit = f64::from(next) - f64::from(nearest.abs());
            let error = (f64::from(y) - e).abs() / unit;
            if error.is_nan() || error > worst.0 {
                worst = (error, [a, b]);
            }
        }
    }
    worst
}

#[test]
fn functions_of_two_values_are_as_exact_as_documented() {
    let remainder = |a: f64, b: f64| match a % b {
        _ if (a / b).abs() > 8_388_608.0 => f64::NAN,
        r if r != 0.0 && (r < 0.0) != (b < 0.0) => r + b,
        r => r,
    };
    let fmod = |a: f64, b: f64| if (a / b).abs() > 8_388_608.0 { f64::NAN } else { a % b };
    for target in targets() {
        let errors = [
            ("hypot", 2.5, largest_error_of_two(target, Expressions::hypot, f64::hypot)),
            ("atan2", 3.5, largest_error_of_two(target, Expressions::atan2, f64::atan2)),
            ("fmod", 0.0, largest_error_of_two(target, Expressions::fmod, fmod)),
            ("remainder", 0.5, largest_error_of_two(target, Expressions::remainder, remainder)),
        ];
        for (name, bound, (error, x)) in errors {
            println!("{name}: {error:.3} ulp at {x:?}");
            assert!(error <= bound, "{name}: {error} ulp at {x:?}");
        }
    }
}

const FUNCTIONS: [fn(&mut Expressions, Expr) -> Expr; 28] = [
    Expressions::exp,
    Expressions::expm1,
    Expressions::log,
    Expressions::log1p,
    Expressions::tanh,
    Expressions::sigmoid,
    Expressions::softplus,
    Expressions::mish,
    Expressions::erf,
    Expressions::erfc,
    Expressions::sin,
    Expressions::cos,
    Expressions::exp2,
    Expressions::log2,
    Expressions::log10,
    Expressions::ln_1p,
    Expressions::asin,
    Expressions::acos,
    Expressions::atan,
    Expressions::sinh,
    Expressions::cosh,
    Expressions::asinh,
    Expressions::acosh,
    Expressions::atanh,
    Expressions::floor,
    Expressions::ceil,
    Expressions::trunc,
    Expressions::round,
];

#[test]
fn functions_agree_with_the_evaluator() {
    let bits = (0..4099u32).map(|i| i.wrapping_mul(0x000F_FEDC)).collect::<Vec<_>>();
    for target in targets() {
        for f in FUNCTIONS {
            let program = elementwise(target.lanes, 4099, f);
            check(&program, &[floats(4099, 9), vec![0; 4099]]);
            check(&program, &[bits.clone(), vec![0; 4099]]);
        }
    }
}
