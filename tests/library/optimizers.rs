//! Optimizers against PyTorch: the parameter after every step of
//! `optimizers.json`, and with the arguments that its cases lack; Lion, which
//! PyTorch lacks, against a plain loop.
//!
//! The network's loss is `Σ w · g`, so its gradient is the input `g`. Machine
//! code on every instruction set, and the interpreter in both precisions.

use std::sync::Arc;

use bilro::engine::Engine;
use bilro::network::Feed;
use bilro::{Adadelta, Adagrad, Adam, AdamW, Backend, Lion, NAdam, RAdam, RMSprop, Sgd};
use bilro_compiler::declaration::{Builder, Declaration, Init, LossReduction};
use bilro_compiler::eval::Value;
use bilro_compiler::graph::Root;
use bilro_compiler::ops::Attributes;
use bilro_compiler::optim::{Optimizer, Training};
use bilro_compiler::purpose::Purpose;
use bilro_compiler::shape::{Dim, Shape, Type};
use bilro_tests::{check, goldens};
use ndarray::{Array1, ArrayD, Axis};
use serde_json::{Map, Value as Json, json};

/// Bound of an element's relative error. An element near 0 has the rounding
/// errors of its earlier values: one of the largest value so far for every
/// step.
const TOLERANCE: f64 = 1e-5;

/// An optimizer with PyTorch's name and arguments. Unknown ones fail.
fn optimizer(name: &str, arguments: &Map<String, Json>) -> Arc<Training> {
    let mut arguments = arguments.clone();
    let mut take = |name: &str| arguments.remove(name);
    let number = |x: Json| x.as_f64().unwrap_or_else(|| panic!("{x} is not a number"));
    let rate = take("lr").map(number).expect("every case has a learning rate") as f32;
    let set = |x: Option<Json>| x.is_some_and(|x| x.as_bool().expect("true or false"));
    /// `optimizer.method(argument)` if the argument is given; a number, a pair
    /// of numbers, or `true` for a method without any.
    macro_rules! given {
        ($optimizer:expr, $take:ident; $($method:ident: $kind:ident),*) => {{
            let mut optimizer = $optimizer;
            $(given!(@$kind optimizer, $take, $method);)*
            Arc::new(Training::from(optimizer))
        }};
        (@f32 $o:ident, $take:ident, $method:ident) => {
            if let Some(x) = $take(stringify!($method)).map(number) { $o = $o.$method(x as f32); }
        };
        (@f64 $o:ident, $take:ident, $method:ident) => {
            if let Some(x) = $take(stringify!($method)).map(number) { $o = $o.$method(x); }
        };
        (@pair $o:ident, $take:ident, $method:ident) => {
            if let Some(x) = $take(stringify!($method)) {
                $o = $o.$method(number(x[0].clone()), number(x[1].clone()));
            }
        };
        (@flag $o:ident, $take:ident, $method:ident) => {
            if set($take(stringify!($method))) { $o = $o.$method(); }
        };
    }
    let training = match name {
        "SGD" => given!(Sgd::new(rate), take;
            momentum: f32, dampening: f32, weight_decay: f32, nesterov: flag),
        "Adagrad" => given!(Adagrad::new(rate), take;
            lr_decay: f32, weight_decay: f32, initial_accumulator_value: f32, eps: f32),
        "Adadelta" => given!(Adadelta::new(rate), take; rho: f64, eps: f32, weight_decay: f32),
        "RMSprop" => given!(RMSprop::new(rate), take;
            alpha: f64, eps: f32, weight_decay: f32, momentum: f32, centered: flag),
        "Adam" => given!(Adam::new(rate), take;
            betas: pair, eps: f32, weight_decay: f32, amsgrad: flag),
        "AdamW" => given!(AdamW::new(rate), take;
            betas: pair, eps: f32, weight_decay: f32, amsgrad: flag),
        "NAdam" => given!(NAdam::new(rate), take;
            betas: pair, eps: f32, weight_decay: f32, momentum_decay: f64,
            decoupled_weight_decay: flag),
        "RAdam" => given!(RAdam::new(rate), take;
            betas: pair, eps: f32, weight_decay: f32, decoupled_weight_decay: flag),
        _ => panic!("no optimizer `{name}`"),
    };
    assert!(arguments.is_empty(), "{name} does not know {arguments:?}");
    assert_eq!(training.optimizer().name(), name);
    training.optimizer().check().unwrap_or_else(|wrong| panic!("{name}: {wrong:?}"));
    training
}

