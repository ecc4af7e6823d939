//! Two interleaving half circles of points.

use super::{fraction, points};
use crate::Result;
use crate::data::Classification;
use std::f64::consts::PI;

/// `n` equally spaced points on two half circles of radius 1: class 0 on the upper one, around
/// the origin, class 1 on the lower one, around (1, 0.5). Normal noise of standard deviation
/// `noise` is added to both coordinates: scikit-learn's `make_moons`.
///
/// # Errors
///
/// [`Error::InvalidArgument`](crate::Error::InvalidArgument) if `n` is below 2 or `noise` is
/// negative or not finite.
///
/// ```
/// let moons = bilro::data::moons(100, 0.1, 7)?;
/// assert_eq!(moons.x().shape(), [100, 2]);
/// # Ok::<(), bilro::Error>(())
/// ```
pub fn moons(n: usize, noise: f64, seed: u64) -> Result<Classification> {
    points(n, 2, noise, seed, |class, i, count| {
        let (sin, cos) = (PI * fraction(i, count)).sin_cos();
        if class == 0 { [cos, sin] } else { [1.0 - cos, 0.5 - sin] }
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::counts;
    use super::*;

    #[test]
    fn each_class_is_half_a_circle() {
        let data = moons(100, 0.0, 0).unwrap();
        assert_eq!(counts(&data, 2), [50, 50]);
        for (p, &class) in data.x().rows().into_iter().zip(data.y()) {
            let center = [[0.0, 0.0], [1.0, 0.5]][class as usize];
            let radius = (p[0] - center[0]).hypot(p[1] - center[1]);
            assert!((radius - 1.0).abs() < 1e-6, "{radius}");
            let up = if class == 0 { p[1] } else { 0.5 - p[1] };
            assert!(up > -1e-6, "{p} of class {class}");
        }
    }
}
