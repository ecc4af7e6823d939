//! Memory: machine code is freed, takes few mappings and is cached up to a limit;
//! too little memory is an error.
//!
//! A separate program: other tests in the process would disturb the measurement.

#[cfg(target_os = "linux")]
#[path = "memory/starved.rs"]
mod starved;

use std::sync::Arc;

use bilro::prelude::*;
use bilro_compiler::codegen::module::Executable;
use bilro_compiler::optim::Training;
use bilro_compiler::purpose::Purpose;
use bilro_tests::check;
use ndarray::array;

network! {
    /// One neuron: the smallest code.
    struct Neuron {
        input point: [2];
        target label: [1];
        output p = point -> Linear(1) -> Sigmoid;
        loss binary_cross_entropy(p, label);
    }
}

network! {
    /// Code that depends on the batch size.
    struct Digits {
        input image: [64];
        target digit: class(10);
        output logits = image -> Linear(32) -> ReLU -> Linear(10);
        loss cross_entropy(logits, digit);
    }
}

/// Executables in sequence, for all instruction sets, then [`LIVE`] at the same
/// time, and a quarter of those again: 100,000 altogether.
const ROUNDS: usize = 50_000;

/// Executables at the same time, and KiB for each: a page and its metadata. Linux
/// allows 65,530 mappings per process; two per executable would exceed that.
const LIVE: usize = 40_000;
const LIVE_KIB: usize = 6;

/// Mappings that the heap of code may add while it doubles to that size.
const MAPPINGS: usize = 40;

/// Batch sizes of one model, and KiB that they may take: the limit of the cache,
/// plus the allocator's reserve.
const BATCH_SIZES: usize = 2_000;
const BATCH_SIZES_KIB: usize = 32 * 1024;
const CODE_CACHE: usize = 16 << 20;

/// Models altogether, each with machine code for two purposes.
const MODELS: usize = 500;

/// Rounds until caches and the allocator reach their final size.
const WARM_UP: usize = 500;

/// Allowed growth of the process, in KiB. An executable has code and constants in
/// at least a page each: a leak would be ten times that.
const GROWTH: usize = 4 * 1024;

/// The process's memory, in KiB; none if it is unknown.
fn resident() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

/// Runs all rounds, and requires memory not to grow after the warm-up.
fn stays_flat(context: &str, warm_up: usize, rounds: usize, mut round: impl FnMut(usize)) {
    if resident().is_none() {
        println!("skipped: this system has no /proc/self/status");
        return;
    }
    (0..warm_up).for_each(&mut round);
    let before = resident().unwrap_or(0);
    (warm_up..rounds).for_each(&mut round);
    let after = resident().unwrap_or(usize::MAX);
    println!("{context}: {before} KiB after {warm_up} rounds, {after} KiB after {rounds}");
    assert!(after <= before + GROWTH, "{context}: {before} KiB, {rounds} rounds later {after} KiB");
}

/// Number of mappings of the process, none of which is writable and executable.
fn mappings() -> usize {
    std::fs::read_to_string("/proc/self/maps").map_or(0, |maps| {
        let permissions = |line: &str| line.split_whitespace().nth(1).map(String::from);
        let both = maps.lines().find(|line| permissions(line).is_some_and(|p| p.contains("wx")));
        assert_eq!(both, None, "writable and executable");
        maps.lines().count()
    })
}

/// One test, so that nothing else runs at the same time.
#[test]
fn code_is_freed_and_takes_few_mappings() {
    let network = Neuron::declaration().unwrap();
    let sgd = Arc::new(Training::from(Sgd::new(0.1)));
    let purpose = Purpose::Step(sgd.clone());
    let targets = check::targets();
    let lowered: Vec<_> = targets
        .iter()
        .map(|target| check::lower_network(&network, &purpose, 1, target).unwrap())
        .collect();
    stays_flat("executables", WARM_UP, ROUNDS, |round| {
        let lowered = &lowered[round % lowered.len()];
        let executable = Executable::new(&lowered.artifact, false).unwrap();
        assert_eq!(executable.kernels(), lowered.artifact.programs.len());
    });
    many_live(|round| {
        let lowered = &lowered[round % lowered.len()];
        Executable::new(&lowered.artifact, false).unwrap()
    });
    many_batch_sizes();
    stays_flat("models", MODELS / 10, MODELS, |round| {
        let mut trainer = Neuron::trainer(Sgd::new(0.1)).seed(round as u64).build().unwrap();
        let (point, label) = (array![[0.5f32, 1.0]], array![[1.0f32]]);
        trainer.step(neuron::Batch { point: point.view(), label: label.view() }).unwrap();
        trainer.into_model().predict(neuron::Input { point: point.view() }).unwrap();
    });
}

/// More executables at once than mappings are allowed, and holes between them.
fn many_live(compile: impl Fn(usize) -> Executable) {
    let (before, mapped) = (resident(), mappings());
    let mut live: Vec<Executable> = (0..LIVE).map(&compile).collect();
    let assert_few_mappings = |context: &str, found: usize| {
        println!("{context}: {found} mappings, {mapped} before, {:?} KiB", resident());
        assert!(found <= mapped + MAPPINGS, "{context}: {found} mappings, {mapped} before");
    };
    assert_few_mappings("live", mappings());
    if let (Some(before), Some(after)) = (before, resident()) {
        assert!(after <= before + LIVE * LIVE_KIB, "{after} KiB, {before} KiB before");
    }
    let mut index = 0;
    live.retain(|_| {
        index += 1;
        index % 2 == 0
    });
    assert_few_mappings("every other one", mappings());
    live.extend((0..LIVE / 4).map(&compile));
    assert_few_mappings("holes filled", mappings());
    // In pages that had other code, and between live code.
    let mut trainer = Neuron::trainer(Sgd::new(0.1)).build().unwrap();
    let (point, label) = (array![[0.5f32, 1.0]], array![[1.0f32]]);
    let mut step = || {
        let batch = neuron::Batch { point: point.view(), label: label.view() };
        trainer.step(batch).unwrap()
    };
    assert!(step() > step());
    drop(live);
    assert_few_mappings("after all", mappings());
}

/// The code for thousands of batch sizes stays within the limit; recompiled code
/// has the same bits.
fn many_batch_sizes() {
    let image = bilro::ndarray::Array2::from_shape_fn((BATCH_SIZES, 64), |(i, j)| {
        ((i * 31 + j * 17) % 101) as f32 / 101.0
    });
    let model = Digits::model().threads(1).code_cache(CODE_CACHE).build().unwrap();
    let predict = |rows: usize| {
        let image = image.slice(bilro::ndarray::s![..rows, ..]);
        model.predict(digits::Input { image }).unwrap().logits
    };
    let first = predict(1);
    let before = resident();
    let mut sizes: Vec<usize> = (1..=BATCH_SIZES).collect();
    // The arena gets its final size first.
    sizes.reverse();
    for rows in sizes {
        assert_eq!(predict(rows).row(0), first.row(0), "{rows} rows");
    }
    assert_eq!(predict(1), first);
    if let (Some(before), Some(after)) = (before, resident()) {
        println!("{BATCH_SIZES} batch sizes: {before} KiB before, {after} KiB after");
        assert!(after <= before + BATCH_SIZES_KIB, "{before} KiB before, {after} KiB after");
    }
}
