//! Random numbers: PyTorch's generator for the CPU, value for value.
//!
//! Takes a seed and returns the numbers of `torch.manual_seed(seed)` followed by the same calls, so
//! that a network has PyTorch's initial weights and PyTorch's order of examples. Numbers are drawn
//! one at a time, into slices, or as arrays: [`Generator::rand`], [`Generator::randn`]. [`init`]
//! has the initialisers of its layers.
//!
//! Guaranteed: integers and uniform reals are equal bit for bit; normal reals agree within
//! 1e-6, because PyTorch's logarithms and sines depend on the library that its build is linked
//! with. Values do not depend on vector width or number of threads.
//!
//! Source: PyTorch's `ATen/core/MT19937RNGEngine.h`, `DistributionsHelper.h`,
//! `TransformationHelper.h` and `native/cpu/DistributionTemplates.h`, for the formulas; the
//! Mersenne twister is M. Matsumoto and T. Nishimura, "Mersenne Twister", 1998.

use crate::{Error, Result};
use std::f64::consts::PI;
use std::fmt;

mod arrays;
pub mod init;

/// Words of state of the Mersenne twister.
const WORDS: usize = 624;
/// The distance from a word to the one that it is mixed with.
const AHEAD: usize = 397;
/// Values that PyTorch's vectorised normal fill makes at a time: 8 radii and 8 angles.
const BLOCK: usize = 16;
/// Ranges from this size on take 64 random bits, for which the bias of `%` is negligible.
const WIDE_RANGE: u64 = 1 << 28;
/// Permutations from this size on take 64 random bits per element, for the same reason.
const LONG_PERMUTATION: u32 = u32::MAX / 20;

/// A random number generator, with the sequence of `torch.manual_seed`.
///
/// A clone continues independently from the state of the original.
///
/// ```
/// use bilro::rng::Generator;
///
/// let mut generator = Generator::new(0);
/// assert_eq!(generator.uniform(0.0, 1.0), 0.49625658); // torch.manual_seed(0); torch.rand(1)
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Generator {
    seed: u64,
    state: [u32; WORDS],
    /// The index of the next word of `state`; `WORDS` if all are used.
    next: usize,
    /// Bits of the second of a pair of normal values, for the next call. As in PyTorch, it is saved
    /// across calls, so that `randn(1)` twice is `randn(2)`.
    spare_normal: Option<u64>,
}

impl Generator {
    /// The generator after `torch.manual_seed(seed)`.
    ///
    /// As in PyTorch, only the low 32 bits of `seed` are used.
    pub fn new(seed: u64) -> Self {
        let mut state = [0; WORDS];
        // Truncated to 32 bits, as in PyTorch.
        let mut word = seed as u32;
        state[0] = word;
        for (i, slot) in (0u32..).zip(&mut state).skip(1) {
            word = (word ^ (word >> 30)).wrapping_mul(1_812_433_253).wrapping_add(i);
            *slot = word;
        }
        Self { seed, state, next: WORDS, spare_normal: None }
    }

