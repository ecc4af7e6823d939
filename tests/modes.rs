//! Layers that train otherwise than they predict: dropout and batch
//! normalisation, by every backend.

use bilro::engine::{Engine, Results};
use bilro::network::Feed;
use bilro::{Backend, Error, Sgd};
use bilro_compiler::network::{Builder, LossReduction, Network, Purpose};
use bilro_compiler::ops::{AttributeValue, Attributes};
use bilro_compiler::optim::Training;
use bilro_compiler::shape::{Shape, Type};
use bilro_tests::check::assert_same_bits;
use ndarray::{ArrayD, IxDyn};

const BACKENDS: [Backend; 3] = [Backend::Jit, Backend::Interpreter, Backend::InterpreterF32];

/// One layer between an input and an output `y`, and a loss `Σ y · up`.
fn network(kind: &str, attributes: Attributes, sizes: &[usize]) -> Network {
    let mut b = Builder::new("One");
    let ty = || Type::real(Shape::batched(sizes.to_vec()));
    let x = b.input("x", ty()).unwrap();
    b.differentiate(x).unwrap();
    let up = b.target("up", ty()).unwrap();
    let layer = b.layer(Some("layer"), kind, &attributes).unwrap();
    let y = b.apply(layer, (x, "x")).unwrap();
    b.output("y", y).unwrap();
    let weighted = b.call("mul", &[(y, "y"), (up, "up")], &Attributes::new()).unwrap();
    b.loss((weighted, "y * up"), LossReduction::Sum).unwrap();
    b.finish().unwrap()
}

fn array(sizes: &[usize], values: &[f32]) -> ArrayD<f32> {
    ArrayD::from_shape_vec(IxDyn(sizes), values.to_vec()).unwrap()
}

fn run(engine: &mut Engine, purpose: &Purpose<'_>, x: &ArrayD<f32>, up: &ArrayD<f32>) -> Results {
    let feeds = [Feed::Real(x.view()), Feed::Real(up.view())];
    let given = if matches!(purpose, Purpose::Predict) { 1 } else { 2 };
    engine.run(purpose, &feeds[..given]).unwrap()
}

fn assert_close<'a>(what: &str, found: impl IntoIterator<Item = &'a f32>, expected: &[f32]) {
    let found: Vec<f32> = found.into_iter().copied().collect();
    assert_eq!(found.len(), expected.len(), "{what}");
    for (x, y) in found.iter().zip(expected) {
        let fits = (x - y).abs() <= 2e-5 * (1.0 + y.abs());
        assert!(fits, "{what}: {x} instead of {y}\n{found:?}\n{expected:?}");
    }
}

/// What PyTorch's `nn.BatchNorm1d(3, momentum=0.3)` gives with weight (1.5,
/// -0.5, 2) and bias (0.1, 0.2, -0.3), computed once with torch 2.15.
struct Normalized {
    sizes: &'static [usize],
    x: &'static [f32],
    up: &'static [f32],
    dx: &'static [f32],
    dw: [f32; 3],
    db: [f32; 3],
    running_mean: [f32; 3],
    running_var: [f32; 3],
    /// What it gives afterwards for the same `x`, when it does not train.
    otherwise: &'static [f32],
}

