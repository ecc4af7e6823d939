//! Random networks: machine code against the interpreter in f64, for every
//! purpose and for three steps of training; and against the evaluator of
//! programs, bit for bit, on every width of vectors.
//!
//! `BILRO_SEED=n` tries other networks and `PROPTEST_CASES=n` another number of
//! them. A network that fails is made smaller, and printed as it is built.

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

/// How far all parameters together go in a step: so values stay of order one,
/// whatever the loss is.
const LENGTH: f64 = 0.1;

fn largest<'a>(x: impl IntoIterator<Item = &'a f32>) -> f64 {
    x.into_iter().fold(0.0, |m, x| m.max(f64::from(x.abs())))
}

/// The largest error found, as a part of what is allowed.
fn worst(
    what: &str,
    found: &ArrayD<f32>,
    expected: &ArrayD<f32>,
    allowed: f64,
) -> Result<f64, TestCaseError> {
    prop_assert_eq!(found.shape(), expected.shape(), "{}", what);
    let mut worst = 0f64;
    for (i, (x, y)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(*x) - f64::from(*y)).abs();
        // Written so that NaN fails.
        let fits = error <= allowed && y.is_finite();
        prop_assert!(fits, "{what}, element {i}: {x} instead of {y}, more than {allowed:e}");
        worst = worst.max(error / allowed);
    }
    Ok(worst)
}

/// All purposes and three steps; the largest error as a part of the bound.
///
/// Values are of order one, or as large as the largest of what is compared.
/// What follows from them may be wrong by one ulp of that for each rounding.
fn compare(trial: &mut Trial) -> Result<f64, TestCaseError> {
    let (share, unit) = shares(&trial.network, trial.batch);
    let mut part = 0f64;

    let allowed = trial.rounding(&Purpose::Predict);
    let [found, expected] = trial.run(&Purpose::Predict)?;
    prop_assert_eq!(found.arrays.len(), expected.arrays.len());
    for (i, (x, y)) in found.arrays.iter().zip(&expected.arrays).enumerate() {
        let scale = largest(y).max(1.0);
        part = part.max(worst(&format!("output {i}"), x, y, allowed * scale)?);
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
            Ok(largest) => part = part.max(largest),
            Err(_) if name == "accuracy" && trial.is_near_a_kink(true) => {}
            // Of targets of which none counts.
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
        // So many terms of any sign add up to it.
        let terms = (widest / y.len() as f64).max(1.0);
        let scale = steepest.max(share * terms.sqrt());
        allowed.push(rounding * scale);
        part = part.max(worst(&format!("gradient of {name}"), x, y, allowed[i])?);
    }

    let squares = expected.arrays.iter().flatten().map(|x| f64::from(*x).powi(2));
    let norm = squares.sum::<f64>().sqrt();
    // A gradient that happens to be small is not so after a step.
    let rate = LENGTH / norm.max(share * widest.sqrt()).max(LENGTH);
    // With momentum, what a gradient does adds up to twice its own step.
    let sgd = Arc::new(Training::from(Sgd::new(0.5 * rate as f32).momentum(0.5)));
    let purpose = Purpose::Step(sgd.clone());
    let rounding = trial.rounding(&purpose);
    for step in 1..=3 {
        let [found, expected] = trial.run(&purpose)?;
        let [x, y] = [found, expected].map(|roots| roots.numbers[0]);
        let scale = largest([&y]).max(unit) * f64::from(step);
        let what = format!("loss of step {step}");
        part = part.max(worst(&what, &number(x), &number(y), rounding * scale)?);
        let [found, expected] = [&trial.jit, &trial.reference].map(Trial::parameters);
        for (i, (x, y)) in found.iter().zip(&expected).enumerate() {
            let what = format!("{} after step {step}", trial.network.parameters[i].name);
            // What the gradient has, the product with the rate and the sum
            // round; then as much again for each step before.
            let own = 2.0 * f64::from(f32::EPSILON) * largest(y).max(1.0);
            let allowed = f64::from(step) * (own + rate * allowed[i]);
            part = part.max(worst(&what, x, y, allowed)?);
        }
        let kept = trial.network.variables(&purpose);
        let trained = sgd.trained(&trial.network.parameters);
        for (place, of) in (trial.network.parameters.len()..kept.len()).zip(trained) {
            let [x, y] = [&trial.jit, &trial.reference].map(|e| e.parameter(place).to_owned());
            let what = format!("{} after step {step}", kept[place].name);
            let own = 2.0 * f64::from(f32::EPSILON) * largest(&y).max(1.0);
            let allowed = f64::from(step) * (own + 2.0 * allowed[of]);
            part = part.max(worst(&what, &x, &y, allowed)?);
        }
    }
    Ok(part)
}

fn number(x: f32) -> ArrayD<f32> {
    ArrayD::from_elem(ndarray::IxDyn(&[]), x)
}

