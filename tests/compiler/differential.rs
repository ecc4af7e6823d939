//! Random networks: machine code against the interpreter in f64, for every
//! purpose and for three training steps; and against the evaluator of programs,
//! bit for bit, on every vector width.
//!
//! `BILRO_SEED=n` tries other networks and `PROPTEST_CASES=n` another number of
//! them. A network that fails is shrunk, and printed as builder calls.

use std::sync::Arc;

use std::cell::Cell;

use bilro::rng::Generator;
use bilro_compiler::declaration::{Builder, Declaration, LossReduction};
use bilro_compiler::graph::{Graph, Root};
use bilro_compiler::ops::{Attributes, Op};
use bilro_compiler::optim::Training;
use bilro_compiler::optim::sgd::Sgd;
use bilro_compiler::purpose::Purpose;
use bilro_compiler::shape::{Shape, Type};
use bilro_compiler::target::{Target, host};
use bilro_tests::chains::chains;
use bilro_tests::check;
use bilro_tests::networks::{LOSSES, Recipe, for_recipes, recipes};
use bilro_tests::trainings::training;
use ndarray::ArrayD;
use proptest::prelude::*;

mod trial;

use trial::Trial;

/// Length of a step of all parameters together: so values stay of order one for
/// every loss.
const LENGTH: f64 = 0.1;

fn largest<'a>(x: impl IntoIterator<Item = &'a f32>) -> f64 {
    x.into_iter().fold(0.0, |m, x| m.max(f64::from(x.abs())))
}

/// The largest error, relative to the allowed one.
fn worst(
    context: &str,
    found: &ArrayD<f32>,
    expected: &ArrayD<f32>,
    allowed: f64,
) -> Result<f64, TestCaseError> {
    prop_assert_eq!(found.shape(), expected.shape(), "{}", context);
    let mut worst = 0f64;
    for (i, (x, y)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(*x) - f64::from(*y)).abs();
        // Written so that NaN fails.
        let fits = error <= allowed && y.is_finite();
        prop_assert!(fits, "{context}, element {i}: {x} instead of {y}, more than {allowed:e}");
        worst = worst.max(error / allowed);
    }
    Ok(worst)
}