const CASES: [Normalized; 2] = [
    Normalized {
        sizes: &[5, 3],
        x: &[
            2.6065521,
            1.3496668,
            1.1779562,
            -0.22743607,
            1.0923649,
            -1.7365184,
            1.6749902,
            3.0222318,
            -1.8703587,
            2.9548635,
            2.0440998,
            3.4758334,
            -0.72927117,
            1.5979216,
            1.8384373,
        ],
        up: &[
            -0.079854324,
            0.92641085,
            0.81567752,
            0.49518901,
            -0.16431698,
            -0.67796218,
            -1.0591074,
            0.74769664,
            0.23891741,
            -0.39215022,
            0.15191489,
            -1.1837332,
            0.53436071,
            -1.4510227,
            -0.62937403,
        ],
        dx: &[
            0.39341828,
            -0.7948271,
            1.1320989,
            0.19207981,
            -0.067607351,
            -0.65673256,
            -0.85276067,
            -0.15823378,
            0.20725499,
            0.17411947,
            -0.013761442,
            -0.50775701,
            0.09314324,
            1.0344296,
            -0.17486423,
        ],
        dw: [-2.0290043, 1.3854579, -1.3207459],
        db: [-0.50156224, 0.21068275, -1.4364746],
        running_mean: [0.37678194, 0.54637718, 0.17312102],
        running_var: [1.5270674, 0.87216693, 2.3273156],
        otherwise: &[
            2.8065798,
            -0.23007073,
            1.0173351,
            -0.63342273,
            -0.092314653,
            -2.80353,
            1.6758145,
            -1.12554,
            -2.9789941,
            3.2293735,
            -0.601861,
            4.0298433,
            -1.2425693,
            -0.36298308,
            1.8832233,
        ],
    },
    Normalized {
        sizes: &[4, 3, 2],
        x: &[
            1.4060247,
            0.59115446,
            0.17572421,
            2.3747509,
            0.84959501,
            0.15340143,
            1.843374,
            0.48470986,
            4.9717522,
            1.7249517,
            -1.7796226,
            0.68130827,
            1.6348813,
            1.2900643,
            -0.24640346,
            0.9776898,
            3.2076919,
            0.97468644,
            -0.37022972,
            0.381221,
            2.0322776,
            -0.7645663,
            2.1234059,
            3.8888266,
        ],
        up: &[
            0.39315513,
            0.91830486,
            -0.26035559,
            0.050992571,
            0.66229397,
            0.62291282,
            0.4462918,
            0.7688117,
            0.00044318414,
            -0.57735032,
            1.0048155,
            -0.94648421,
            -0.12634651,
            0.31135994,
            2.4666879,
            -1.0854398,
            -0.050172698,
            0.54569393,
            1.0036533,
            -0.66791177,
            -1.0138646,
            -1.1900103,
            0.46343279,
            0.47954601,
        ],
        dx: &[
            0.2665202,
            0.98890686,
            0.040216032,
            -0.091886945,
            0.3298915,
            0.2066429,
            0.59047091,
            0.61994863,
            -0.12532353,
            0.10433313,
            0.45030352,
            -1.6071993,
            -0.72667873,
            0.036789294,
            -0.75114995,
            0.26712161,
            -0.26142913,
            0.20453893,
            0.70625806,
            -2.4822154,
            0.2265515,
            0.33013812,
            0.23229855,
            0.44495291,
        ],
        dw: [-1.2831718, -0.86528176, -1.2325728],
        db: [3.0473185, -1.6088971, 2.7820382],
        running_mean: [0.272295, 0.42173165, 0.3787235],
        running_var: [0.87092346, 1.6979648, 1.6642104],
        otherwise: &[
            1.9222513,
            0.61250496,
            0.2943958,
            -0.5493952,
            0.43000692,
            -0.64932388,
            2.6252058,
            0.44141585,
            -1.5458935,
            -0.30006003,
            -3.6461518,
            0.16910671,
            2.2900941,
            1.7358675,
            0.45637089,
            -0.013327316,
            4.0858388,
            0.62394011,
            -0.93273431,
            0.27507749,
            -0.4179844,
            0.65519571,
            2.4048362,
            5.1418233,
        ],
    },
];

#[test]
fn batch_normalisation_is_pytorchs() {
    for case in &CASES {
        for backend in BACKENDS {
            let attributes = Attributes::new().with("momentum", AttributeValue::Number(0.3));
            let network = network("BatchNorm1d", attributes, &case.sizes[1..]);
            let names: Vec<&str> = network.parameters.iter().map(|p| p.name.as_str()).collect();
            let expected =
                ["layer.weight", "layer.bias", "layer.running_mean", "layer.running_var"];
            assert_eq!(names, expected);
            let mut engine = Engine::new(network, backend, 0, 1);
            engine.set_parameter(0, array(&[3], &[1.5, -0.5, 2.0]).view()).unwrap();
            engine.set_parameter(1, array(&[3], &[0.1, 0.2, -0.3]).view()).unwrap();
            let (x, up) = (array(case.sizes, case.x), array(case.sizes, case.up));
            let what = |name: &str| format!("{name} of {:?}, {backend:?}", case.sizes);

            let results = run(&mut engine, &Purpose::Gradients, &x, &up);
            let [dw, db, dx] = &results.arrays[..] else { panic!("three gradients") };
            assert_close(&what("dw"), dw, &case.dw);
            assert_close(&what("db"), db, &case.db);
            assert_close(&what("dx"), dx, case.dx);
            assert_close("no step, no change", engine.parameter(2).iter(), &[0.0; 3]);

            let training = Training::from(Sgd::new(0.0));
            run(&mut engine, &Purpose::Step(&training), &x, &up);
            assert_close(&what("mean"), engine.parameter(2).iter(), &case.running_mean);
            assert_close(&what("variance"), engine.parameter(3).iter(), &case.running_var);
            let results = run(&mut engine, &Purpose::Predict, &x, &up);
            assert_close(&what("y"), &results.arrays[0], case.otherwise);
            assert_close("as before", engine.parameter(2).iter(), &case.running_mean);
        }
    }
}

#[test]
fn one_example_has_no_variance() {
    let network = network("BatchNorm1d", Attributes::new(), &[3]);
    let mut engine = Engine::new(network, Backend::Jit, 0, 1);
    let x = array(&[1, 3], &[1.0, 2.0, 3.0]);
    let feeds = [Feed::Real(x.view()), Feed::Real(x.view())];
    let training = Training::from(Sgd::new(0.1));
    for purpose in [Purpose::Step(&training), Purpose::Gradients] {
        let error = engine.run(&purpose, &feeds).unwrap_err();
        assert!(matches!(error, Error::SmallBatch { expected: 2, found: 1 }), "{error}");
    }
    assert!(engine.run(&Purpose::Predict, &feeds[..1]).is_ok());
}

const EXAMPLES: usize = 64;
const FEATURES: usize = 129;

