//! Generated points in the plane: small classification problems that can be plotted.
//!
//! Each takes the number of points, the noise, and a seed; returns the points, shuffled, with the
//! class of each. Guaranteed: the same arguments give the same points, the sizes of classes differ
//! by at most one (the first ones are larger), and every class has a point.
//!
//! The shapes are those of scikit-learn's `make_blobs`, `make_circles` and `make_moons`; the random
//! generator is another one, so that individual points differ.

use super::{Classification, Dataset};
use crate::rng::Generator;
use crate::{Error, Result, memory};
use ndarray::{Array1, Array2};

mod blobs;
mod circles;
mod moons;
mod spiral;

pub use blobs::blobs;
pub use circles::circles;
pub use moons::moons;
pub use spiral::spiral;

/// `n` points of several classes. `position(class, i, count)` is the position of point `i` of the
/// `count` points of a class, before normal noise of standard deviation `noise` is added.
fn points(
    n: usize,
    classes: usize,
    noise: f64,
    seed: u64,
    position: impl Fn(usize, usize, usize) -> [f64; 2],
) -> Result<Classification> {
    if n < classes || u32::try_from(n).is_err() {
        return Err(Error::InvalidArgument {
            name: "n".into(),
            expected: format!("at least one point for each of {classes} classes, at most 2³² - 1"),
            found: n.to_string(),
        });
    }
    // As f32, the type of points.
    if !((noise as f32).is_finite() && noise >= 0.0) {
        return Err(Error::InvalidArgument {
            name: "noise".into(),
            expected: "a standard deviation, 0 or larger".into(),
            found: noise.to_string(),
        });
    }
    // Per point: two numbers of noise, two coordinates, a class, a row of the order.
    memory::check::<[f32; 6]>(|| format!("{n} points"), n)?;
    let mut generator = Generator::new(seed);
    // The noise is drawn first: the first draw of a seed is the permutation of a split with the
    // same seed, and if it were the order of the points too, the split would separate the classes.
    let mut drawn = vec![0.0; 2 * n];
    generator.fill_normal(&mut drawn, 0.0, noise);
    let mut x = Array2::from_shape_simple_fn((n, 2), || 0.0);
    let mut y = Array1::zeros(n);
    let order = generator.permutation(n as u32);
    let mut order = order.iter().map(|&row| row as usize);
    for class in 0..classes {
        let count = n / classes + usize::from(class < n % classes);
        for (i, row) in order.by_ref().take(count).enumerate() {
            let [a, b] = position(class, i, count);
            (x[[row, 0]], x[[row, 1]]) = (a as f32, b as f32);
            y[row] = class as u32;
        }
    }
    x.iter_mut().zip(drawn).for_each(|(x, noise)| *x += noise);
    Dataset::new(x, y)
}

/// Point `i` of `count` equally spaced ones from 0 to 1, both included.
fn fraction(i: usize, count: usize) -> f64 {
    i as f64 / (count.max(2) - 1) as f64
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The number of points of each class.
    pub fn counts(points: &Classification, classes: usize) -> Vec<usize> {
        let count = |class| points.y().iter().filter(|&&y| y as usize == class).count();
        (0..classes).map(count).collect()
    }

    /// Radius, in f64, of each point with its class.
    pub fn radii(points: &Classification) -> Vec<(u32, f64)> {
        let (x, y) = (points.x(), points.y());
        let rows = x.rows().into_iter().zip(y);
        rows.map(|(p, &class)| (class, f64::from(p[0]).hypot(f64::from(p[1])))).collect()
    }

    #[test]
    fn the_seed_determines_the_points_and_they_are_shuffled() {
        assert_eq!(moons(50, 0.1, 7).unwrap(), moons(50, 0.1, 7).unwrap());
        assert_ne!(moons(50, 0.1, 7).unwrap(), moons(50, 0.1, 8).unwrap());
        assert!(!moons(50, 0.0, 7).unwrap().y().iter().is_sorted());
        assert_eq!(counts(&spiral(11, 3, 0.0, 1).unwrap(), 3), [4, 4, 3]);
    }

    /// Programs often use one seed for both.
    #[test]
    fn a_split_with_the_same_seed_has_all_classes_in_both() {
        for seed in 0..20 {
            let (_, small) = moons(200, 0.1, seed).unwrap().split(0.8, seed).unwrap();
            let small = counts(&small, 2);
            assert!(small.iter().all(|&n| n >= 8), "seed {seed}: {small:?} of 40");
            let [_, small] =
                spiral(300, 3, 0.1, seed).unwrap().random_split([0.8, 0.2], seed).unwrap();
            let small = counts(&small, 3);
            assert!(small.iter().all(|&n| n >= 8), "seed {seed}: {small:?} of 60");
        }
    }

    #[test]
    fn noise_has_the_requested_standard_deviation() {
        let (still, moved) = (circles(5000, 0.0, 3).unwrap(), circles(5000, 0.2, 3).unwrap());
        assert_eq!(still.y(), moved.y());
        let moves = &moved.x() - &still.x();
        assert!((moves.std(1.0) - 0.2).abs() < 0.005, "{}", moves.std(1.0));
        assert!(moves.mean().unwrap().abs() < 0.01);
    }

    #[test]
    fn invalid_arguments_are_refused() {
        for result in [
            moons(1, 0.1, 0),
            spiral(2, 3, 0.1, 0),
            moons(10, -0.1, 0),
            circles(10, f64::NAN, 0),
            circles(10, f64::INFINITY, 0),
            circles(usize::MAX, 0.0, 0),
            blobs(10, &[], 0.1, 0),
            spiral(10, 0, 0.1, 0),
        ] {
            assert!(matches!(result, Err(Error::InvalidArgument { .. })), "{result:?}");
        }
    }
}