/// A parameter `w` whose gradient is the input.
fn network(size: usize) -> Declaration {
    let none = Attributes::new();
    let mut b = Builder::new("Given");
    let gradient = b.input("gradient", Type::real(Shape::batched([size]))).unwrap();
    let w = b.parameter("w", vec![Dim::Fixed(size)], Init::Full(0.0)).unwrap();
    let product = b.call("mul", &[(w, "w"), (gradient, "gradient")], &none).unwrap();
    b.output("product", product).unwrap();
    b.loss((product, "product"), LossReduction::Sum).unwrap();
    b.finish().unwrap()
}

/// The parameter after each step, on each backend.
fn trajectories(
    training: &Arc<Training>,
    start: &[f32],
    gradients: &[Vec<f32>],
) -> Vec<(String, Vec<ArrayD<f32>>)> {
    let network = network(start.len());
    let start = Array1::from(start.to_vec()).into_dyn();
    let gradients = gradients.iter().map(|g| Array1::from(g.clone()).insert_axis(Axis(0)));
    let gradients: Vec<ArrayD<f32>> = gradients.map(|g| g.into_dyn()).collect();
    let purpose = Purpose::Step(training.clone());
    let mut all = Vec::new();
    for backend in [Backend::Jit, Backend::Interpreter, Backend::InterpreterF32] {
        let mut engine = Engine::new(network.clone(), backend, 0, 1).unwrap();
        engine.set_parameter(0, start.view()).unwrap();
        let step = |gradient: &ArrayD<f32>| {
            engine.run(&purpose, &[Feed::Real(gradient.view())]).unwrap();
            engine.parameter(0).to_owned()
        };
        all.push((format!("{backend:?}"), gradients.iter().map(step).collect()));
    }
    for target in check::targets() {
        let lowered = check::lower_network(&network, &purpose, 1, &target).unwrap();
        let mut values = vec![start.clone()];
        values.extend(check::initial_state(&network, &purpose));
        let step = |(before, gradient): (usize, &ArrayD<f32>)| {
            let inputs = [Value::Real(gradient.clone())];
            let optimizer = training.optimizer();
            let (step, rate) = (before as u64 + 1, optimizer.learning_rate());
            let setting = |name: &str| optimizer.scalar(name, step, rate).unwrap();
            let variables = network.variables(&purpose);
            let roots = check::jitted_network(&lowered, &variables, &inputs, &values, setting);
            for ((root, _), root_values) in lowered.graph.roots().iter().zip(roots) {
                if let Root::Assign(i) = root {
                    let shape = values[*i].raw_dim();
                    values[*i] = ArrayD::from_shape_vec(shape, root_values).unwrap();
                }
            }
            values[0].clone()
        };
        all.push((target.name.into(), gradients.iter().enumerate().map(step).collect()));
    }
    all
}

/// The largest error relative to its bound; panics if it is above 1.
fn compare(context: &str, start: &[f32], found: &[ArrayD<f32>], expected: &[Vec<f64>]) -> f64 {
    let mut largest = start.iter().fold(0f64, |m, x| m.max(f64::from(x.abs())));
    let mut ratio = 0f64;
    assert_eq!(found.len(), expected.len(), "{context}");
    for (step, (found, expected)) in (1..).zip(found.iter().zip(expected)) {
        assert_eq!(found.len(), expected.len(), "{context}");
        largest = expected.iter().fold(largest, |m, x| m.max(x.abs()));
        for (i, (x, y)) in found.iter().zip(expected).enumerate() {
            let roundings = f64::from(step) * f64::from(f32::EPSILON) * largest;
            let error = (f64::from(*x) - y).abs() / (TOLERANCE * y.abs()).max(roundings);
            // Written so that NaN fails.
            assert!(error <= 1.0, "{context}, step {step}, element {i}: {x} instead of {y}");
            ratio = ratio.max(error);
        }
    }
    ratio
}

#[derive(serde::Deserialize)]
struct Golden {
    optimizer: String,
    args: Map<String, Json>,
    start: goldens::Tensor,
    grads: Vec<goldens::Tensor>,
    after_each_step: Vec<goldens::Tensor>,
}

