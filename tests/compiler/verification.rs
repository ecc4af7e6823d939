//! Verification of random networks: no disagreement where there is no fault.
//!
//! `BILRO_SEED=n` and `PROPTEST_CASES=n` as in `differential`; `BILRO_ISA` for other instruction
//! sets.

use std::cell::{Cell, RefCell};

use bilro::{DynBatch, DynModel, Network, Verification};
use bilro_compiler::declaration::Declaration;
use bilro_compiler::eval::bounded::Bounded;
use bilro_compiler::ops;
use bilro_tests::check;
use bilro_tests::networks::{Array, LOSSES, Recipe, arrays, for_recipes, recipes};
use proptest::prelude::*;

/// The totals of many reports.
#[derive(Default)]
struct Tally {
    networks: Cell<usize>,
    elements: Cell<usize>,
    undecided: Cell<usize>,
    worst: RefCell<Vec<(f64, String)>>,
}

impl Tally {
    fn add(&self, report: &Verification) {
        self.networks.set(self.networks.get() + 1);
        // Bounds of entire networks may be too wide if many examples are normalised.
        for check in report.checks.iter().filter(|check| !check.name.ends_with("as declared")) {
            self.elements.set(self.elements.get() + check.elements());
            self.undecided.set(self.undecided.get() + check.undecided());
            if let Some(worst) = check.worst() {
                let name = format!("{}: {}", check.name, worst.name);
                self.worst.borrow_mut().push((worst.worst, name));
            }
        }
    }

    fn conclude(&self) {
        let (networks, elements) = (self.networks.get(), self.elements.get());
        let undecided = self.undecided.get();
        let mut worst = self.worst.take();
        worst.sort_by(|a, b| b.0.total_cmp(&a.0));
        println!("{networks} networks, {elements} numbers, {undecided} undecided");
        worst.iter().take(5).for_each(|(ratio, name)| println!("  {ratio:.3} {name}"));
        // A check with many undecided elements would be useless.
        assert!(undecided * 20 < elements, "{undecided} of {elements} are undecided");
    }
}

fn verify(recipe: &Recipe, threads: usize) -> bilro::Result<Verification> {
    verify_network(recipe.build().network, recipe.batch, recipe.seed, threads)
}

fn verify_network(
    network: Declaration,
    examples: usize,
    seed: u64,
    threads: usize,
) -> bilro::Result<Verification> {
    let arrays = arrays(&network, examples, seed);
    let order = [false, true]
        .into_iter()
        .flat_map(|target| network.inputs.iter().filter(move |input| input.is_target == target));
    let names: Vec<String> = order.map(|input| input.name.clone()).collect();
    let model = DynModel::builder(network).seed(seed).threads(threads).build()?;
    let mut batch = DynBatch::new();
    for (name, array) in names.iter().zip(&arrays) {
        batch = batch.with(name, Array::feed(array));
    }
    model.verify(batch)
}

#[test]
fn random_networks_are_verified_without_false_alarms() {
    let tally = Tally::default();
    for_recipes(60, recipes(37, 33, 9), |recipe| {
        let threads = 1 + recipe.seed as usize % 2;
        let report = verify(&recipe, threads);
        let report = report.map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert!(report.is_ok(), "{report}");
        tally.add(&report);
        Ok(())
    });
    tally.conclude();
}

/// The networks of README, examples and benches, with one example, few and many.
#[test]
fn networks_of_examples_are_verified_without_false_alarms() {
    use super::equality::networks::{Digits, Long, Mnist, Neuron, Perceptron, Tanh, Words};
    let tally = Tally::default();
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
            let report = verify_network(network.clone(), *batch, i as u64, 1 + i % 2).unwrap();
            assert!(report.is_ok(), "{report}");
            tally.add(&report);
        }
    }
    tally.conclude();
}

#[test]
fn every_loss_with_its_options_is_verified_without_false_alarms() {
    let tally = Tally::default();
    for loss in 0..LOSSES {
        for (classes, batch, sums) in [(0, 1, false), (1, 33, false), (6, 2, true)] {
            let recipe = Recipe::linear(classes, batch, loss, sums);
            let report = verify(&recipe, 1).unwrap();
            assert!(report.is_ok(), "{report}\n{recipe:?}");
            tally.add(&report);
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