/// Compares all purposes and three steps; the largest error relative to its
/// bound.
///
/// Values are of order one, or of the order of the largest compared value. The
/// bound is one ulp of that for each rounding.
fn compare(trial: &mut Trial) -> Result<f64, TestCaseError> {
    let (share, unit) = shares(&trial.network, trial.batch);
    let mut ratio = 0f64;

    let allowed = trial.rounding(&Purpose::Predict);
    let [found, expected] = trial.run(&Purpose::Predict)?;
    prop_assert_eq!(found.arrays.len(), expected.arrays.len());
    for (i, (x, y)) in found.arrays.iter().zip(&expected.arrays).enumerate() {
        let scale = largest(y).max(1.0);
        ratio = ratio.max(worst(&format!("output {i}"), x, y, allowed * scale)?);
    }

    let allowed = trial.rounding(&Purpose::Evaluate);
    let [found, expected] = trial.run(&Purpose::Evaluate)?;
    prop_assert_eq!(found.numbers.len(), expected.numbers.len());
    let metrics = trial.network.metrics().map(|name| (name, 1.0));
    let names: Vec<(&str, f64)> = std::iter::once(("loss", unit)).chain(metrics).collect();
    for ((name, unit), (x, y)) in names.into_iter().zip(found.numbers.iter().zip(&expected.numbers))
    {
        let allowed = allowed * largest([y]).max(unit);
        match worst(name, &number(*x), &number(*y), allowed) {
            Ok(largest) => ratio = ratio.max(largest),
            Err(_) if name == "accuracy" && trial.is_near_a_kink(true) => {}
            // No target counts.
            Err(_) if name == "accuracy" && x.is_nan() && y.is_nan() => {}
            Err(error) => return Err(error),
        }
    }

    let rounding = trial.rounding(&Purpose::Gradients);
    let [found, expected] = trial.run(&Purpose::Gradients)?;
    prop_assert_eq!(found.arrays.len(), expected.arrays.len());
    let steepest = largest(expected.arrays.iter().flatten());
    let widest = trial.widest() as f64;
    let mut allowed = Vec::new();
    for (i, (x, y)) in found.arrays.iter().zip(&expected.arrays).enumerate() {
        let name = &trial.network.parameters[i].name;
        // Number of terms, of any sign, of the gradient's sum.
        let terms = (widest / y.len() as f64).max(1.0);
        let scale = steepest.max(share * terms.sqrt());
        allowed.push(rounding * scale);
        ratio = ratio.max(worst(&format!("gradient of {name}"), x, y, allowed[i])?);
    }

    let squares = expected.arrays.iter().flatten().map(|x| f64::from(*x).powi(2));
    let norm = squares.sum::<f64>().sqrt();
    // A small gradient may be larger after a step.
    let rate = LENGTH / norm.max(share * widest.sqrt()).max(LENGTH);
    // With momentum, the effect of a gradient adds up to twice its own step.
    let sgd = Arc::new(Training::from(Sgd::new(0.5 * rate as f32).momentum(0.5)));
    let purpose = Purpose::Step(sgd.clone());
    let rounding = trial.rounding(&purpose);
    for step in 1..=3 {
        let [found, expected] = trial.run(&purpose)?;
        let [x, y] = [found, expected].map(|roots| roots.numbers[0]);
        let scale = largest([&y]).max(unit) * f64::from(step);
        let context = format!("loss of step {step}");
        ratio = ratio.max(worst(&context, &number(x), &number(y), rounding * scale)?);
        let [found, expected] = [&trial.jit, &trial.reference].map(Trial::parameters);
        for (i, (x, y)) in found.iter().zip(&expected).enumerate() {
            let context = format!("{} after step {step}", trial.network.parameters[i].name);
            // The gradient's error, plus rounding of the product with the rate
            // and of the sum; the same for each previous step.
            let rounding = 2.0 * f64::from(f32::EPSILON) * largest(y).max(1.0);
            let allowed = f64::from(step) * (rounding + rate * allowed[i]);
            ratio = ratio.max(worst(&context, x, y, allowed)?);
        }
        let variables = trial.network.variables(&purpose);
        let trained = sgd.trained(&trial.network.parameters);
        for (index, of) in (trial.network.parameters.len()..variables.len()).zip(trained) {
            let [x, y] = [&trial.jit, &trial.reference].map(|e| e.parameter(index).to_owned());
            let context = format!("{} after step {step}", variables[index].name);
            let rounding = 2.0 * f64::from(f32::EPSILON) * largest(&y).max(1.0);
            let allowed = f64::from(step) * (rounding + 2.0 * allowed[of]);
            ratio = ratio.max(worst(&context, &x, &y, allowed)?);
        }
    }
    Ok(ratio)
}

fn number(x: f32) -> ArrayD<f32> {
    ArrayD::from_elem(ndarray::IxDyn(&[]), x)
}

/// The gradient of the loss with respect to one element of its sum, the order of
/// the terms of gradients; and the order of the loss itself: `√n` for a sum of
/// `n` elements of order one with any sign.
fn shares(network: &Declaration, batch: usize) -> (f64, f64) {
    let g = network.graph().with_batch(batch);
    let loss = g.root(&Root::Loss).expect("a network has a loss");
    // A sum is a chain of reductions.
    let mut elements = loss;
    while let Op::Mean(_) | Op::Reduce(_) | Op::Reshape(_) = g.op(elements) {
        elements = g.operands(elements)[0];
    }
    let count = g.sizes(elements).iter().product::<usize>() as f64;
    match g.op(loss) {
        Op::Mean(_) => (1.0 / count, 1.0),
        // The sum divided by the sum of weights.
        Op::Div(_) => {
            let mut elements = g.operands(loss)[0];
            while let Op::Reduce(_) | Op::Reshape(_) = g.op(elements) {
                elements = g.operands(elements)[0];
            }
            (1.0 / g.sizes(elements).iter().product::<usize>() as f64, 1.0)
        }
        _ => (1.0, count.sqrt()),
    }
}

/// Number of compared networks, and results.
#[derive(Default)]
struct Tally {
    tried: Cell<usize>,
    excused: Cell<usize>,
    /// The largest error, relative to its bound.
    ratio: Cell<f64>,
}

