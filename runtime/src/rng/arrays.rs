//! Random arrays: PyTorch's `rand`, `randn`, `randint`, `randperm`, `uniform` and `normal`.
//!
//! Takes a shape, as `5`, `(2, 3)` or `[2, 3, 4]`; returns a new array in row-major order.
//! Guaranteed: the values are those of a new contiguous tensor of this shape, drawn from the same
//! state of the generator.

use super::Generator;
use crate::Result;
use ndarray::{Array, Array1, IntoDimension};

impl Generator {
    /// Uniform in `0..1`: `torch.rand(shape)`.
    ///
    /// ```
    /// use bilro::rng::Generator;
    ///
    /// let x = Generator::new(7).rand((2, 3));
    /// assert_eq!(x.dim(), (2, 3));
    /// ```
    pub fn rand<S: IntoDimension>(&mut self, shape: S) -> Array<f32, S::Dim> {
        self.uniform_array(0.0, 1.0, shape)
    }

    /// Normal with mean 0 and standard deviation 1: `torch.randn(shape)`.
    ///
    /// ```
    /// use bilro::rng::Generator;
    ///
    /// // torch.manual_seed(7); torch.randn(1, 5)
    /// let features = Generator::new(7).randn((1, 5));
    /// assert!((features[[0, 0]] - -0.1468).abs() < 1e-4);
    /// ```
    pub fn randn<S: IntoDimension>(&mut self, shape: S) -> Array<f32, S::Dim> {
        self.normal_array(0.0, 1.0, shape)
    }

    /// Uniform in `low..high`: `torch.empty(shape).uniform_(low, high)`.
    pub fn uniform_array<S: IntoDimension>(
        &mut self,
        low: f32,
        high: f32,
        shape: S,
    ) -> Array<f32, S::Dim> {
        filled(shape, |values| self.fill_uniform(values, low, high))
    }

    /// Normal with this mean and standard deviation: `torch.normal(mean, std, shape)`.
    pub fn normal_array<S: IntoDimension>(
        &mut self,
        mean: f64,
        std: f64,
        shape: S,
    ) -> Array<f32, S::Dim> {
        filled(shape, |values| self.fill_normal(values, mean, std))
    }

    /// Integers in `low..high`: `torch.randint(low, high, shape)`. See [`randint`](Self::randint)
    /// for a single one.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) if `high` is not above `low`.
    pub fn randint_array<S: IntoDimension>(
        &mut self,
        low: i64,
        high: i64,
        shape: S,
    ) -> Result<Array<i64, S::Dim>> {
        // Checks the bounds with a clone, because an empty array draws nothing.
        self.clone().randint(low, high)?;
        let mut values = Array::zeros(shape);
        for value in &mut values {
            *value = self.randint(low, high)?;
        }
        Ok(values)
    }

    /// The numbers `0..n` in random order: `torch.randperm(n)`, as an array.
    /// [`permutation`](Self::permutation) returns a vector.
    pub fn randperm(&mut self, n: u32) -> Array1<u32> {
        Array1::from_vec(self.permutation(n))
    }
}

/// A new array, filled as a slice.
fn filled<S: IntoDimension>(shape: S, fill: impl FnOnce(&mut [f32])) -> Array<f32, S::Dim> {
    let mut values = Array::zeros(shape.into_dimension());
    fill(values.as_slice_mut().expect("a new array is row-major"));
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use ndarray::{arr0, array};

    #[test]
    fn all_calls_draw_from_one_sequence() {
        let (mut a, mut b) = (Generator::new(5), Generator::new(5));
        let mut expected = [0.0; 24];
        b.fill_uniform(&mut expected, 0.0, 1.0);
        assert_eq!(a.rand((2, 3, 4)).into_raw_vec_and_offset().0, expected);
        b.fill_uniform(&mut expected[..2], -1.0, 3.0);
        assert_eq!(a.uniform_array(-1.0, 3.0, 2).to_vec(), expected[..2]);
        b.fill_normal(&mut expected, 1.0, 0.5);
        assert_eq!(a.normal_array(1.0, 0.5, [4, 6]).into_raw_vec_and_offset().0, expected);
        assert_eq!(a.randperm(9).to_vec(), b.permutation(9));
        assert_eq!(a, b);
    }

    #[test]
    fn arrays_are_pytorchs() {
        // torch.manual_seed(0); torch.randint(0, 10, (2, 3)); torch.randint(-5, 5, ());
        // torch.randperm(5)
        let mut generator = Generator::new(0);
        assert_eq!(generator.randint_array(0, 10, (2, 3)).unwrap(), array![[4, 9, 3], [0, 3, 9]]);
        assert_eq!(generator.randint_array(-5, 5, ()).unwrap(), arr0(2));
        assert_eq!(generator.randperm(5), array![3, 2, 1, 4, 0]);
        assert!(matches!(generator.randint_array(1, 1, 0), Err(Error::InvalidArgument { .. })));
    }
}
