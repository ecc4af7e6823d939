//! Orthogonal initialisation: random matrices with orthonormal rows or columns.
//!
//! Takes the numbers of rows and columns; fills a row-major matrix. Guaranteed: columns are
//! orthonormal or, if there are more columns than rows, rows are; up to rounding to f32.

use super::Generator;
use crate::{Error, Result};

/// `nn.init.orthogonal_` of a matrix `[rows, columns]`, gain 1: for the weight of a linear layer,
/// in PyTorch's layout, `rows` is `out_features`.
///
/// A matrix of normal values, transposed if it is wider than high, is decomposed into an orthogonal
/// matrix, the result, and an upper triangular one with a positive diagonal. Computed in f64:
/// values agree with PyTorch's, computed in f32, within about 1e-6 times the condition number of
/// the drawn matrix.
///
/// Sources: A. Saxe, J. McClelland and S. Ganguli, "Exact solutions to the nonlinear dynamics of
/// learning in deep linear neural networks", 2013; F. Mezzadri, "How to generate random matrices
/// from the classical compact groups", 2006, for the sign.
///
/// # Errors
///
/// [`Error::InvalidArgument`] if there are not `rows · columns` values.
pub fn orthogonal(
    generator: &mut Generator,
    values: &mut [f32],
    rows: usize,
    columns: usize,
) -> Result<()> {
    if rows.checked_mul(columns) != Some(values.len()) {
        return Err(Error::InvalidArgument {
            name: "the number of values".into(),
            expected: format!("that of a matrix of {rows}×{columns}"),
            found: values.len().to_string(),
        });
    }
    super::normal(generator, values, 0.0, 1.0);
    let (long, short) = (rows.max(columns), rows.min(columns));
    // The vectors to orthonormalize, contiguous: columns, or rows if these are fewer.
    let index = |vector: usize, i: usize| match rows < columns {
        true => vector * columns + i,
        false => i * columns + vector,
    };
    let at = |n: usize| f64::from(values[index(n / long, n % long)]);
    let mut vectors: Vec<f64> = (0..long * short).map(at).collect();
    orthonormalize(&mut vectors, long, short);
    for (n, x) in vectors.into_iter().enumerate() {
        values[index(n / long, n % long)] = x as f32;
    }
    Ok(())
}

/// Replaces `count` vectors of `len` elements, with `count` at most `len`, by orthonormal ones. The
/// first `k` span the same space as the first `k` vectors, and each has a positive product with its
/// vector.
///
/// By reflections: A. Householder, "Unitary triangularization of a nonsymmetric matrix", 1958.
fn orthonormalize(vectors: &mut [f64], len: usize, count: usize) {
    if len == 0 {
        return;
    }
    // Signs of the triangular factor's diagonal.
    let mut signs = Vec::with_capacity(count);
    for k in 0..count {
        let (done, remaining) = vectors.split_at_mut((k + 1) * len);
        let mirror = &mut done[k * len + k..];
        // The remainder of vector k is reflected to a multiple of the unit vector k, with the
        // opposite sign, so that no digits cancel. The mirror, of length √2, replaces it in memory.
        let norm = dot(mirror, mirror).sqrt();
        signs.push(if mirror[0] < 0.0 { 1.0 } else { -1.0 });
        mirror[0] -= signs[k] * norm;
        let length = dot(mirror, mirror);
        if length > 0.0 {
            let scale = (2.0 / length).sqrt();
            mirror.iter_mut().for_each(|x| *x *= scale);
        }
        remaining.chunks_exact_mut(len).for_each(|vector| reflect(&mut vector[k..], mirror));
    }
    // Applies all reflections to the unit vectors, from the last one on.
    for k in (0..count).rev() {
        let (done, remaining) = vectors.split_at_mut((k + 1) * len);
        let vector = &mut done[k * len..];
        remaining.chunks_exact_mut(len).for_each(|other| reflect(&mut other[k..], &vector[k..]));
        let mirror = vector.to_vec();
        vector.fill(0.0);
        vector[k] = signs[k];
        reflect(&mut vector[k..], &mirror[k..]);
    }
}