#[test]
fn every_step_is_pytorchs() {
    let cases: Vec<Golden> = goldens::read("optimizers.json");
    assert!(cases.len() >= 15, "{} cases", cases.len());
    for case in cases {
        let narrow = |x: &goldens::Tensor| x.values().iter().map(|x| *x as f32).collect::<Vec<_>>();
        let training = optimizer(&case.optimizer, &case.args);
        let start = narrow(&case.start);
        let gradients: Vec<Vec<f32>> = case.grads.iter().map(narrow).collect();
        let expected: Vec<Vec<f64>> = case.after_each_step.iter().map(|x| x.values()).collect();
        let mut ratio = 0f64;
        for (how, found) in trajectories(&training, &start, &gradients) {
            let context = format!("{} {:?}, {how}", case.optimizer, case.args);
            ratio = ratio.max(compare(&context, &start, &found, &expected));
        }
        println!("{} {:?}: {ratio:.2} of the bound", case.optimizer, case.args);
    }
}

const START: [f32; 4] = [0.5, -1.0, 2.0, 0.25];

/// Gradients that change their sign, grow, and are small.
fn gradients(steps: i32) -> Vec<Vec<f32>> {
    let gradient = |t: i32| {
        let sign = if t % 2 == 0 { 1.0 } else { -1.0 };
        let t = f64::from(t);
        [(0.7 * t + 0.3).cos(), -0.5 + 0.25 * t, 1.5 - 0.5 * t, sign * 0.01 * t].map(|x| x as f32)
    };
    (1..=steps).map(|t| gradient(t).to_vec()).collect()
}

/// Arguments without cases in `optimizers.json`: the parameter of torch 2.15.0
/// after twelve steps.
#[test]
fn every_argument_is_pytorchs() {
    let cases: Vec<(&str, Json, [f64; 4])> = vec![
        (
            "Adagrad",
            json!({"lr": 0.1, "initial_accumulator_value": 0.5, "eps": 0.01}),
            [0.539928973, -1.51331949, 2.39380622, 0.24219653],
        ),
        (
            "Adadelta",
            json!({"lr": 1.0, "eps": 0.001, "weight_decay": 0.1}),
            [0.46261391, -2.87287235, 3.24708939, 0.0508508161],
        ),
        (
            "RMSprop",
            json!({"lr": 0.01, "alpha": 0.9, "eps": 0.001, "weight_decay": 0.1}),
            [0.498088181, -1.16604459, 2.11754942, 0.153261989],
        ),
        (
            "RMSprop",
            json!({"lr": 0.01, "momentum": 0.5}),
            [0.543829679, -1.99964488, 2.67302895, 0.339822441],
        ),
        (
            "RMSprop",
            json!({"lr": 0.01, "centered": true, "alpha": 0.5}),
            [0.50997895, -1.39958191, 2.30342531, 0.256269634],
        ),
        (
            "Adam",
            json!({"lr": 0.02, "betas": [0.8, 0.95], "eps": 0.001, "weight_decay": 0.1}),
            [0.49164179, -1.11805451, 2.05737233, 0.136825934],
        ),
        (
            "AdamW",
            json!({"lr": 0.02, "amsgrad": true, "betas": [0.5, 0.6]}),
            [0.49278453, -1.15854776, 2.11038208, 0.259426296],
        ),
        (
            "NAdam",
            json!({"lr": 0.02, "betas": [0.8, 0.95], "weight_decay": 0.1, "momentum_decay": 0.5}),
            [0.493338287, -1.20139706, 2.14978766, 0.142940387],
        ),
        (
            "NAdam",
            json!({"lr": 0.02, "weight_decay": 0.1, "decoupled_weight_decay": true}),
            [0.495105475, -1.18114197, 2.11265039, 0.246565282],
        ),
        (
            "RAdam",
            json!({"lr": 0.02, "betas": [0.8, 0.95], "eps": 0.001, "weight_decay": 0.1}),
            [0.498912066, -1.03839779, 1.97834945, 0.23144342],
        ),
        (
            "RAdam",
            json!({"lr": 0.02, "betas": [0.9, 0.9], "weight_decay": 0.1, "decoupled_weight_decay": true}),
            [0.495252013, -1.02805519, 1.95090282, 0.243452191],
        ),
        (
            "SGD",
            json!({"lr": 0.1, "momentum": 0.5, "weight_decay": 0.1, "nesterov": true}),
            [0.413622171, -3.14981985, 5.25606966, 0.189777881],
        ),
    ];
    for (name, arguments, last) in cases {
        let training = optimizer(name, arguments.as_object().unwrap());
        for (how, found) in trajectories(&training, &START, &gradients(12)) {
            let context = format!("{name} {arguments}, {how}");
            compare(&context, &START, &found[11..], &[last.to_vec()]);
        }
    }
}

