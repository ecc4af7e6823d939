//! Training against PyTorch: every loss of the runs in `training.json`, from
//! bilro's own weights with the same seed, in the same order of examples, in
//! machine code and in the interpreter.
//!
//! A run is described by its name, as
//! `64-128-64-10 relu, cross entropy, SGD 0.1`; unsupported runs are listed and
//! skipped.

use std::sync::Arc;

use bilro::data::{Classification, ShuffledOrder, digits};
use bilro::engine::Engine;
use bilro::network::Feed;
use bilro::rng::{Generator, init};
use bilro::{Adam, Backend, Sgd};
use bilro_compiler::declaration::{Builder, Declaration, Init, LossReduction};
use bilro_compiler::ops::{AttributeValue, Attributes};
use bilro_compiler::optim::Training;
use bilro_compiler::purpose::Purpose;
use bilro_compiler::shape::{Dim, Shape, Type};
use bilro_tests::goldens;
use ndarray::{Array2, ArrayD, Axis};

/// Bound of a loss's relative difference from PyTorch's: both round every sum,
/// and errors accumulate from step to step.
const TOLERANCE: f64 = 1e-4;

/// Number of test examples whose prediction may differ.
const UNDECIDED: f64 = 2.0;

#[derive(Clone, serde::Deserialize)]
struct Golden {
    name: String,
    seed: u64,
    shuffle: bool,
    epochs: usize,
    batch_size: usize,
    train_rows: [usize; 2],
    test_rows: [usize; 2],
    loss_of_every_step: Vec<f64>,
    test_accuracy: f64,
}

/// A run parsed from its name.
#[derive(Debug)]
struct Run {
    sizes: Vec<usize>,
    hidden: String,
    /// The function after the last layer, if any.
    last: Option<String>,
    loss: Loss,
    training: Arc<Training>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Loss {
    CrossEntropy,
    LogSoftmaxNll,
    MseOnOneHot,
}

impl Run {
    /// `None` for unsupported runs.
    fn parse(name: &str) -> Option<Run> {
        let [network, loss, optimizer] = name.split(", ").collect::<Vec<_>>()[..] else {
            panic!("`{name}` is not a network, a loss and an optimizer")
        };
        let mut words = network.split(' ');
        let sizes = words.next().unwrap_or_default().split('-');
        let sizes = sizes.map(|n| n.parse().unwrap_or_else(|_| panic!("sizes in `{name}`")));
        Some(Run {
            sizes: sizes.collect(),
            hidden: words.next().unwrap_or_else(|| panic!("activation in `{name}`")).into(),
            last: words.next().map(String::from),
            loss: match loss {
                "cross entropy" => Loss::CrossEntropy,
                "log-softmax + nll" => Loss::LogSoftmaxNll,
                "MSE on one-hot" => Loss::MseOnOneHot,
                _ => return None,
            },
            training: Arc::new(match optimizer.split(' ').collect::<Vec<_>>()[..] {
                ["SGD", rate] => Sgd::new(rate.parse().ok()?).into(),
                ["SGD", rate, "momentum", momentum] => {
                    Sgd::new(rate.parse().ok()?).momentum(momentum.parse().ok()?).into()
                }
                ["Adam", rate] => Adam::new(rate.parse().ok()?).into(),
                _ => return None,
            }),
        })
    }

    fn classes(&self) -> usize {
        *self.sizes.last().expect("a network has layers")
    }

    fn network(&self) -> Declaration {
        let none = Attributes::new();
        let mut b = Builder::new("Run");
        let mut x = b.input("x", Type::real(Shape::batched([self.sizes[0]]))).unwrap();
        let target = match self.loss {
            Loss::MseOnOneHot => Type::real(Shape::batched([self.classes()])),
            _ => Type::index(self.classes(), Shape::batched([0usize; 0])),
        };
        let target = b.target("target", target).unwrap();
        for (i, size) in self.sizes.iter().enumerate().skip(1) {
            let out = AttributeValue::Size(Dim::Fixed(*size));
            let layer = b.layer(None, "Linear", none.clone().with("out_features", out)).unwrap();
            x = b.apply(layer, (x, "x")).unwrap();
            let is_last = i + 1 == self.sizes.len();
            let activation = if is_last { self.last.as_deref() } else { Some(&*self.hidden) };
            if let Some(function) = activation {
                x = b.call(function, &[(x, "x")], &none).unwrap();
            }
        }
        if self.loss == Loss::LogSoftmaxNll {
            x = b.call("log_softmax", &[(x, "x")], &none).unwrap();
        }
        b.output("y", x).unwrap();
        let loss = match self.loss {
            Loss::CrossEntropy => "cross_entropy",
            Loss::LogSoftmaxNll => "nll_loss",
            Loss::MseOnOneHot => "mse_loss",
        };
        let loss = b.call(loss, &[(x, "y"), (target, "target")], &none).unwrap();
        b.loss((loss, "loss"), LossReduction::Mean).unwrap();
        b.finish().unwrap()
    }

    fn target(&self, digits: &[u32]) -> Target {
        match self.loss {
            Loss::MseOnOneHot => {
                let one_hot = |(i, j): (usize, usize)| f32::from(digits[i] as usize == j);
                let size = (digits.len(), self.classes());
                Target::OneHot(Array2::from_shape_fn(size, one_hot).into_dyn())
            }
            _ => Target::Class(ndarray::Array1::from(digits.to_vec()).into_dyn()),
        }
    }
}

enum Target {
    Class(ArrayD<u32>),
    OneHot(ArrayD<f32>),
}

impl Target {
    fn feed(&self) -> Feed<'_> {
        match self {
            Target::Class(t) => Feed::Index(t.view()),
            Target::OneHot(t) => Feed::Real(t.view()),
        }
    }
}