/// Reflects a vector by a mirror of length √2; a mirror of length 0 leaves it unchanged.
fn reflect(vector: &mut [f64], mirror: &[f64]) {
    let projection = dot(vector, mirror);
    vector.iter_mut().zip(mirror).for_each(|(x, m)| *x -= projection * m);
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(rows: usize, columns: usize) -> Vec<f32> {
        let mut values = vec![0.0; rows * columns];
        orthogonal(&mut Generator::new(7), &mut values, rows, columns).unwrap();
        values
    }

    /// The values of `orthogonal_` after `torch.manual_seed(7)`, torch 2.15.
    #[test]
    #[expect(clippy::excessive_precision, reason = "as PyTorch prints them")]
    fn values_are_pytorchs() {
        let cases: [(usize, usize, &[f32]); 6] = [
            (
                3,
                3,
                &[
                    -0.12451982,
                    0.62324744,
                    0.77204758,
                    -0.9452489,
                    -0.31107754,
                    0.098667666,
                    -0.30166104,
                    0.71749103,
                    -0.62785929,
                ],
            ),
            (
                2,
                4,
                &[
                    -0.088076711,
                    0.47168279,
                    0.56809068,
                    -0.6686036,
                    0.93403018,
                    -0.085291266,
                    0.33237523,
                    0.099195533,
                ],
            ),
            (
                5,
                2,
                &[
                    -0.074120522,
                    0.32464138,
                    0.47807375,
                    -0.14972796,
                    0.85372192,
                    0.27079123,
                    -0.17956389,
                    0.45617935,
                    0.069766797,
                    -0.76861048,
                ],
            ),
            (1, 1, &[-1.0]),
            (4, 1, &[-0.088076711, 0.47168279, 0.56809068, -0.6686036]),
            (
                6,
                5,
                &[
                    -0.36856413,
                    0.34371433,
                    0.44299108,
                    -0.35210612,
                    -0.17510746,
                    0.1281449,
                    -0.3896302,
                    -0.5616135,
                    0.080446899,
                    -0.31286594,
                    -0.52117223,
                    -0.060940512,
                    0.114557,
                    0.81179649,
                    0.17328203,
                    0.22629896,
                    -0.12553531,
                    0.032868989,
                    -0.12426746,
                    0.88864893,
                    0.43011671,
                    -0.50849593,
                    0.68842429,
                    0.1717677,
                    -0.21538451,
                    0.58301592,
                    0.67231512,
                    -0.014748576,
                    0.40692669,
                    -0.073061801,
                ],
            ),
        ];
        for (rows, columns, expected) in cases {
            for (a, b) in drawn(rows, columns).iter().zip(expected) {
                assert!((a - b).abs() <= 1e-6, "{a}, PyTorch has {b}, for {rows}×{columns}");
            }
        }
    }

    #[test]
    fn vectors_are_orthonormal() {
        for (rows, columns) in [(40, 40), (7, 60), (60, 7), (1, 9), (9, 1)] {
            let values = drawn(rows, columns);
            let (long, short) = (rows.max(columns), rows.min(columns));
            let at = |vector: usize, i: usize| {
                let (row, column) = if rows < columns { (vector, i) } else { (i, vector) };
                f64::from(values[row * columns + column])
            };
            for a in 0..short {
                for b in 0..short {
                    let product: f64 = (0..long).map(|i| at(a, i) * at(b, i)).sum();
                    let expected = if a == b { 1.0 } else { 0.0 };
                    assert!((product - expected).abs() < 1e-6, "{a} and {b}: {product}");
                }
            }
        }
    }

    #[test]
    fn linearly_dependent_vectors_are_made_orthonormal_too() {
        let mut vectors = vec![0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0];
        orthonormalize(&mut vectors, 3, 3);
        for a in 0..3 {
            for b in 0..3 {
                let product = dot(&vectors[3 * a..][..3], &vectors[3 * b..][..3]);
                assert!((product - f64::from(a == b)).abs() < 1e-12, "{vectors:?}");
            }
        }
    }

    #[test]
    fn empty_matrices_are_accepted() {
        for (rows, columns) in [(0, 0), (0, 3), (3, 0)] {
            assert!(drawn(rows, columns).is_empty());
        }
        let five = orthogonal(&mut Generator::new(7), &mut [0.0; 5], 2, 3);
        assert!(matches!(five, Err(Error::InvalidArgument { .. })));
    }
}