/// Gradients whose squares overflow: the parameter of torch 2.15.0 after eight steps. Their
/// contributions to a mean are finite, or there is no step.
#[test]
fn huge_gradients_are_pytorchs() {
    let gradient = |t: i32| {
        let first = if t % 2 == 1 { 1e20 } else { -5e19 };
        vec![first, -2e19, 3e20, 1e18 * t as f32]
    };
    let gradients: Vec<Vec<f32>> = (1..=8).map(gradient).collect();
    let adam = [0.428676933, -0.840000153, 1.94000006, 0.0937454402];
    let cases: Vec<(&str, Json, [f64; 4])> = vec![
        ("Adam", json!({"lr": 0.02}), adam),
        ("Adam", json!({"lr": 0.02, "amsgrad": true}), adam),
        ("RMSprop", json!({"lr": 0.01}), [0.4098095, -0.559857011, 2.0, -0.340191901]),
        (
            "RMSprop",
            json!({"lr": 0.01, "centered": true, "momentum": 0.5}),
            [0.318341851, -0.183659554, 2.0, -0.8273592],
        ),
        (
            "Adadelta",
            json!({"lr": 1.0, "rho": 0.99, "eps": 0.001}),
            [0.244326979, 1.54331017, 2.0, -4.56054592],
        ),
    ];
    for (name, arguments, last) in cases {
        let training = optimizer(name, arguments.as_object().unwrap());
        for (how, found) in trajectories(&training, &START, &gradients) {
            // In double precision nothing overflows.
            if how != "Interpreter" {
                compare(
                    &format!("{name} {arguments}, {how}"),
                    &START,
                    &found[7..],
                    &[last.to_vec()],
                );
            }
        }
    }
}

#[test]
fn lion_is_its_formula() {
    for (betas, decay) in [((0.9, 0.99), 0.0), ((0.5, 0.8), 0.1)] {
        let lion = Lion::new(0.01).betas(betas.0, betas.1).weight_decay(decay);
        let (mut w, mut m) = (START.map(f64::from), [0f64; 4]);
        let step = |gradient: &Vec<f32>| {
            for (i, g) in gradient.iter().enumerate() {
                let g = f64::from(*g);
                let c = betas.0 * m[i] + (1.0 - betas.0) * g;
                w[i] -= f64::from(0.01f32) * (c.signum() + f64::from(decay) * w[i]);
                m[i] = betas.1 * m[i] + (1.0 - betas.1) * g;
            }
            w.to_vec()
        };
        let expected: Vec<Vec<f64>> = gradients(12).iter().map(step).collect();
        for (how, found) in trajectories(&Arc::new(lion.into()), &START, &gradients(12)) {
            compare(&format!("Lion, {how}"), &START, &found, &expected);
        }
    }
}

#[test]
fn lion_does_not_move_without_gradient() {
    for (how, found) in trajectories(&Arc::new(Lion::default().into()), &START, &[vec![0.0; 4]]) {
        assert_eq!(found[0].as_slice().unwrap(), START, "{how}");
    }
}

/// After a million steps every scalar is finite, and takes no longer to
/// compute.
#[test]
fn step_scalars_stay_finite() {
    for index in 0..bilro_tests::trainings::TRAININGS {
        let training = bilro_tests::trainings::training(index, 0.1);
        let network = network(3);
        let purpose = Purpose::Step(training.clone());
        let target = check::targets()[0];
        let lowered = check::lower_network(&network, &purpose, 1, &target).unwrap();
        for name in &lowered.artifact.interface.step_scalars {
            for step in [1, 2, 10, 1_000, 1_000_000, u64::from(u32::MAX) + 1] {
                let value = training.optimizer().scalar(name, step, 0.1);
                let value = value.unwrap_or_else(|| panic!("{name} of {training:?}"));
                assert!(value.is_finite(), "{name} of {training:?} at {step}: {value}");
            }
        }
    }
}

#[test]
fn defaults_have_the_usual_learning_rates() {
    let optimizers: [(&dyn Optimizer, f32); 8] = [
        (&Adagrad::default(), 0.01),
        (&Adadelta::default(), 1.0),
        (&RMSprop::default(), 0.01),
        (&Adam::default(), 0.001),
        (&AdamW::default(), 0.001),
        (&NAdam::default(), 0.002),
        (&RAdam::default(), 0.001),
        (&Lion::default(), 1e-4),
    ];
    for (optimizer, rate) in optimizers {
        assert_eq!(optimizer.learning_rate(), rate, "{}", optimizer.name());
    }
}
