//! Shared code of the benches: networks, timing, and the machine's peak rate.
//! `README.md` describes their use.

pub mod arrays;
pub mod compilation;
pub mod networks;

use std::sync::Barrier;
use std::time::Instant;

/// The median of at least one number.
pub fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// Calls for about `seconds`, in groups of some tenths of a millisecond; adds
/// the seconds per call of each group to `times`.
///
/// The warm-up calls are not counted: they wake threads and fill caches.
pub fn time_calls(seconds: f64, times: &mut Vec<f64>, mut call: impl FnMut()) {
    const GROUP: f64 = 3e-4;
    let warm_up = Instant::now();
    let mut calls = 0u32;
    while calls == 0 || warm_up.elapsed().as_secs_f64() < (seconds / 10.0).min(5e-3) {
        call();
        calls += 1;
    }
    let each = warm_up.elapsed().as_secs_f64() / f64::from(calls);
    let group = (GROUP / each).ceil().max(1.0) as u32;
    let started = Instant::now();
    loop {
        let start = Instant::now();
        (0..group).for_each(|_| call());
        times.push(start.elapsed().as_secs_f64() / f64::from(group));
        if started.elapsed().as_secs_f64() >= seconds {
            return;
        }
    }
}

/// Medians of [`measure`].
#[derive(Clone, Copy, Debug)]
pub struct Measurement {
    /// One call.
    pub seconds: f64,
    /// The machine's peak rate during the calls, if it is known: see
    /// [`peak_gflops`].
    pub peak_gflops: Option<f64>,
}

/// Times calls and the machine's peak rate alternately, for about `seconds`.
///
/// Clocks and other load change within seconds: the peak is measured at the
/// same time, with the same threads and vectors.
pub fn measure(seconds: f64, lanes: usize, threads: usize, mut call: impl FnMut()) -> Measurement {
    const ROUNDS: f64 = 10.0;
    const PEAK: f64 = 0.03;
    let (mut times, mut peaks) = (Vec::new(), Vec::new());
    let started = Instant::now();
    let rounds = (seconds / 0.1).ceil().clamp(3.0, ROUNDS);
    let mut round = 0.0;
    while round < 3.0 || started.elapsed().as_secs_f64() < seconds {
        peaks.extend(peak_gflops(lanes, threads, PEAK.min(seconds / rounds / 4.0)));
        time_calls(seconds / rounds * 0.75, &mut times, &mut call);
        round += 1.0;
    }
    let peak_gflops = (!peaks.is_empty()).then(|| median(&mut peaks));
    Measurement { seconds: median(&mut times), peak_gflops }
}

/// The machine's peak rate of multiply-adds on vectors of `lanes` floats, in
/// GFLOP/s of all threads together: all run a loop in registers at the same
/// time, for about `seconds`. Unknown if the processor lacks such vectors, and
/// on machines other than x86-64.
pub fn peak_gflops(lanes: usize, threads: usize, seconds: f64) -> Option<f64> {
    let spin = multiply_adds(lanes)?;
    let start = Barrier::new(threads);
    let one = || {
        start.wait();
        let mut times = Vec::new();
        time_calls(seconds, &mut times, || spin(ITERATIONS));
        (ITERATIONS * CHAINS * lanes * 2) as f64 / median(&mut times) / 1e9
    };
    let all = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(one)).collect();
        let first = one();
        others.into_iter().map(|t| t.join().expect("it cannot panic")).sum::<f64>() + first
    });
    Some(all)
}

/// Independent sums of the peak's loop. A multiply-add has a latency of 4 or 5
/// cycles, and two start per cycle: 10 sums hide it, and 12 leave room in 16
/// registers for the factor and the term.
const CHAINS: usize = 12;

/// Multiply-adds of each sum in a call: some 20 µs.
const ITERATIONS: usize = 5_000;

/// A loop of multiply-adds on vectors of `lanes` floats.
#[cfg(target_arch = "x86_64")]
fn multiply_adds(lanes: usize) -> Option<fn(usize)> {
    use std::arch::x86_64::{
        _mm_fmadd_ps, _mm_set1_ps, _mm256_fmadd_ps, _mm256_set1_ps, _mm512_fmadd_ps, _mm512_set1_ps,
    };
    use std::hint::black_box;

    macro_rules! multiply_adds {
        ($feature:tt, $set:ident, $fmadd:ident) => {{
            #[target_feature(enable = $feature)]
            fn spin(rounds: usize) {
                let (factor, term) = ($set(black_box(0.999)), $set(black_box(0.001)));
                let starts: [f32; CHAINS] = black_box(std::array::from_fn(|i| i as f32));
                let mut sums = starts.map(|x| $set(x));
                for _ in 0..rounds {
                    for sum in &mut sums {
                        *sum = $fmadd(*sum, factor, term);
                    }
                }
                black_box(sums);
            }
            fn safe(rounds: usize) {
                // SAFETY: this function is only returned if the processor has
                // the feature.
                unsafe { spin(rounds) }
            }
            std::arch::is_x86_feature_detected!($feature).then_some(safe as fn(usize))
        }};
    }
    match lanes {
        4 => multiply_adds!("fma", _mm_set1_ps, _mm_fmadd_ps),
        8 => multiply_adds!("fma", _mm256_set1_ps, _mm256_fmadd_ps),
        16 => multiply_adds!("avx512f", _mm512_set1_ps, _mm512_fmadd_ps),
        _ => None,
    }
}

/// Unknown on other machines.
#[cfg(not(target_arch = "x86_64"))]
fn multiply_adds(_: usize) -> Option<fn(usize)> {
    None
}
