//! Mistakes in arrays: each is a typed error with the expected and the found,
//! on every backend and for every purpose, and changes nothing.

mod bound;

use std::sync::Arc;

use bilro::engine::Engine;
use bilro::network::Feed;
use bilro::{Backend, Error};
use bilro_compiler::declaration::{Builder, Declaration, LossReduction};
use bilro_compiler::ops::{AttributeValue, Attributes};
use bilro_compiler::optim::Training;
use bilro_compiler::optim::sgd::Sgd;
use bilro_compiler::purpose::Purpose;
use bilro_compiler::shape::{Dim, Shape, Type};
use ndarray::{Array1, ArrayD, Dimension, IxDyn};

const BACKENDS: [Backend; 3] = [Backend::Jit, Backend::Interpreter, Backend::InterpreterF32];
const BATCH: usize = 6;

/// Two inputs and a class: `x` of 5, `z` of 2 by 3, `t` below 4.
fn network() -> Declaration {
    let none = Attributes::new();
    let size = |n| Dim::Fixed(n);
    let mut b = Builder::new("Two");
    let x = b.input("x", Type::real(Shape::batched([5]))).unwrap();
    let z = b.input("z", Type::real(Shape::batched([2, 3]))).unwrap();
    let t = b.target("t", Type::index(4, Shape::batched([0usize; 0]))).unwrap();
    let out = none.clone().with("out_features", AttributeValue::Size(size(4)));
    let [first, second] = [(); 2].map(|()| b.layer(None, "Linear", &out).unwrap());
    let flat = none.clone().with("shape", AttributeValue::Sizes(vec![size(6)]));
    let flat = b.call("reshape", &[(z, "z")], &flat).unwrap();
    let a = b.apply(first, (x, "x")).unwrap();
    let c = b.apply(second, (flat, "z")).unwrap();
    let y = b.call("add", &[(a, "a"), (c, "c")], &none).unwrap();
    b.output("y", y).unwrap();
    let loss = b.call("cross_entropy", &[(y, "y"), (t, "t")], &none).unwrap();
    b.loss((loss, "loss"), LossReduction::Mean).unwrap();
    b.finish().unwrap()
}

/// Arrays for the network; tests invalidate one of them.
#[derive(Clone)]
struct Arrays {
    x: ArrayD<f32>,
    z: ArrayD<f32>,
    t: ArrayD<u32>,
}

impl Arrays {
    fn good() -> Arrays {
        Arrays {
            x: reals(&[BATCH, 5]),
            z: reals(&[BATCH, 2, 3]),
            t: Array1::from_shape_fn(BATCH, |i| i as u32 % 4).into_dyn(),
        }
    }

    fn feeds(&self) -> [Feed<'_>; 3] {
        [Feed::Real(self.x.view()), Feed::Real(self.z.view()), Feed::Index(self.t.view())]
    }
}

fn reals(sizes: &[usize]) -> ArrayD<f32> {
    ArrayD::from_shape_fn(IxDyn(sizes), |i| (i.slice().iter().sum::<usize>() % 7) as f32 / 7.0)
}

fn bits(engine: &Engine) -> Vec<u32> {
    let parameters = 0..engine.declaration().parameters.len();
    parameters
        .flat_map(|i| engine.parameter(i).iter().map(|x| x.to_bits()).collect::<Vec<_>>())
        .collect()
}