/// The gradient of the loss with respect to one of the elements that it is
/// made of: what gradients are added up from is of this order. And the order of
/// what the loss itself is added up from: `√n` for a sum of `n` elements of
/// order one with any sign.
fn shares(network: &Declaration, batch: usize) -> (f64, f64) {
    let g = network.graph().with_batch(batch);
    let loss = g.root(&Root::Loss).expect("a network has a loss");
    // A sum is written as reductions one after the other.
    let mut elements = loss;
    while let Op::Mean(_) | Op::Reduce(_) | Op::Reshape(_) = g.op(elements) {
        elements = g.operands(elements)[0];
    }
    let count = g.sizes(elements).iter().product::<usize>() as f64;
    match g.op(loss) {
        Op::Mean(_) => (1.0 / count, 1.0),
        // The sum over what results count for.
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

/// How many networks were compared, and how it went.
#[derive(Default)]
struct Tally {
    tried: Cell<usize>,
    excused: Cell<usize>,
    /// The largest error, as a part of its bound.
    part: Cell<f64>,
}

impl Tally {
    /// Compares once more. Only what differs is excused, and only with a reason.
    fn compare(&self, trial: &mut Trial) -> Result<(), TestCaseError> {
        self.tried.set(self.tried.get() + 1);
        match compare(trial) {
            Ok(largest) => self.part.set(self.part.get().max(largest)),
            Err(_) if trial.is_near_a_kink(false) => self.excused.set(self.excused.get() + 1),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Says how it went. At most one of so many may have been excused.
    fn conclude(&self, one_of: usize) {
        let (tried, excused, part) = (self.tried.get(), self.excused.get(), self.part.get());
        println!(
            "{tried} networks, errors up to {part:.2} of the bound; {excused} differ where \
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

/// Products that are large enough to be cut into blocks and parts, and factors
/// that change places: by the interpreter's numbers, and the same bits for every
/// instruction set.
#[test]
fn wide_networks_agree_with_the_interpreter_and_with_each_other() {
    let targets = check::targets();
    let tally = Tally::default();
    for_recipes(20, chains(4), |chain| {
        let mut trial = Trial::new(chain.build(), chain.batch, chain.seed);
        let training = training(chain.seed, 0.01);
        let setting = |name: &str| training.optimizer().scalar(name, 1, 0.01).expect("its own");
        let step = Purpose::Step(training.clone());
        let kept = trial.network.variables(&step);
        let (inputs, mut parameters) = (trial.inputs(), Trial::parameters(&trial.jit));
        parameters.extend(check::first_kept(&trial.network, &step));
        let roots = |target: &Target| {
            let lowered = check::lower_network(&trial.network, &step, trial.batch, target);
            let lowered = lowered.map_err(|error| TestCaseError::fail(error.to_string()))?;
            let roots = check::jitted_network(&lowered, &kept, &inputs, &parameters, setting);
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

/// The graph of every purpose comes back from its text, as it is asked for and as it is arranged
/// for kernels.
#[test]
fn graphs_come_back_from_their_text() {
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
                prop_assert!(read == graph, "{text}\nis read as\n{read}");
            }
        }
        Ok(())
    });
}

/// Every purpose: all roots are the same bits by the machine code for every
/// instruction set, and by the evaluator for vectors of any width. The order of
/// reductions depends neither on that width nor on how threads share the work.
#[test]
fn machine_code_is_what_the_evaluator_says_on_every_width() {
    let targets = check::targets();
    for_recipes(120, recipes(37, 33, 9), |recipe| {
        let trial = Trial::new(recipe.build().network, recipe.batch, recipe.seed);
        let (inputs, own) = (trial.inputs(), Trial::parameters(&trial.jit));
        let training = training(recipe.seed, 0.01);
        let setting = |name: &str| training.optimizer().scalar(name, 2, 0.01).expect("its own");
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
            let kept = network.variables(&purpose);
            let mut parameters = own.clone();
            // As after a step, so that what is kept counts.
            let mut generator = Generator::new(recipe.seed);
            for mut first in check::first_kept(network, &purpose) {
                first.mapv_inplace(|x| x + generator.uniform(0.0, 1.0));
                parameters.push(first);
            }
            let lower = |target: &Target| {
                let lowered = check::lower_network(network, &purpose, trial.batch, target);
                lowered.map_err(|error| TestCaseError::fail(error.to_string()))
            };
            // Targets and shares go together: neither may be seen in the result.
            let evaluated = |target: &Target, shares| {
                let lowered = lower(target)?;
                let roots =
                    check::evaluated_network(&lowered, &inputs, &parameters, setting, shares);
                Ok::<_, TestCaseError>((lowered.graph, roots))
            };
            let (graph, expected) = evaluated(&check::evaluated_target(1), 1)?;
            let compare = |what: &str, found: &[Vec<f32>]| {
                assert_eq!(found.len(), expected.len());
                for ((root, _), (x, y)) in graph.roots().iter().zip(found.iter().zip(&expected)) {
                    let what = format!("{} {what}, {root}", purpose.name());
                    check::assert_same_bits(&what, x, y);
                }
            };
            if let Purpose::Step(_) = purpose {
                // Those of other machines too.
                for (target, shares) in Target::ALL.iter().zip([3, 2, 3, 2]) {
                    let Target { architecture, name, .. } = target;
                    let what = format!("evaluated for {architecture:?}, {name}");
                    compare(&what, &evaluated(target, shares)?.1);
                }
            }
            for target in &targets {
                let lowered = lower(target)?;
                let roots = check::jitted_network(&lowered, &kept, &inputs, &parameters, setting);
                compare(target.name, &roots);
            }
        }
        Ok(())
    });
}

/// Every loss with its options behind a `Linear`, whose product it may become a part
/// of: one class and several, one example and several, in every purpose.
#[test]
fn every_loss_behind_a_product_agrees_with_the_interpreter() {
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

/// Formulas share their parts, and so do graphs: a pass that goes through each
/// part once for each user of it takes longer than anyone waits.
#[test]
fn long_chains_of_functions_compile_at_once() {
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

    // One number for each row, as many as make a kernel of their own pay.
    let mut b = Builder::new("Numbers");
    let x = b.input("x", Type::real(Shape::batched([20]))).unwrap();
    b.differentiate(x).unwrap();
    let mut x = b.call("sum", &[(x, "x")], &none).unwrap();
    for _ in 0..60 {
        let bent = b.call("tanh", &[(x, "x")], &none).unwrap();
        x = b.call("mul", &[(bent, "bent"), (x, "x")], &none).unwrap();
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