/// The results of our run.
struct Trained {
    losses: Vec<f32>,
    accuracy: f64,
    parameters: Vec<ArrayD<f32>>,
}

fn train(golden: &Golden, run: &Run, backend: Backend, data: &Classification) -> Trained {
    let network = run.network();
    // The loader continues the generator of the weights.
    let mut order = ShuffledOrder::from_generator(after_weights(&network, golden.seed));
    let mut engine = Engine::new(network, backend, golden.seed, 1).unwrap();
    let [first, end] = golden.train_rows;
    let train = data.rows(first..end).unwrap();
    let purpose = Purpose::Step(run.training.clone());
    let mut losses = Vec::new();
    for _ in 0..golden.epochs {
        let mut batches = train.batches(golden.batch_size).unwrap();
        if golden.shuffle {
            batches = batches.shuffle_with(&mut order);
        }
        for batch in batches {
            let target = run.target(&batch.y().to_vec());
            let feeds = [Feed::Real(batch.x().into_dyn()), target.feed()];
            losses.push(engine.run(&purpose, &feeds).unwrap().loss);
        }
    }
    let [first, end] = golden.test_rows;
    let test = data.rows(first..end).unwrap();
    let y = engine.run(&Purpose::Predict, &[Feed::Real(test.x().into_dyn())]).unwrap();
    let rows = y.arrays[0].axis_iter(Axis(0)).zip(test.y());
    let hits = rows.filter(|(scores, digit)| {
        let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        scores.iter().position(|x| *x == largest) == Some(**digit as usize)
    });
    let accuracy = hits.count() as f64 / test.len() as f64;
    let parameters = 0..engine.declaration().parameters.len();
    let parameters = parameters.map(|i| engine.parameter(i).to_owned()).collect();
    Trained { losses, accuracy, parameters }
}

/// The generator after the initial weights.
fn after_weights(network: &Declaration, seed: u64) -> Generator {
    let mut generator = Generator::new(seed);
    for parameter in &network.parameters {
        assert!(matches!(parameter.init, Init::Linear), "all layers are linear");
        let mut drawn = vec![0.0; parameter.shape.sizes().iter().product()];
        init::linear_weight(&mut generator, &mut drawn, 1);
    }
    generator
}

/// The supported runs.
fn runs() -> Vec<(Golden, Run)> {
    let goldens: Vec<Golden> = goldens::read("training.json");
    let mut runs = Vec::new();
    for golden in goldens {
        match Run::parse(&golden.name) {
            Some(run) => runs.push((golden, run)),
            None => println!("not yet: {}", golden.name),
        }
    }
    assert!(!runs.is_empty(), "no runs in {}", goldens::folder().display());
    runs
}

fn every_loss_is_pytorchs(backend: Backend) {
    let data = digits().unwrap();
    for (golden, run) in runs() {
        let trained = train(&golden, &run, backend, &data);
        let expected = &golden.loss_of_every_step;
        assert_eq!(trained.losses.len(), expected.len(), "{}", golden.name);
        let mut largest = 0f64;
        for (step, (x, y)) in trained.losses.iter().zip(expected).enumerate() {
            let error = (f64::from(*x) - y).abs() / y.abs();
            // Written so that NaN fails.
            let fits = error <= TOLERANCE;
            assert!(fits, "{}, step {step}: {x} instead of {y}", golden.name);
            largest = largest.max(error);
        }
        let test = (golden.test_rows[1] - golden.test_rows[0]) as f64;
        let missed = (trained.accuracy - golden.test_accuracy).abs() * test;
        println!(
            "{}: {} steps, losses within {largest:.1e}, test accuracy {} and {}",
            golden.name,
            expected.len(),
            trained.accuracy,
            golden.test_accuracy
        );
        assert!(
            missed < UNDECIDED + 0.5,
            "{}: test accuracy {} instead of {}",
            golden.name,
            trained.accuracy,
            golden.test_accuracy
        );
    }
}

#[test]
fn every_loss_is_pytorchs_in_machine_code() {
    every_loss_is_pytorchs(Backend::Jit);
}

#[test]
fn every_loss_is_pytorchs_in_the_interpreter() {
    every_loss_is_pytorchs(Backend::Interpreter);
}

#[test]
fn a_seed_reproduces_the_same_bits() {
    let data = digits().unwrap();
    for backend in [Backend::Jit, Backend::InterpreterF32] {
        for (golden, run) in runs() {
            // The interpreter is slow, and one epoch suffices.
            let golden = Golden { epochs: 1, ..golden };
            let [a, b] = [(); 2].map(|()| train(&golden, &run, backend, &data));
            let bits = |losses: &[f32]| losses.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&a.losses), bits(&b.losses), "{} {backend:?}", golden.name);
            for (i, (a, b)) in a.parameters.iter().zip(&b.parameters).enumerate() {
                let same = a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits());
                assert!(same, "{} {backend:?}, parameter {i}", golden.name);
            }
            let other = Golden { seed: golden.seed + 1, ..golden };
            let c = train(&other, &run, backend, &data);
            assert_ne!(bits(&a.losses), bits(&c.losses), "{} {backend:?}", other.name);
        }
    }
}
