//! Points on the arms of a spiral.

use super::{fraction, points};
use crate::data::Classification;
use crate::{Error, Result};
use std::f64::consts::TAU;

/// The angle of an arm, in turns.
const TURNS: f64 = 0.75;

/// `n` points on the arms of a spiral, each arm a class: from the origin to radius 1 in three
/// quarters of a turn. Normal noise of standard deviation `noise` is added to both coordinates.
///
/// # Errors
///
/// [`Error::InvalidArgument`] if there are no classes or fewer points than classes, or `noise` is
/// negative or not finite.
///
/// ```
/// let spiral = bilro::data::spiral(300, 3, 0.03, 7)?;
/// assert_eq!(spiral.x().shape(), [300, 2]);
/// # Ok::<(), bilro::Error>(())
/// ```
pub fn spiral(n: usize, classes: usize, noise: f64, seed: u64) -> Result<Classification> {
    if classes == 0 {
        return Err(Error::InvalidArgument {
            name: "classes".into(),
            expected: "at least 1".into(),
            found: "0".into(),
        });
    }
    points(n, classes, noise, seed, |class, i, count| {
        let radius = fraction(i, count);
        let (sin, cos) = (TAU * (class as f64 / classes as f64 + TURNS * radius)).sin_cos();
        [radius * cos, radius * sin]
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::counts;
    use super::*;

    #[test]
    fn the_angle_depends_on_the_radius() {
        let data = spiral(300, 3, 0.0, 0).unwrap();
        assert_eq!(counts(&data, 3), [100; 3]);
        for (p, &class) in data.x().rows().into_iter().zip(data.y()) {
            let (a, b) = (f64::from(p[0]), f64::from(p[1]));
            let radius = a.hypot(b);
            assert!(radius < 1.0 + 1e-6);
            let angle = TAU * (f64::from(class) / 3.0 + 0.75 * radius);
            let distance = (a - radius * angle.cos()).hypot(b - radius * angle.sin());
            assert!(distance < 1e-6, "{p} of class {class}");
        }
    }
}