    /// The seed that the generator was made with, all 64 bits of it.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// 32 random bits.
    pub fn random_u32(&mut self) -> u32 {
        if self.next == WORDS {
            self.twist();
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    /// 64 random bits: two draws, the first in the high half.
    pub fn random_u64(&mut self) -> u64 {
        let high = u64::from(self.random_u32());
        let low = u64::from(self.random_u32());
        high << 32 | low
    }

    /// A real number in `low..high`, of 24 random bits.
    pub fn uniform(&mut self, low: f32, high: f32) -> f32 {
        let bits = self.random_u32() & ((1 << 24) - 1);
        // Rounded once, as in PyTorch's kernels for CPUs with fused multiply-adds. As there, a
        // value rounded to `high` becomes `low`.
        let value = (bits as f32 * (1.0 / (1 << 24) as f32)).mul_add(high - low, low);
        if value == high { low } else { value }
    }

    /// Fills `values` as `tensor.uniform_(low, high)` fills a contiguous tensor.
    pub fn fill_uniform(&mut self, values: &mut [f32], low: f32, high: f32) {
        for value in values {
            *value = self.uniform(low, high);
        }
    }

    /// Fills `values` as `tensor.normal_(mean, std)` fills a contiguous tensor; `torch.randn` is
    /// mean 0, standard deviation 1.
    ///
    /// PyTorch has two algorithms, which give different values: fewer than 16 are drawn one at a
    /// time in double precision, 16 or more in blocks in single precision.
    pub fn fill_normal(&mut self, values: &mut [f32], mean: f64, std: f64) {
        if values.len() < BLOCK {
            for value in values {
                *value = (self.standard_normal() * std + mean) as f32;
            }
            return;
        }
        self.fill_uniform(values, 0.0, 1.0);
        let (mean, std) = (mean as f32, std as f32);
        let mut blocks = values.chunks_exact_mut(BLOCK);
        blocks.by_ref().for_each(|block| normal_block(block, mean, std));
        if !blocks.into_remainder().is_empty() {
            // The last 16 are drawn again, overwriting finished values.
            let last = values.len() - BLOCK;
            self.fill_uniform(&mut values[last..], 0.0, 1.0);
            normal_block(&mut values[last..], mean, std);
        }
    }

    /// An integer in `low..high`, as an element of `torch.randint(low, high, ...)`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if `high` is not above `low`.
    pub fn randint(&mut self, low: i64, high: i64) -> Result<i64> {
        if high <= low {
            return Err(Error::InvalidArgument {
                name: "high".into(),
                expected: format!("above low, {low}"),
                found: high.to_string(),
            });
        }
        let range = high.abs_diff(low);
        let bits =
            if range >= WIDE_RANGE { self.random_u64() } else { u64::from(self.random_u32()) };
        Ok(low.wrapping_add_unsigned(bits % range))
    }

    /// The numbers `0..n` in random order, as `torch.randperm(n)`.
    pub fn permutation(&mut self, n: u32) -> Vec<u32> {
        let mut rows = Vec::new();
        self.permutation_into(n, &mut rows);
        rows
    }

    /// As [`permutation`](Self::permutation), replacing the contents of `rows`: it allocates only
    /// if the capacity of `rows` is too small.
    pub fn permutation_into(&mut self, n: u32, rows: &mut Vec<u32>) {
        rows.clear();
        rows.extend(0..n);
        if n < LONG_PERMUTATION {
            for i in 0..n.saturating_sub(1) {
                let other = i + self.random_u32() % (n - i);
                rows.swap(i as usize, other as usize);
            }
        } else {
            for i in 0..n {
                let other = self.random_u64() % (u64::from(i) + 1);
                rows.swap(i as usize, other as usize);
            }
        }
    }

    /// A normal value of mean 0 and standard deviation 1, by Box and Muller's method in double
    /// precision. They are drawn in pairs: every second call returns the saved second value.
    fn standard_normal(&mut self) -> f64 {
        if let Some(bits) = self.spare_normal.take() {
            return f64::from_bits(bits);
        }
        let theta = 2.0 * PI * self.uniform_f64();
        let radius = (-2.0 * (-self.uniform_f64()).ln_1p()).sqrt();
        self.spare_normal = Some((radius * theta.sin()).to_bits());
        radius * theta.cos()
    }

    /// A real number in `0..1`, of 53 random bits.
    fn uniform_f64(&mut self) -> f64 {
        let bits = self.random_u64() & ((1 << 53) - 1);
        bits as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Replaces all words of the state by the next ones.
    fn twist(&mut self) {
        for i in 0..WORDS {
            let following = self.state[(i + 1) % WORDS];
            let mixed = self.state[i] & 0x8000_0000 | following & 0x7fff_ffff;
            let odd = if following & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + AHEAD) % WORDS] ^ mixed >> 1 ^ odd;
        }
        self.next = 0;
    }
}

impl fmt::Debug for Generator {
    /// The seed and the index of the next word, without the 624 words of state.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generator")
            .field("seed", &self.seed)
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

/// Converts a block of 16 uniform values to normal ones: value `j` gives a radius, value `j + 8` an
/// angle, and the pair is replaced by the coordinates of that point.
fn normal_block(block: &mut [f32], mean: f32, std: f32) {
    let (radii, angles) = block.split_at_mut(BLOCK / 2);
    for (a, b) in radii.iter_mut().zip(angles) {
        // Intermediate values that PyTorch rounds to f32, such as the angle, are rounded here too.
        // The functions are computed in f64 and then rounded, which gives the same f32 with any
        // platform's library.
        let radius = (-2.0 * ln(1.0 - *a)).sqrt();
        let theta = f64::from(2.0 * std::f32::consts::PI * *b);
        *a = radius * theta.cos() as f32 * std + mean;
        *b = radius * theta.sin() as f32 * std + mean;
    }
}

/// The natural logarithm, correctly rounded except for ties too close for f64 to distinguish.
fn ln(x: f32) -> f32 {
    f64::from(x).ln() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_twister_is_the_reference_one() {
        // C++ specifies this 10000th value of std::mt19937 with the default seed 5489.
        let mut generator = Generator::new(5489);
        let last = (0..10_000).map(|_| generator.random_u32()).last();
        assert_eq!(last, Some(4_123_659_995));
    }

    /// The values of `uniform_` after `torch.manual_seed(7)`, torch 2.15: rounded once, and never
    /// the upper bound.
    #[test]
    #[expect(clippy::excessive_precision, reason = "as PyTorch prints them")]
    fn uniform_values_between_any_bounds_are_pytorchs() {
        let mut values = [0.0; 4];
        Generator::new(7).fill_uniform(&mut values, -0.3, 0.7);
        assert_eq!(values, [0.234922528, -0.101196826, 0.359211683, 0.356890261]);
        let mut values = [0.0; 2000];
        Generator::new(7).fill_uniform(&mut values, -3.3, -3.29999);
        let expected =
            [-3.29999471, -3.29999804, -3.29999328, -3.29999328, -3.29999757, -3.29999566];
        assert_eq!(values[..6], expected);
        assert!(values.iter().all(|x| (-3.3..-3.29999).contains(x)));
    }

    #[test]
    fn a_clone_continues_the_same_sequence() {
        let mut a = Generator::new(3);
        a.fill_normal(&mut [0.0; 3], 0.0, 1.0); // leaves a spare value behind
        let mut b = a.clone();
        let (mut x, mut y) = ([0.0; 5], [0.0; 5]);
        a.fill_normal(&mut x, 0.0, 1.0);
        b.fill_normal(&mut y, 0.0, 1.0);
        assert_eq!(x, y);
        assert_eq!(a, b);
    }

    #[test]
    fn randint_reaches_the_ends_of_i64() {
        let mut generator = Generator::new(1);
        for _ in 0..100 {
            assert!((i64::MIN..i64::MAX).contains(&generator.randint(i64::MIN, i64::MAX).unwrap()));
            assert_eq!(generator.randint(i64::MAX - 1, i64::MAX).unwrap(), i64::MAX - 1);
            assert!((-3..4).contains(&generator.randint(-3, 4).unwrap()));
        }
    }

    #[test]
    fn randint_of_an_empty_range_is_an_error() {
        let mut generator = Generator::new(1);
        let before = generator.clone();
        for (low, high) in [(0, 0), (1, 0), (i64::MAX, i64::MIN)] {
            assert!(matches!(generator.randint(low, high), Err(Error::InvalidArgument { .. })));
        }
        assert_eq!(generator, before);
    }

    #[test]
    fn permutations_of_fewer_than_two_draw_nothing() {
        let mut generator = Generator::new(0);
        assert!(generator.permutation(0).is_empty());
        assert_eq!(generator.permutation(1), [0]);
        assert_eq!(generator, Generator::new(0), "neither draws a number");
    }

    #[test]
    fn filling_empty_slices_draws_nothing() {
        let mut generator = Generator::new(0);
        generator.fill_normal(&mut [], 0.0, 1.0);
        generator.fill_uniform(&mut [], 0.0, 1.0);
        assert_eq!(generator, Generator::new(0));
    }
}
