//! Normally distributed clusters of points.

use super::points;
use crate::data::Classification;
use crate::{Error, Result};

/// `n` points in the plane around `centers`, one class per center, with normal noise of standard
/// deviation `noise` along each axis: scikit-learn's `make_blobs`.
///
/// # Errors
///
/// [`Error::InvalidArgument`] if there are no centers or fewer points than centers, or `noise` is
/// negative or not finite.
///
/// ```
/// let blobs = bilro::data::blobs(100, &[[-2.0, 0.0], [2.0, 0.0]], 0.5, 7)?;
/// assert_eq!(blobs.x().shape(), [100, 2]);
/// # Ok::<(), bilro::Error>(())
/// ```
pub fn blobs(n: usize, centers: &[[f64; 2]], noise: f64, seed: u64) -> Result<Classification> {
    if centers.is_empty() {
        return Err(Error::InvalidArgument {
            name: "centers".into(),
            expected: "at least one point".into(),
            found: "empty".into(),
        });
    }
    let is_point = |center: &[f64; 2]| center.iter().all(|x| (*x as f32).is_finite());
    if let Some(center) = centers.iter().find(|center| !is_point(center)) {
        return Err(Error::InvalidArgument {
            name: "centers".into(),
            expected: "points with finite coordinates".into(),
            found: format!("{center:?}"),
        });
    }
    points(n, centers.len(), noise, seed, |class, _, _| centers[class])
}

#[cfg(test)]
mod tests {
    use super::super::tests::counts;
    use super::*;

    #[test]
    fn centers_that_are_not_finite_are_refused() {
        for center in [[f64::NAN, 0.0], [0.0, f64::INFINITY], [1e300, 0.0]] {
            let error = blobs(10, &[[0.0, 0.0], center], 0.5, 1).unwrap_err();
            assert!(matches!(error, Error::InvalidArgument { .. }), "{error}");
        }
        assert!(blobs(10, &[[0.0, 0.0]], 1e300, 1).is_err());
    }

    #[test]
    fn points_lie_around_their_centers() {
        let centers = [[-5.0, 1.0], [5.0, -2.0], [0.0, 8.0]];
        let data = blobs(3001, &centers, 0.5, 1).unwrap();
        assert_eq!(counts(&data, 3), [1001, 1000, 1000]);
        for (class, center) in (0..).zip(centers) {
            let (mut sum, mut count) = ([0.0; 2], 0.0);
            for (p, &y) in data.x().rows().into_iter().zip(data.y()) {
                if y == class {
                    let offset = [f64::from(p[0]) - center[0], f64::from(p[1]) - center[1]];
                    assert!(offset.iter().all(|d| d.abs() < 3.0), "six standard deviations");
                    sum = [sum[0] + offset[0], sum[1] + offset[1]];
                    count += 1.0;
                }
            }
            // Three standard deviations of a mean of 1000.
            assert!(sum.iter().all(|s| (s / count).abs() < 0.05), "{sum:?}");
        }
    }
}
