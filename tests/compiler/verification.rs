//! Verification of networks and operations: no disagreement where there is no fault. `soak` verifies
//! random networks. `BILRO_ISA` for other instruction sets.

use bilro::{DynModel, Network, Verification};
use bilro_compiler::declaration::Declaration;
use bilro_compiler::eval::bounded::Bounded;
use bilro_compiler::ops;
use bilro_tests::{check, inputs};

/// The totals of many reports.
#[derive(Default)]
struct Tally {
    networks: usize,
    elements: usize,
    undecided: usize,
    worst: Vec<(f64, String)>,
}

impl Tally {
    fn add(&mut self, report: &Verification) {
        self.networks += 1;
        // Bounds of entire networks may be too wide if many examples are normalised.
        for check in report.checks.iter().filter(|check| !check.name.ends_with("as declared")) {
            self.elements += check.elements();
            self.undecided += check.undecided();
            if let Some(worst) = check.worst() {
                let name = format!("{}: {}", check.name, worst.name);
                self.worst.push((worst.worst, name));
            }
        }
    }

    /// Adds the report of a network, which must have no disagreement.
    fn verify(&mut self, network: &Declaration, examples: usize, seed: u64, threads: usize) {
        let values = inputs::values(network, examples, seed);
        let model = DynModel::builder(network.clone()).seed(seed).threads(threads).build().unwrap();
        let report = model.verify(inputs::batch(network, &values)).unwrap();
        assert!(report.is_ok(), "{report}");
        self.add(&report);
    }

    fn conclude(self) {
        let Tally { networks, elements, undecided, mut worst } = self;
        worst.sort_by(|a, b| b.0.total_cmp(&a.0));
        println!("{networks} networks, {elements} numbers, {undecided} undecided");
        worst.iter().take(5).for_each(|(ratio, name)| println!("  {ratio:.3} {name}"));
        // A check with many undecided elements would be useless.
        assert!(undecided * 20 < elements, "{undecided} of {elements} are undecided");
    }
}

/// The networks of README, examples and benches, with one example, few and many.
#[test]
fn networks_of_examples_are_verified_without_false_alarms() {
    use super::equality::networks::{Digits, Long, Mnist, Neuron, Perceptron, Tanh, Words};
    let mut tally = Tally::default();
    let small = [
        Digits::declaration(),
        Neuron::declaration(),
        Perceptron::declaration(),
        Tanh::declaration(),
        Words::declaration(),
    ];
    let large = [Long::declaration(), Mnist::declaration()];
    let all = small.into_iter().map(|network| (network, &[1, 7, 64][..]));
    for (network, batches) in all.chain(large.into_iter().map(|network| (network, &[2, 19][..]))) {
        let network = network.unwrap();
        for (i, batch) in batches.iter().enumerate() {
            tally.verify(&network, *batch, i as u64, 1 + i % 2);
        }
    }
    tally.conclude();
}

/// Every operation with its gradients on its samples, on every instruction set: results are within the
/// bounds of the compiled graph, and few elements are undecided.
#[test]
fn every_operation_is_within_its_bounds() {
    let targets = check::targets();
    let (mut elements, mut undecided) = (0usize, 0usize);
    let mut worst: Vec<(f64, String)> = Vec::new();
    for (size, batch) in [(1, 1), (5, 3), (17, 16)] {
        for entry in ops::ALL {
            for (i, sample) in (entry.samples)(size).iter().enumerate() {
                let case = check::case(sample, batch, i as u64);
                let expected = check::interpreted::<f64>(&case);
                for target in &targets {
                    let lowered = check::lowered(&case, target);
                    let found = check::jitted(&case, &lowered);
                    let graph = lowered.fused.graph.clone();
                    let bounds =
                        check::interpreted::<Bounded>(&check::Case { graph, ..case.clone() });
                    let roots = case.graph.roots().iter().zip(found.iter().zip(&expected));
                    for (((root, _), (found, expected)), bounds) in roots.zip(&bounds) {
                        let case_name = || {
                            format!(
                                "{} sample {i}, size {size}, {root}, {}",
                                entry.name, target.name
                            )
                        };
                        let mut largest = 0f64;
                        for ((x, y), bound) in found.iter().zip(expected).zip(bounds) {
                            let (x, y32) = (f64::from(*x), *y as f32);
                            if !bound.error.is_finite() {
                                undecided += 1;
                                continue;
                            }
                            elements += 1;
                            let is_same = x == f64::from(y32) || (x.is_nan() && y.is_nan());
                            if is_same {
                                continue;
                            }
                            let ratio = (x - y).abs() / (bound.error + y.abs() / 1e12);
                            assert!(ratio <= 1.0, "{}: {x} and {y}, {bound:?}", case_name());
                            largest = largest.max(ratio);
                        }
                        worst.push((largest, case_name()));
                    }
                }
            }
        }
    }
    worst.sort_by(|a, b| b.0.total_cmp(&a.0));
    println!("{elements} numbers, {undecided} undecided");
    worst.iter().take(8).for_each(|(ratio, name)| println!("  {ratio:.3} {name}"));
    assert!(undecided * 20 < elements, "{undecided} of {elements}");
}
