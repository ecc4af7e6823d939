//! Truncated normal distribution: normal values between two bounds.
//!
//! Takes a mean, a standard deviation and two bounds; fills values of the normal distribution
//! truncated to them. Guaranteed: no value is outside of the bounds.
//!
//! Source: `_no_grad_trunc_normal_` in PyTorch's `torch/nn/init.py`, as of version 2.15; earlier
//! versions invert the distribution function and draw other values.

use super::Generator;
use crate::rng::ln;
use crate::{Error, Result};
use std::f64::consts::SQRT_2;

/// The probability of the interval between the bounds from which on values are redrawn until they
/// are within it.
const REDRAW_PROBABILITY: f64 = 0.3;
/// The maximum number of redraws. The fraction of values outside is below 0.7 to the power of the
/// number of redraws: more are needed only if no value of f32 between the bounds can be drawn.
const MAX_REDRAWS: usize = 10_000;

/// `nn.init.trunc_normal_(mean, std, low, high)`: normal, but only values of `low` to `high`.
///
/// If a normal value is between the bounds with a probability above 0.3, all values are drawn, and
/// those outside are drawn again; otherwise candidates are drawn uniformly between the bounds, and
/// accepted with a probability proportional to the density (rejection sampling). The second is slow
/// if the bounds are very many standard deviations apart.
///
/// # Errors
///
/// [`Error::InvalidArgument`] if a number is not finite, `std` is not above 0, or `low` is above
/// `high`.
///
/// ```
/// use bilro::rng::{Generator, init};
///
/// let mut values = [0.0; 100];
/// init::trunc_normal(&mut Generator::new(7), &mut values, 0.0, 0.02, -0.04, 0.04)?;
/// assert!(values.iter().all(|x| x.abs() <= 0.04));
/// # Ok::<(), bilro::Error>(())
/// ```
pub fn trunc_normal(
    generator: &mut Generator,
    values: &mut [f32],
    mean: f64,
    std: f64,
    low: f64,
    high: f64,
) -> Result<()> {
    check(mean, std, low, high)?;
    let below = |x: f64| (1.0 + libm::erf((x - mean) / std / SQRT_2)) / 2.0;
    if below(high) - below(low) > REDRAW_PROBABILITY {
        redraw(generator, values, (mean, std), (low as f32, high as f32));
    } else {
        reject(generator, values, (mean, std), (low, high));
    }
    Ok(())
}

/// Draws values repeatedly, until all are between the bounds.
fn redraw(
    generator: &mut Generator,
    values: &mut [f32],
    (mean, std): (f64, f64),
    (low, high): (f32, f32),
) {
    let outside = |x: f32| x < low || x > high;
    generator.fill_normal(values, mean, std);
    let mut again = vec![0.0; values.len()];
    for _ in 0..MAX_REDRAWS {
        if !values.iter().any(|&x| outside(x)) {
            return;
        }
        generator.fill_normal(&mut again, mean, std);
        for (x, &again) in values.iter_mut().zip(&again) {
            if outside(*x) {
                *x = again;
            }
        }
    }
    values.iter_mut().for_each(|x| *x = x.clamp(low, high));
}

/// Rejection sampling: draws candidates between the bounds until one is accepted for each value.
fn reject(
    generator: &mut Generator,
    values: &mut [f32],
    (mean, std): (f64, f64),
    (low, high): (f64, f64),
) {
    // The maximum of the density between the bounds, where every candidate is accepted.
    let mode = mean.clamp(low, high);
    let log_peak = (-0.5 * ((mode - mean) / std).powi(2)) as f32;
    let (mean, std) = (mean as f32, std as f32);
    let mut pending = vec![true; values.len()];
    let (mut candidates, mut accept) = (vec![0.0; values.len()], vec![0.0; values.len()]);
    while pending.contains(&true) {
        generator.fill_uniform(&mut candidates, low as f32, high as f32);
        generator.fill_uniform(&mut accept, 0.0, 1.0);
        for (i, pending) in pending.iter_mut().enumerate() {
            if *pending {
                values[i] = candidates[i];
                let distance = (candidates[i] - mean) / std;
                *pending = ln(accept[i]) > distance * distance * -0.5 - log_peak;
            }
        }
    }
}

