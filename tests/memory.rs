//! Executables free their machine code when they go. A process that compiles
//! and drops thousands of them stays as large as it was after the first few.
//!
//! A file of its own: other tests in the process would disturb the measurement.

use bilro::prelude::*;
use bilro_compiler::codegen::module::Executable;
use bilro_compiler::network::Purpose;
use bilro_compiler::optim::Training;
use bilro_compiler::pipeline::lower_network;
use bilro_tests::check;
use ndarray::array;

network! {
    /// One neuron: the smallest code there is.
    struct Neuron {
        input point: [2];
        target label: [1];
        output p = point -> Linear(1) -> Sigmoid;
        loss binary_cross_entropy(p, label);
    }
}

/// Executables altogether, for all instruction sets.
const ROUNDS: usize = 10_000;

/// Models altogether, each with machine code for two purposes.
const MODELS: usize = 500;

/// What caches and the allocator may take until they have their size.
const WARM_UP: usize = 500;

/// How far the process may grow, in KiB. An executable has code and constants
/// in at least a page each: if they stayed, that would be ten times as much.
const GROWTH: usize = 4 * 1024;

/// The process's memory, in KiB; none where nothing tells.
fn resident() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

/// Runs a round after the other, and requires memory to stay as it is after
/// the warm-up.
fn stays_flat(what: &str, warm_up: usize, rounds: usize, mut round: impl FnMut(usize)) {
    if resident().is_none() {
        println!("skipped: this system has no /proc/self/status");
        return;
    }
    (0..warm_up).for_each(&mut round);
    let before = resident().unwrap_or(0);
    (warm_up..rounds).for_each(&mut round);
    let after = resident().unwrap_or(usize::MAX);
    println!("{what}: {before} KiB after {warm_up} rounds, {after} KiB after {rounds}");
    assert!(after <= before + GROWTH, "{what}: {before} KiB, {rounds} rounds later {after} KiB");
}

/// One test, so that nothing else runs meanwhile.
#[test]
fn code_is_freed() {
    let network = Neuron::declaration().unwrap();
    let sgd = Training::from(Sgd::new(0.1));
    let purpose = Purpose::Step(&sgd);
    let isas = check::isas();
    let lowered: Vec<_> =
        isas.iter().map(|isa| lower_network(&network, &purpose, 1, isa, false).unwrap()).collect();
    stays_flat("executables", WARM_UP, ROUNDS, |round| {
        let lowered = &lowered[round % lowered.len()];
        let plan = &lowered.plan;
        let executable =
            Executable::new(&lowered.programs, &plan.places, &plan.regions, false).unwrap();
        assert_eq!(executable.kernels(), lowered.programs.len());
    });
    stays_flat("models", MODELS / 10, MODELS, |round| {
        let mut trainer = Neuron::trainer(Sgd::new(0.1)).seed(round as u64).build().unwrap();
        let (point, label) = (array![[0.5f32, 1.0]], array![[1.0f32]]);
        trainer.step(neuron::Batch { point: point.view(), label: label.view() }).unwrap();
        trainer.into_model().predict(neuron::Input { point: point.view() }).unwrap();
    });
}