/// Runs every purpose on every backend before and after a valid run, and passes
/// each error to `check`. `predicts` is whether `predict` detects the mistake:
/// it takes no targets.
fn rejected(feeds: &[Feed<'_>], predicts: bool, check: impl Fn(&Error)) {
    let sgd = Arc::new(Training::from(Sgd::new(0.1)));
    let good = Arrays::good();
    for backend in BACKENDS {
        let mut engine = Engine::new(network(), backend, 3, 1).unwrap();
        for round in 0..2 {
            let before = bits(&engine);
            for purpose in [
                Purpose::Predict,
                Purpose::Evaluate,
                Purpose::Gradients,
                Purpose::Step(sgd.clone()),
            ] {
                let is_predict = matches!(purpose, Purpose::Predict);
                if is_predict && !predicts {
                    continue;
                }
                let feeds = if is_predict { &feeds[..2] } else { feeds };
                let what = format!("{backend:?} {} round {round}", purpose.name());
                match engine.run(&purpose, feeds) {
                    Ok(_) => panic!("{what}: accepted"),
                    Err(error) => check(&error),
                }
                assert_eq!(bits(&engine), before, "{what}: parameters have changed");
            }
            engine.run(&Purpose::Step(sgd.clone()), &good.feeds()).unwrap();
            assert_ne!(bits(&engine), before, "{backend:?}: a good step changes parameters");
        }
    }
}

/// Requires the message to contain all of `words`.
fn assert_names(error: &Error, words: &[&str]) {
    let message = error.to_string();
    for word in words {
        assert!(message.contains(word), "`{word}` is not in: {message}");
    }
}

#[test]
fn examples_of_another_shape() {
    let spoilt: [(Arrays, &str, &[usize], &[usize]); 5] = [
        (Arrays { x: reals(&[BATCH, 7]), ..Arrays::good() }, "x", &[5], &[7]),
        (Arrays { x: reals(&[BATCH]), ..Arrays::good() }, "x", &[5], &[]),
        (Arrays { x: reals(&[BATCH, 5, 1]), ..Arrays::good() }, "x", &[5], &[5, 1]),
        // The declared number of elements in another shape.
        (Arrays { z: reals(&[BATCH, 3, 2]), ..Arrays::good() }, "z", &[2, 3], &[3, 2]),
        (Arrays { z: reals(&[BATCH, 6]), ..Arrays::good() }, "z", &[2, 3], &[6]),
    ];
    for (arrays, input, takes, actual) in spoilt {
        rejected(&arrays.feeds(), true, |error| {
            let Error::Shape { name, expected, found } = error else { panic!("{error:?}") };
            assert_eq!((name.as_str(), &expected[..], &found[..]), (input, takes, actual));
            let name = format!("`{input}`");
            assert_names(error, &[&name, &format!("{takes:?}"), &format!("{actual:?}")]);
        });
    }
}

#[test]
fn an_unknown_alternative_is_rejected() {
    let mut b = Builder::new("Chosen");
    let x = b.input("x", Type::real(Shape::batched([5]))).unwrap();
    let functions = ["relu", "tanh"];
    let choice = b.choice("activation", &functions).unwrap();
    let values = functions.map(|f| (b.call(f, &[(x, "x")], Attributes::new()).unwrap(), f));
    let y = b.choose(choice, &values).unwrap();
    b.output("y", y).unwrap();
    b.loss((y, "y"), LossReduction::Sum).unwrap();
    let network = b.finish().unwrap();
    let x = reals(&[BATCH, 5]);
    for backend in BACKENDS {
        let mut engine = Engine::new(network.clone(), backend, 3, 1).unwrap();
        let mut run = |index| engine.run_with(&Purpose::Predict, &[Feed::Real(x.view())], &[index]);
        assert_names(&run(2).unwrap_err(), &["`activation`", "below 2", "is 2"]);
        let found = &run(1).unwrap().arrays[0];
        assert!(found.iter().zip(&x).all(|(y, x)| (y - x.tanh()).abs() < 1e-6), "{backend:?}");
    }
}

#[test]
fn a_target_of_another_shape() {
    let t = ArrayD::zeros(IxDyn(&[BATCH, 1]));
    rejected(&Arrays { t, ..Arrays::good() }.feeds(), false, |error| {
        let Error::Shape { name, expected, found } = error else { panic!("{error:?}") };
        assert_eq!((name.as_str(), &expected[..], &found[..]), ("t", &[][..], &[1][..]));
        assert_names(error, &["`t`", "[]", "[1]"]);
    });
}

/// An array without a batch axis, and one of the other element type.
#[test]
fn arrays_that_are_not_a_batch_of_the_input() {
    let good = Arrays::good();
    let number = reals(&[]);
    let [_, z, t] = good.feeds();
    rejected(&[Feed::Real(number.view()), z.clone(), t.clone()], true, |error| {
        let Error::Shape { name, .. } = error else { panic!("{error:?}") };
        assert_eq!(name, "x");
        assert_names(error, &["`x`", "[5]"]);
    });
    let integers = ArrayD::<u32>::zeros(IxDyn(&[BATCH, 5]));
    rejected(&[Feed::Index(integers.view()), z.clone(), t.clone()], true, |error| {
        let Error::Kind { name, .. } = error else { panic!("{error:?}") };
        assert_eq!(name, "x");
        assert_names(error, &["`x`", "reals", "integers"]);
    });
    rejected(&[Feed::Real(good.x.view())], false, |error| {
        let Error::MissingInput { name } = error else { panic!("{error:?}") };
        assert_eq!(name, "z");
        assert_names(error, &["`z`"]);
    });
}

#[test]
fn inputs_with_different_numbers_of_examples() {
    let spoilt = [
        (Arrays { z: reals(&[BATCH - 1, 2, 3]), ..Arrays::good() }, "z", BATCH - 1, true),
        (Arrays { z: reals(&[BATCH + 1, 2, 3]), ..Arrays::good() }, "z", BATCH + 1, true),
        (Arrays { z: reals(&[0, 2, 3]), ..Arrays::good() }, "z", 0, true),
        (Arrays { t: ArrayD::zeros(IxDyn(&[1])), ..Arrays::good() }, "t", 1, false),
    ];
    for (arrays, input, examples, predicts) in spoilt {
        rejected(&arrays.feeds(), predicts, |error| {
            let Error::BatchSize { name, found, other, expected } = error else {
                panic!("{error:?}")
            };
            let fields = (name.as_str(), *found, other.as_str(), *expected);
            assert_eq!(fields, (input, examples, "x", BATCH));
            let (found, expected) = (format!("{found} examples"), expected.to_string());
            assert_names(error, &[&format!("`{input}`"), "`x`", &found, &expected]);
        });
    }
}

#[test]
fn a_class_out_of_range() {
    for (example, class) in [(0, 4), (BATCH - 2, 9), (BATCH - 1, u32::MAX)] {
        let mut arrays = Arrays::good();
        arrays.t[example] = class;
        rejected(&arrays.feeds(), false, |error| {
            let Error::IndexOutOfRange { name, row, index, below } = error else {
                panic!("{error:?}")
            };
            assert_eq!((name.as_str(), *row, *index, *below), ("t", example, class, 4));
            assert_names(error, &["`t`", &format!("row {example}"), &class.to_string(), "4"]);
        });
    }
}

/// The first of several is named.
#[test]
fn several_classes_out_of_range() {
    let mut arrays = Arrays::good();
    (arrays.t[2], arrays.t[4]) = (7, 5);
    rejected(&arrays.feeds(), false, |error| {
        let Error::IndexOutOfRange { row: 2, index: 7, .. } = error else { panic!("{error:?}") };
    });
}

#[test]
fn a_batch_without_examples() {
    let arrays = Arrays { x: reals(&[0, 5]), z: reals(&[0, 2, 3]), t: ArrayD::zeros(IxDyn(&[0])) };
    rejected(&arrays.feeds(), true, |error| {
        let Error::Empty { what } = error else { panic!("{error:?}") };
        assert_eq!(what, "the batch");
        assert_names(error, &["the batch", "at least one"]);
    });
}

/// Broadcast views repeat one example any number of times, without memory.
#[test]
fn too_many_examples() {
    let good = Arrays::good();
    let sizes_of = |sizes: &[usize]| {
        let mut all = vec![1usize << 40];
        all.extend(&sizes[1..]);
        IxDyn(&all)
    };
    let (x, z) = (reals(&[1, 5]), reals(&[1, 2, 3]));
    let x = x.broadcast(sizes_of(x.shape())).unwrap();
    let z = z.broadcast(sizes_of(z.shape())).unwrap();
    for backend in BACKENDS {
        let mut engine = Engine::new(network(), backend, 3, 1).unwrap();
        let error = engine.run(&Purpose::Predict, &[Feed::Real(x.view()), Feed::Real(z.view())]);
        let error = error.map(|_| ()).unwrap_err();
        assert!(matches!(error, Error::InvalidArgument { .. }), "{error}");
        assert_names(&error, &["examples in a batch", &(1usize << 40).to_string()]);
        engine.run(&Purpose::Predict, &good.feeds()[..2]).unwrap();
    }
}

#[test]
fn a_parameter_of_another_shape() {
    for backend in BACKENDS {
        let mut engine = Engine::new(network(), backend, 3, 1).unwrap();
        let before = bits(&engine);
        let error = engine.set_parameter(0, reals(&[4, 5]).view()).unwrap_err();
        let Error::ParameterShape { name, expected, found } = &error else { panic!("{error:?}") };
        assert_eq!(
            (name.as_str(), &expected[..], &found[..]),
            ("linear1.weight", &[5, 4][..], &[4, 5][..])
        );
        assert_names(&error, &["`linear1.weight`", "[5, 4]", "[4, 5]"]);
        assert_eq!(bits(&engine), before);
    }
}

#[test]
fn a_network_without_a_loss_only_predicts() {
    let mut b = Builder::new("Neuron");
    let x = b.input("x", Type::real(Shape::batched([3]))).unwrap();
    let out = Attributes::new().with("out_features", AttributeValue::Size(Dim::Fixed(2)));
    let layer = b.layer(None, "Linear", &out).unwrap();
    let y = b.apply(layer, (x, "x")).unwrap();
    b.output("y", y).unwrap();
    let network = b.finish().unwrap();
    let x = reals(&[BATCH, 3]);
    let sgd = Arc::new(Training::from(Sgd::new(0.1)));
    for backend in BACKENDS {
        let mut engine = Engine::new(network.clone(), backend, 3, 1).unwrap();
        let before = bits(&engine);
        for purpose in [Purpose::Evaluate, Purpose::Gradients, Purpose::Step(sgd.clone())] {
            let error = engine.run(&purpose, &[Feed::Real(x.view())]).unwrap_err();
            let Error::NoLoss { network } = &error else { panic!("{error:?}") };
            assert_eq!(network, "Neuron");
            assert_names(&error, &["`Neuron`", "no loss", "predicts"]);
        }
        assert_eq!(bits(&engine), before);
        let results = engine.run(&Purpose::Predict, &[Feed::Real(x.view())]).unwrap();
        let expected = x.view().into_dimensionality::<ndarray::Ix2>().unwrap();
        let weight = engine.parameter(0).into_dimensionality::<ndarray::Ix2>().unwrap();
        let expected = expected.dot(&weight) + engine.parameter(1);
        let found = results.arrays[0].view();
        assert!(found.iter().zip(&expected).all(|(y, e)| (y - e).abs() < 1e-6), "{found}");
    }
}

#[test]
fn calls_that_need_a_loss_are_rejected_without_one() {
    let start = |target: bool| {
        let mut b = Builder::new("Wrong");
        let ty = Type::real(Shape::batched([3]));
        let x = if target { b.target("x", ty) } else { b.input("x", ty) }.unwrap();
        (b, x)
    };
    let message = |b: Builder| b.finish().unwrap_err().to_string();
    let (mut b, x) = start(false);
    b.output("y", x).unwrap();
    b.differentiate(x).unwrap();
    assert_eq!(message(b), "network `Wrong`: has no loss");
    let (mut b, x) = start(false);
    b.metric("m", (x, "x")).unwrap();
    assert_eq!(message(b), "network `Wrong`: has no loss");
    assert_eq!(message(start(true).0), "network `Wrong`: has no loss");
    assert_eq!(message(start(false).0), "network `Wrong`: has neither an output nor a loss");
}