/// The factors that dropout has for a batch: `y` where `x` is 1, seen as the
/// gradient of the input.
fn factors(engine: &mut Engine) -> Vec<f32> {
    let ones = ArrayD::from_elem(IxDyn(&[EXAMPLES, FEATURES]), 1.0);
    let results = run(engine, &Purpose::Gradients, &ones, &ones);
    let sum: f64 = results.arrays[0].iter().map(|x| f64::from(*x)).sum();
    let loss = f64::from(results.loss);
    assert!((sum - loss).abs() <= 1e-4 * loss, "forward {loss} and backward {sum} differ");
    results.arrays[0].iter().copied().collect()
}

fn dropout(p: f64, backend: Backend, seed: u64, threads: usize) -> Engine {
    let attributes = Attributes::new().with("p", AttributeValue::Number(p));
    Engine::new(network("Dropout", attributes, &[FEATURES]), backend, seed, threads)
}

#[test]
fn dropout_drops_as_many_as_it_says() {
    for p in [0.0, 0.1, 0.5, 0.9, 1.0] {
        let mut engine = dropout(p, Backend::Jit, 1, 1);
        let factors = factors(&mut engine);
        let dropped = factors.iter().filter(|x| **x == 0.0).count() as f64;
        let n = factors.len() as f64;
        // Five standard deviations.
        let allowed = 5.0 * (n * p * (1.0 - p)).sqrt();
        assert!((dropped - n * p).abs() <= allowed, "{dropped} of {n} with probability {p}");
        let kept = (1.0 / (1.0 - p)) as f32;
        assert!(factors.iter().all(|x| *x == 0.0 || *x == kept), "{p}");
        // Neither rows nor columns are alike.
        if p == 0.5 {
            for (i, row) in factors.chunks(FEATURES).enumerate() {
                let dropped = row.iter().filter(|x| **x == 0.0).count() as f64;
                assert!((dropped - 64.5).abs() < 30.0, "{dropped} in row {i}");
            }
            let rows: std::collections::HashSet<Vec<u32>> = factors
                .chunks(FEATURES)
                .map(|row| row.iter().map(|x| x.to_bits()).collect())
                .collect();
            assert_eq!(rows.len(), EXAMPLES);
        }
    }
}

#[test]
fn what_is_dropped_follows_from_seed_and_batch_alone() {
    let expected = factors(&mut dropout(0.3, Backend::Jit, 7, 1));
    for (backend, threads) in BACKENDS.into_iter().flat_map(|b| [(b, 1), (b, 2), (b, 3)]) {
        let found = factors(&mut dropout(0.3, backend, 7, threads));
        assert_same_bits(&format!("{backend:?}, {threads} threads"), &found, &expected);
    }
    assert_ne!(factors(&mut dropout(0.3, Backend::Jit, 8, 1)), expected, "another seed");

    let mut engine = dropout(0.3, Backend::Jit, 7, 1);
    assert_eq!(factors(&mut engine), expected);
    assert_eq!(factors(&mut engine), expected, "gradients alone are no step");
    let training = Training::from(Sgd::new(0.1));
    let ones = ArrayD::from_elem(IxDyn(&[EXAMPLES, FEATURES]), 1.0);
    run(&mut engine, &Purpose::Step(&training), &ones, &ones);
    assert_ne!(factors(&mut engine), expected, "another batch");
}

#[test]
fn nothing_is_dropped_unless_it_trains() {
    for backend in BACKENDS {
        let mut engine = dropout(0.9, backend, 1, 1);
        let x = ArrayD::from_shape_fn(IxDyn(&[3, FEATURES]), |i| i[1] as f32);
        let results = run(&mut engine, &Purpose::Predict, &x, &x);
        assert_eq!(results.arrays[0], x);
        let loss: f32 = x.iter().map(|x| x * x).sum();
        assert_eq!(run(&mut engine, &Purpose::Evaluate, &x, &x).loss, loss);
    }
}

#[test]
fn a_layer_used_twice_drops_otherwise() {
    let mut b = Builder::new("Twice");
    let x = b.input("x", Type::real(Shape::batched([FEATURES]))).unwrap();
    b.differentiate(x).unwrap();
    let layer = b.layer(None, "Dropout", &Attributes::new()).unwrap();
    let [y, z] = [(); 2].map(|()| b.apply(layer, (x, "x")).unwrap());
    let both = b.call("mul", &[(y, "y"), (z, "z")], &Attributes::new()).unwrap();
    b.loss((both, "y * z"), LossReduction::Sum).unwrap();
    let mut engine = Engine::new(b.finish().unwrap(), Backend::Jit, 0, 1);
    let ones = ArrayD::from_elem(IxDyn(&[EXAMPLES, FEATURES]), 1.0);
    let results = engine.run(&Purpose::Gradients, &[Feed::Real(ones.view())]).unwrap();
    // Both kept: 4 each; with one mask for both, half of them would be.
    let kept = f64::from(results.loss) / 4.0 / (EXAMPLES * FEATURES) as f64;
    assert!((kept - 0.25).abs() < 0.03, "{kept}");
}
