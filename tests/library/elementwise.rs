//! Element-wise functions at their kinks, at infinities and NaN, against the definitions of PyTorch's
//! source.

use super::activations::{check, check_within};

const NAN: f32 = f32::NAN;
const INF: f32 = f32::INFINITY;

#[test]
fn roundings_are_those_of_pytorch() {
    let x =
        [-INF, -8_388_609.0, -2.5, -1.5, -0.5, -0.0, 0.5, 0.75, 1.5, 2.5, 4_194_304.5, INF, NAN];
    for (function, round) in [
        ("floor", f32::floor as fn(f32) -> f32),
        ("ceil", f32::ceil),
        ("round", f32::round_ties_even),
        ("trunc", f32::trunc),
    ] {
        check(function, &[], &x.map(|x| (x, round(x), 0.0)));
    }
    check("frac", &[], &[(-1.75, -0.75, 1.0), (2.5, 0.5, 1.0), (3.0, 0.0, 1.0), (INF, NAN, 1.0)]);
    let signs = [(-INF, -1.0), (-0.25, -1.0), (0.0, 0.0), (1e-40, 1.0), (INF, 1.0), (NAN, 0.0)];
    check("sign", &[], &signs.map(|(x, y)| (x, y, 0.0)));
}

#[test]
fn ends_of_domains_are_those_of_pytorch() {
    use std::f32::consts::{FRAC_PI_2, LN_2, LN_10, PI};
    check("exp2", &[], &[(10.0, 1024.0, 1024.0 * LN_2), (-INF, 0.0, 0.0), (128.0, INF, INF)]);
    check("log2", &[], &[(8.0, 3.0, 0.125 / LN_2), (0.0, -INF, INF), (-1.0, NAN, -1.0 / LN_2)]);
    check("log10", &[], &[(100.0, 2.0, 0.01 / LN_10), (0.0, -INF, INF), (INF, INF, 0.0)]);
    check("log1p", &[], &[(1e-10, 1e-10, 1.0), (-1.0, -INF, INF), (-2.0, NAN, -1.0)]);
    check("asin", &[], &[(1.0, FRAC_PI_2, INF), (0.0, 0.0, 1.0), (1.5, NAN, NAN)]);
    check("acos", &[], &[(1.0, 0.0, -INF), (-1.0, PI, -INF), (0.0, FRAC_PI_2, -1.0)]);
    check("atan", &[], &[(INF, FRAC_PI_2, 0.0), (-INF, -FRAC_PI_2, 0.0), (0.0, 0.0, 1.0)]);
    check("sinh", &[], &[(0.0, 0.0, 1.0), (INF, INF, INF), (-INF, -INF, INF)]);
    check("cosh", &[], &[(0.0, 1.0, 0.0), (INF, INF, INF), (-INF, INF, -INF)]);
    check("asinh", &[], &[(0.0, 0.0, 1.0), (-INF, -INF, 0.0)]);
    check("acosh", &[], &[(1.0, 0.0, INF), (0.5, NAN, NAN), (INF, INF, 0.0)]);
    check("atanh", &[], &[(1.0, INF, INF), (-1.0, -INF, INF), (0.0, 0.0, 1.0)]);
    check("sinc", &[], &[(0.0, 1.0, 0.0), (INF, NAN, NAN)]);
    check_within("sinc", &[], &[(0.5, 2.0 / PI, -4.0 / PI)], 1e-6);
    check(
        "logit",
        &[],
        &[(0.5, 0.0, 4.0), (0.0, -INF, INF), (1.0, INF, INF), (1.5, NAN, -4.0 / 3.0)],
    );
    check(
        "logit",
        &[("eps", 0.25)],
        &[(0.0, -1.098_612_3, 0.0), (0.25, -1.098_612_3, 16.0 / 3.0), (1.5, 1.098_612_3, 0.0)],
    );
}

#[test]
fn shrinking_activations_have_the_slopes_of_pytorch() {
    check(
        "relu6",
        &[],
        &[(0.0, 0.0, 0.0), (6.0, 6.0, 0.0), (3.0, 3.0, 1.0), (7.0, 6.0, 0.0), (NAN, NAN, 1.0)],
    );
    check(
        "hardswish",
        &[],
        &[(-3.0, 0.0, 0.0), (3.0, 3.0, 1.0), (0.0, 0.0, 0.5), (-4.0, 0.0, 0.0), (5.0, 5.0, 1.0)],
    );
    check("celu", &[("alpha", 2.0)], &[(0.0, 0.0, 1.0), (3.0, 3.0, 1.0), (-INF, -2.0, 0.0)]);
    check(
        "softshrink",
        &[],
        &[(0.5, 0.0, 0.0), (-0.5, 0.0, 0.0), (2.0, 1.5, 1.0), (-INF, -INF, 1.0), (NAN, NAN, 1.0)],
    );
    check(
        "hardshrink",
        &[("lambd", 1.0)],
        &[(1.0, 0.0, 0.0), (-1.0, 0.0, 0.0), (2.0, 2.0, 1.0), (-INF, -INF, 1.0), (NAN, NAN, 1.0)],
    );
    check("tanhshrink", &[], &[(0.0, 0.0, 0.0), (INF, INF, 1.0), (NAN, NAN, NAN)]);
    check(
        "threshold",
        &[("threshold", 1.0), ("value", 7.0)],
        &[(1.0, 7.0, 0.0), (1.5, 1.5, 1.0), (-INF, 7.0, 0.0), (NAN, NAN, 1.0)],
    );
}
