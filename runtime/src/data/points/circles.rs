//! Two concentric circles of points.

use super::points;
use crate::Result;
use crate::data::Classification;
use std::f64::consts::TAU;

/// The radius of the inner circle.
const INNER: f64 = 0.5;

/// `n` equally spaced points on two circles around the origin: class 0 on the outer one, of
/// radius 1, class 1 on the inner one, of radius 0.5. Normal noise of standard deviation `noise` is
/// added to both coordinates: scikit-learn's `make_circles(factor=0.5)`.
///
/// # Errors
///
/// [`Error::InvalidArgument`](crate::Error::InvalidArgument) if `n` is below 2 or `noise` is
/// negative or not finite.
///
/// ```
/// let circles = bilro::data::circles(100, 0.05, 7)?;
/// assert_eq!(circles.x().shape(), [100, 2]);
/// # Ok::<(), bilro::Error>(())
/// ```
pub fn circles(n: usize, noise: f64, seed: u64) -> Result<Classification> {
    points(n, 2, noise, seed, |class, i, count| {
        let radius = if class == 0 { 1.0 } else { INNER };
        let (sin, cos) = (TAU * i as f64 / count as f64).sin_cos();
        [radius * cos, radius * sin]
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{counts, radii};
    use super::*;

    #[test]
    fn each_class_is_a_circle() {
        let data = circles(101, 0.0, 0).unwrap();
        assert_eq!(counts(&data, 2), [51, 50]);
        for (class, radius) in radii(&data) {
            let expected = [1.0, 0.5][class as usize];
            assert!((radius - expected).abs() < 1e-6, "{radius} of class {class}");
        }
        // Spread over the circle, so that the mean is the origin.
        assert!(data.x().mean().unwrap().abs() < 1e-6);
    }
}