impl Tally {
    /// Compares another network. A difference is excused only near a kink.
    fn compare(&self, trial: &mut Trial) -> Result<(), TestCaseError> {
        self.tried.set(self.tried.get() + 1);
        match compare(trial) {
            Ok(largest) => self.ratio.set(self.ratio.get().max(largest)),
            Err(_) if trial.is_near_a_kink(false) => self.excused.set(self.excused.get() + 1),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Prints the results. At most one of `one_of` networks may be excused.
    fn conclude(&self, one_of: usize) {
        let (tried, excused, ratio) = (self.tried.get(), self.excused.get(), self.ratio.get());
        println!(
            "{tried} networks, errors up to {ratio:.2} of the bound; {excused} differ where \
             rounding decides"
        );
        assert!(excused * one_of <= tried, "{excused} of {tried}");
    }
}

#[test]
fn machine_code_agrees_with_the_interpreter() {
    let tally = Tally::default();
    for_recipes(500, recipes(70, 33, 9), |recipe| {
        tally.compare(&mut Trial::new(recipe.build().network, recipe.batch, recipe.seed))
    });
    tally.conclude(50);
}

/// Products large enough for tiles and blocks of k, and swapped operands: against
/// the interpreter, and with the same bits on every instruction set.
#[test]
fn wide_networks_agree_with_the_interpreter_and_with_each_other() {
    let targets = check::targets();
    let tally = Tally::default();
    for_recipes(20, chains(4), |chain| {
        let mut trial = Trial::new(chain.build(), chain.batch, chain.seed);
        let training = training(chain.seed, 0.01);
        let scalar = |name: &str| {
            training.optimizer().scalar(name, 1, 0.01).expect("a scalar of this optimizer")
        };
        let step = Purpose::Step(training.clone());
        let variables = trial.network.variables(&step);
        let (inputs, mut parameters) = (trial.inputs(), Trial::parameters(&trial.jit));
        parameters.extend(check::initial_state(&trial.network, &step));
        let roots = |target: &Target| {
            let lowered = check::lower_network(&trial.network, &step, trial.batch, target);
            let lowered = lowered.map_err(|error| TestCaseError::fail(error.to_string()))?;
            let roots = check::jitted_network(&lowered, &variables, &inputs, &parameters, scalar);
            Ok::<_, TestCaseError>(roots)
        };
        let expected = roots(&targets[0])?;
        for target in &targets[1..] {
            for (i, (x, y)) in roots(target)?.iter().zip(&expected).enumerate() {
                check::assert_same_bits(&format!("{}, root {i}", target.name), x, y);
            }
        }
        tally.compare(&mut trial)
    });
    tally.conclude(4);
}

/// The text of every purpose's graph parses to the same graph, before and after arranging for
/// kernels.
#[test]
fn graphs_round_trip_through_text() {
    for_recipes(100, recipes(20, 33, 9), |recipe| {
        let network = recipe.build().network;
        let training = training(recipe.seed, 0.01);
        for purpose in [Purpose::Step(training.clone()), Purpose::Gradients, Purpose::Predict] {
            let target = host::baseline();
            let lowered = check::lower_network(&network, &purpose, recipe.batch, &target);
            let lowered = lowered.map_err(|error| TestCaseError::fail(error.to_string()))?;
            for graph in [lowered.graph, lowered.fused.graph] {
                let text = graph.to_string();
                let read = text.parse::<Graph>();
                let read = read.map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
                prop_assert!(read == graph, "{text}\nis parsed as\n{read}");
            }
        }
        Ok(())
    });
}

/// All roots of every purpose have the same bits in machine code on every
/// instruction set, and in the evaluator for every vector width. The order of
/// reductions depends neither on the width nor on the number of threads.
#[test]
fn machine_code_has_the_evaluators_bits_on_every_width() {
    let targets = check::targets();
    for_recipes(120, recipes(37, 33, 9), |recipe| {
        let trial = Trial::new(recipe.build().network, recipe.batch, recipe.seed);
        let (inputs, initial) = (trial.inputs(), Trial::parameters(&trial.jit));
        let training = training(recipe.seed, 0.01);
        let scalar = |name: &str| {
            training.optimizer().scalar(name, 2, 0.01).expect("a scalar of this optimizer")
        };
        let network = &trial.network;
        for purpose in [
            Purpose::Step(training.clone()),
            Purpose::Accumulate { training: training.clone(), first: true },
            Purpose::Accumulate { training: training.clone(), first: false },
            Purpose::Gradients,
            Purpose::Evaluate,
            Purpose::Predict,
        ] {
            // Only several batches are accumulated.
            if matches!(purpose, Purpose::Accumulate { .. }) && training.accumulate() == 1 {
                continue;
            }
            let variables = network.variables(&purpose);
            let mut parameters = initial.clone();
            // State as after a step, so that it matters.
            let mut generator = Generator::new(recipe.seed);
            for mut first in check::initial_state(network, &purpose) {
                first.mapv_inplace(|x| x + generator.uniform(0.0, 1.0));
                parameters.push(first);
            }
            let lower = |target: &Target| {
                let lowered = check::lower_network(network, &purpose, trial.batch, target);
                lowered.map_err(|error| TestCaseError::fail(error.to_string()))
            };
            // Targets and shares vary together: neither may change the result.
            let evaluated = |target: &Target, shares| {
                let lowered = lower(target)?;
                let roots =
                    check::evaluated_network(&lowered, &inputs, &parameters, scalar, shares);
                Ok::<_, TestCaseError>((lowered.graph, roots))
            };
            let (graph, expected) = evaluated(&check::evaluated_target(1), 1)?;
            let compare = |context: &str, found: &[Vec<f32>]| {
                assert_eq!(found.len(), expected.len());
                for ((root, _), (x, y)) in graph.roots().iter().zip(found.iter().zip(&expected)) {
                    let context = format!("{} {context}, {root}", purpose.name());
                    check::assert_same_bits(&context, x, y);
                }
            };
            if let Purpose::Step(_) = purpose {
                // Targets of other machines too.
                for (target, shares) in Target::ALL.iter().zip([3, 2, 3, 2]) {
                    let Target { architecture, name, .. } = target;
                    let context = format!("evaluated for {architecture:?}, {name}");
                    compare(&context, &evaluated(target, shares)?.1);
                }
            }
            for target in &targets {
                let lowered = lower(target)?;
                let roots =
                    check::jitted_network(&lowered, &variables, &inputs, &parameters, scalar);
                compare(target.name, &roots);
            }
        }
        Ok(())
    });
}

/// Every loss with its options after a `Linear`, with which it may be fused: one
/// class and several, one example and several, in every purpose.
#[test]
fn every_loss_after_a_product_agrees_with_the_interpreter() {
    let tally = Tally::default();
    for loss in 0..LOSSES {
        for (classes, batch, sums) in
            [(0, 1, false), (1, 1, true), (1, 33, false), (0, 3, true), (6, 2, false)]
        {
            let recipe = Recipe::linear(classes, batch, loss, sums);
            let mut trial = Trial::new(recipe.build().network, batch, recipe.seed);
            if let Err(error) = tally.compare(&mut trial) {
                panic!("{error}\n{recipe:?}");
            }
        }
    }
    tally.conclude(50);
}

/// Formulas and graphs share subexpressions: a pass that visits each of them once
/// per user takes exponential time.
#[test]
fn long_chains_of_functions_compile_fast() {
    let none = Attributes::new();
    let compiles = |b: Builder, batch: usize| {
        let network = b.finish().unwrap();
        for purpose in [Purpose::Predict, Purpose::Gradients] {
            let lowered =
                check::lower_network(&network, &purpose, batch, &host::baseline()).unwrap();
            assert!(!lowered.artifact.programs.is_empty());
        }
    };
    let mut b = Builder::new("Rows");
    let mut x = b.input("x", Type::real(Shape::batched([20]))).unwrap();
    b.differentiate(x).unwrap();
    for _ in 0..12 {
        for function in ["tanh", "sigmoid", "softmax"] {
            x = b.call(function, &[(x, "x")], &none).unwrap();
        }
    }
    b.output("y", x).unwrap();
    b.loss((x, "y"), LossReduction::Sum).unwrap();
    compiles(b, 3);

    // One number for each row, enough for a kernel of their own.
    let mut b = Builder::new("Numbers");
    let x = b.input("x", Type::real(Shape::batched([20]))).unwrap();
    b.differentiate(x).unwrap();
    let mut x = b.call("sum", &[(x, "x")], &none).unwrap();
    for _ in 0..60 {
        let y = b.call("tanh", &[(x, "x")], &none).unwrap();
        x = b.call("mul", &[(y, "y"), (x, "x")], &none).unwrap();
    }
    b.output("y", x).unwrap();
    b.loss((x, "y"), LossReduction::Sum).unwrap();
    compiles(b, 32);

    // A formula that is deeper than a thread's stack.
    let mut b = Builder::new("Long");
    let mut x = b.input("x", Type::real(Shape::batched([20]))).unwrap();
    b.differentiate(x).unwrap();
    for _ in 0..3_000 {
        x = b.call("tanh", &[(x, "x")], &none).unwrap();
    }
    b.output("y", x).unwrap();
    b.loss((x, "y"), LossReduction::Sum).unwrap();
    compiles(b, 3);
}