fn check(mean: f64, std: f64, low: f64, high: f64) -> Result<()> {
    let invalid = |name: &str, expected: &str, found: f64| Error::InvalidArgument {
        name: name.into(),
        expected: expected.into(),
        found: found.to_string(),
    };
    // Checked in f32, the type that is drawn.
    for (name, x) in [("mean", mean), ("std", std), ("low", low), ("high", high)] {
        if !(x as f32).is_finite() {
            return Err(invalid(name, "finite", x));
        }
    }
    if std as f32 <= 0.0 {
        return Err(invalid("std", "above 0", std));
    }
    if low > high {
        return Err(invalid("low", &format!("at most high, {high}"), low));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(len: usize, [mean, std, low, high]: [f64; 4]) -> (Vec<f32>, Generator) {
        let (mut generator, mut values) = (Generator::new(7), vec![0.0; len]);
        trunc_normal(&mut generator, &mut values, mean, std, low, high).unwrap();
        (values, generator)
    }

    /// The values of `trunc_normal_` after `torch.manual_seed(7)`, torch 2.15, and the next
    /// `torch.rand(1)`, which checks that the same number of draws was made.
    #[test]
    #[expect(clippy::excessive_precision, reason = "as PyTorch prints them")]
    fn values_are_pytorchs() {
        let cases: [([f64; 4], &[f32], f32); 4] = [
            (
                [0.0, 1.0, -1.0, 1.0],
                &[-0.14679509, 0.78614128, 0.94682163, -0.91793072, 0.3176783, -0.8948279],
                0.7368624210357666,
            ),
            (
                [0.5, 0.2, 0.4, 1.0],
                &[
                    0.69142044, 0.57912624, 0.67978168, 0.79225391, 0.539689, 0.65641451,
                    0.70782155, 0.43687177, 0.45520219, 0.5598284, 0.48379567, 0.77229702,
                    0.63802487, 0.63482016, 0.82240933, 0.81342477, 0.57672751, 0.88251376,
                    0.48748651, 0.42865551,
                ],
                0.8286788463592529,
            ),
            (
                [0.0, 1.0, 2.0, 3.0],
                &[2.5349226, 2.1988032, 2.0913777, 2.3592858, 2.5278018, 2.0730519],
                0.19561558961868286,
            ),
            (
                [-1.0, 0.5, 0.1, 4.0],
                &[
                    0.18353987, 0.37864849, 0.26784104, 0.10816091, 0.16468751, 0.17192069,
                    0.66929132, 0.18090287, 0.45266989, 0.17279728, 0.46962142, 0.10549461,
                    0.79024649, 0.58473492, 0.10258749, 0.22913095, 0.17623349,
                ],
                0.4421420097351074,
            ),
        ];
        for (arguments, expected, next) in cases {
            let (values, mut generator) = drawn(expected.len(), arguments);
            for (a, b) in values.iter().zip(expected) {
                assert!((a - b).abs() <= 1e-6, "{a}, PyTorch has {b}, for {arguments:?}");
            }
            assert_eq!(generator.uniform(0.0, 1.0), next, "{arguments:?}");
        }
    }

    #[test]
    fn both_algorithms_have_the_mean_and_the_bounds() {
        // Means of normal distributions of mean 0 and standard deviation 1 between the bounds.
        for (low, high, mean) in [(-1.0, 2.0, 0.229_637), (1.0, 4.0, 1.524_596)] {
            let (values, _) = drawn(100_000, [0.0, 1.0, low, high]);
            assert!(values.iter().all(|&x| f64::from(x) >= low && f64::from(x) <= high));
            let found = values.iter().map(|&x| f64::from(x)).sum::<f64>() / values.len() as f64;
            assert!((found - mean).abs() < 0.01, "{found}, not {mean}");
        }
    }

    #[test]
    fn bounds_equal_in_f32_terminate() {
        // The mean rounds to the next f32 after 1, both bounds to 1.
        let (values, _) = drawn(20, [1.0 + 6.0e-8, 1e-9, 1.0, 1.0 + 5.95e-8]);
        assert_eq!(values, [1.0; 20]);
        assert_eq!(drawn(3, [0.0, 1.0, 2.0, 2.0]).0, [2.0; 3]);
        assert_eq!(drawn(0, [0.0, 1.0, 2.0, 3.0]).1, Generator::new(7));
    }

    #[test]
    fn invalid_arguments_are_refused() {
        for [mean, std, low, high] in [
            [0.0, 0.0, -1.0, 1.0],
            [0.0, -1.0, -1.0, 1.0],
            [0.0, 1e-60, -1.0, 1.0],
            [0.0, 1.0, 1.0, -1.0],
            [f64::NAN, 1.0, -1.0, 1.0],
            [0.0, f64::INFINITY, -1.0, 1.0],
            [0.0, 1.0, -1.0, 1e39],
        ] {
            let result = trunc_normal(&mut Generator::new(0), &mut [0.0], mean, std, low, high);
            assert!(
                matches!(result, Err(Error::InvalidArgument { .. })),
                "{mean} {std} {low} {high}"
            );
        }
    }
}
