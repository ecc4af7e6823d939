//! What the benches share: the networks, how time is measured, and the
//! machine's limit.

pub mod compilation;
pub mod networks;

use std::hint::black_box;
use std::time::Instant;

/// The median time of one call in seconds: of batches of calls that take some
/// tenths of a millisecond each, over about `seconds`, after a warm-up.
pub fn median_seconds(seconds: f64, mut call: impl FnMut()) -> f64 {
    let warm_up = Instant::now();
    let mut calls = 0u32;
    while calls < 3 || warm_up.elapsed().as_secs_f64() < seconds / 10.0 {
        call();
        calls += 1;
    }
    let each = warm_up.elapsed().as_secs_f64() / f64::from(calls);
    let batch = (3e-4 / each).ceil().max(1.0) as u32;
    let mut times = Vec::new();
    let started = Instant::now();
    while times.len() < 5 || started.elapsed().as_secs_f64() < seconds {
        let start = Instant::now();
        (0..batch).for_each(|_| call());
        times.push(start.elapsed().as_secs_f64() / f64::from(batch));
    }
    median(&mut times)
}

/// The median of at least one number.
pub fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// Multiply-adds that go on at once where the limit is measured: enough to
/// hide their latency.
const CHAINS: usize = 12;

/// The machine's limit for 128-bit multiply-adds on one core, in GFLOP/s: a
/// loop that stays in registers.
#[cfg(target_arch = "x86_64")]
pub fn peak_gflops() -> Option<f64> {
    use std::arch::x86_64::{__m128, _mm_fmadd_ps, _mm_set1_ps};

    #[target_feature(enable = "fma")]
    fn spin(rounds: usize, starts: [f32; CHAINS]) -> [__m128; CHAINS] {
        let (factor, term) = (_mm_set1_ps(0.999), _mm_set1_ps(0.001));
        let mut sums = starts.map(|x| _mm_set1_ps(x));
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm_fmadd_ps(*sum, factor, term);
            }
        }
        sums
    }
    if !std::arch::is_x86_feature_detected!("fma") {
        return None;
    }
    const ROUNDS: usize = 100_000;
    let seconds = median_seconds(0.3, || {
        // SAFETY: the processor has been asked for the feature.
        let sums = unsafe { spin(black_box(ROUNDS), black_box(std::array::from_fn(|i| i as f32))) };
        black_box(sums);
    });
    Some((ROUNDS * CHAINS * 4 * 2) as f64 / seconds / 1e9)
}

/// Unknown on other machines.
#[cfg(not(target_arch = "x86_64"))]
pub fn peak_gflops() -> Option<f64> {
    let _ = CHAINS;
    None
}
