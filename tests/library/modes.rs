//! Layers that differ between training and evaluation: dropout and batch
//! normalisation, on every backend.

use std::sync::Arc;

use bilro::engine::{Engine, Results};
use bilro::network::Feed;
use bilro::{Backend, Error, Sgd};
use bilro_compiler::declaration::{Builder, Declaration, LossReduction};
use bilro_compiler::ops::{AttributeValue, Attributes};
use bilro_compiler::optim::Training;
use bilro_compiler::purpose::Purpose;
use bilro_compiler::shape::{Shape, Type};
use bilro_tests::check::assert_same_bits;
use ndarray::{ArrayD, IxDyn};

const BACKENDS: [Backend; 3] = [Backend::Jit, Backend::Interpreter, Backend::InterpreterF32];

/// One layer between an input and an output `y`, and a loss `Σ y · up`.
fn network(kind: &str, attributes: Attributes, sizes: &[usize]) -> Declaration {
    let mut b = Builder::new("One");
    let ty = || Type::real(Shape::batched(sizes.to_vec()));
    let x = b.input("x", ty()).unwrap();
    b.differentiate(x).unwrap();
    let up = b.target("up", ty()).unwrap();
    let layer = b.layer(Some("layer"), kind, &attributes).unwrap();
    let y = b.apply(layer, (x, "x")).unwrap();
    b.output("y", y).unwrap();
    let weighted = b.call("mul", &[(y, "y"), (up, "up")], Attributes::new()).unwrap();
    b.loss((weighted, "y * up"), LossReduction::Sum).unwrap();
    b.finish().unwrap()
}

fn array(sizes: &[usize], values: &[f32]) -> ArrayD<f32> {
    ArrayD::from_shape_vec(IxDyn(sizes), values.to_vec()).unwrap()
}

fn run(engine: &mut Engine, purpose: &Purpose, x: &ArrayD<f32>, up: &ArrayD<f32>) -> Results {
    let feeds = [Feed::Real(x.view()), Feed::Real(up.view())];
    let given = if matches!(purpose, Purpose::Predict) { 1 } else { 2 };
    engine.run(purpose, &feeds[..given]).unwrap()
}

fn assert_close<'a>(context: &str, found: impl IntoIterator<Item = &'a f32>, expected: &[f32]) {
    let found: Vec<f32> = found.into_iter().copied().collect();
    assert_eq!(found.len(), expected.len(), "{context}");
    for (x, y) in found.iter().zip(expected) {
        let fits = (x - y).abs() <= 2e-5 * (1.0 + y.abs());
        assert!(fits, "{context}: {x} instead of {y}\n{found:?}\n{expected:?}");
    }
}

/// Results of PyTorch's `nn.BatchNorm1d(3, momentum=0.3)` with weight (1.5,
/// -0.5, 2) and bias (0.1, 0.2, -0.3), computed with torch 2.15.
struct Normalized {
    sizes: &'static [usize],
    x: &'static [f32],
    up: &'static [f32],
    dx: &'static [f32],
    dw: [f32; 3],
    db: [f32; 3],
    running_mean: [f32; 3],
    running_var: [f32; 3],
    /// Its output afterwards for the same `x`, in evaluation.
    otherwise: &'static [f32],
}

const CASES: [Normalized; 2] = [
    Normalized {
        sizes: &[5, 3],
        x: &[
            2.606552, 1.349667, 1.177956, -0.227436, 1.092365, -1.736518, 1.67499, 3.022232,
            -1.870359, 2.954864, 2.0441, 3.475833, -0.729271, 1.597922, 1.838437,
        ],
        up: &[
            -0.079854, 0.926411, 0.815678, 0.495189, -0.164317, -0.677962, -1.059107, 0.747697,
            0.238917, -0.39215, 0.151915, -1.183733, 0.534361, -1.451023, -0.629374,
        ],
        dx: &[
            0.393418, -0.794827, 1.132099, 0.19208, -0.067607, -0.656733, -0.852761, -0.158234,
            0.207255, 0.174119, -0.013761, -0.507757, 0.093143, 1.03443, -0.174864,
        ],
        dw: [-2.029004, 1.385458, -1.320746],
        db: [-0.501562, 0.210683, -1.436475],
        running_mean: [0.376782, 0.546377, 0.173121],
        running_var: [1.527067, 0.872167, 2.327316],
        otherwise: &[
            2.80658, -0.230071, 1.017335, -0.633423, -0.092315, -2.80353, 1.675814, -1.12554,
            -2.978994, 3.229373, -0.601861, 4.029843, -1.242569, -0.362983, 1.883223,
        ],
    },
    Normalized {
        sizes: &[4, 3, 2],
        x: &[
            1.406025, 0.591154, 0.175724, 2.374751, 0.849595, 0.153401, 1.843374, 0.48471,
            4.971752, 1.724952, -1.779623, 0.681308, 1.634881, 1.290064, -0.246403, 0.97769,
            3.207692, 0.974686, -0.37023, 0.381221, 2.032278, -0.764566, 2.123406, 3.888827,
        ],
        up: &[
            0.393155, 0.918305, -0.260356, 0.050993, 0.662294, 0.622913, 0.446292, 0.768812,
            0.000443, -0.57735, 1.004816, -0.946484, -0.126347, 0.31136, 2.466688, -1.08544,
            -0.050173, 0.545694, 1.003653, -0.667912, -1.013865, -1.19001, 0.463433, 0.479546,
        ],
        dx: &[
            0.26652, 0.988907, 0.040216, -0.091887, 0.329892, 0.206643, 0.590471, 0.619949,
            -0.125324, 0.104333, 0.450304, -1.607199, -0.726679, 0.036789, -0.75115, 0.267122,
            -0.261429, 0.204539, 0.706258, -2.482215, 0.226551, 0.330138, 0.232299, 0.444953,
        ],
        dw: [-1.283172, -0.865282, -1.232573],
        db: [3.047318, -1.608897, 2.782038],
        running_mean: [0.272295, 0.421732, 0.378723],
        running_var: [0.870923, 1.697965, 1.66421],
        otherwise: &[
            1.922251, 0.612505, 0.294396, -0.549395, 0.430007, -0.649324, 2.625206, 0.441416,
            -1.545894, -0.30006, -3.646152, 0.169107, 2.290094, 1.735867, 0.456371, -0.013327,
            4.085839, 0.62394, -0.932734, 0.275077, -0.417984, 0.655196, 2.404836, 5.141823,
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
            let mut engine = Engine::new(network, backend, 0, 1).unwrap();
            engine.set_parameter(0, array(&[3], &[1.5, -0.5, 2.0]).view()).unwrap();
            engine.set_parameter(1, array(&[3], &[0.1, 0.2, -0.3]).view()).unwrap();
            let (x, up) = (array(case.sizes, case.x), array(case.sizes, case.up));
            let context = |name: &str| format!("{name} of {:?}, {backend:?}", case.sizes);

            let results = run(&mut engine, &Purpose::Gradients, &x, &up);
            let [dw, db, dx] = &results.arrays[..] else { panic!("three gradients") };
            assert_close(&context("dw"), dw, &case.dw);
            assert_close(&context("db"), db, &case.db);
            assert_close(&context("dx"), dx, case.dx);
            assert_close("no step, no change", engine.parameter(2).iter(), &[0.0; 3]);

            let training = Arc::new(Training::from(Sgd::new(0.0)));
            run(&mut engine, &Purpose::Step(training.clone()), &x, &up);
            assert_close(&context("mean"), engine.parameter(2).iter(), &case.running_mean);
            assert_close(&context("variance"), engine.parameter(3).iter(), &case.running_var);
            let results = run(&mut engine, &Purpose::Predict, &x, &up);
            assert_close(&context("y"), &results.arrays[0], case.otherwise);
            assert_close("as before", engine.parameter(2).iter(), &case.running_mean);
        }
    }
}

#[test]
fn one_example_has_no_variance() {
    let network = network("BatchNorm1d", Attributes::new(), &[3]);
    let mut engine = Engine::new(network, Backend::Jit, 0, 1).unwrap();
    let x = array(&[1, 3], &[1.0, 2.0, 3.0]);
    let feeds = [Feed::Real(x.view()), Feed::Real(x.view())];
    let training = Arc::new(Training::from(Sgd::new(0.1)));
    for purpose in [Purpose::Step(training.clone()), Purpose::Gradients] {
        let error = engine.run(&purpose, &feeds).unwrap_err();
        assert!(matches!(error, Error::SmallBatch { expected: 2, found: 1 }), "{error}");
    }
    assert!(engine.run(&Purpose::Predict, &feeds[..1]).is_ok());
}

const EXAMPLES: usize = 64;
const FEATURES: usize = 129;

/// The factors of dropout for a batch: `y` where `x` is 1, from the gradient of
/// the input.
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
    Engine::new(network("Dropout", attributes, &[FEATURES]), backend, seed, threads).unwrap()
}

#[test]
fn dropout_has_the_requested_rate() {
    for p in [0.0, 0.1, 0.5, 0.9, 1.0] {
        let mut engine = dropout(p, Backend::Jit, 1, 1);
        let factors = factors(&mut engine);
        let dropped = factors.iter().filter(|x| **x == 0.0).count() as f64;
        let n = factors.len() as f64;
        // Five standard deviations.
        let allowed = 5.0 * (n * p * (1.0 - p)).sqrt();
        assert!((dropped - n * p).abs() <= allowed, "{dropped} of {n} with probability {p}");
        let retained = (1.0 / (1.0 - p)) as f32;
        assert!(factors.iter().all(|x| *x == 0.0 || *x == retained), "{p}");
        // Rows and columns differ.
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
fn dropout_depends_on_seed_and_batch_only() {
    let expected = factors(&mut dropout(0.3, Backend::Jit, 7, 1));
    for (backend, threads) in BACKENDS.into_iter().flat_map(|b| [(b, 1), (b, 2), (b, 3)]) {
        let found = factors(&mut dropout(0.3, backend, 7, threads));
        assert_same_bits(&format!("{backend:?}, {threads} threads"), &found, &expected);
    }
    assert_ne!(factors(&mut dropout(0.3, Backend::Jit, 8, 1)), expected, "another seed");

    let mut engine = dropout(0.3, Backend::Jit, 7, 1);
    assert_eq!(factors(&mut engine), expected);
    assert_eq!(factors(&mut engine), expected, "gradients alone are no step");
    let training = Arc::new(Training::from(Sgd::new(0.1)));
    let ones = ArrayD::from_elem(IxDyn(&[EXAMPLES, FEATURES]), 1.0);
    run(&mut engine, &Purpose::Step(training.clone()), &ones, &ones);
    assert_ne!(factors(&mut engine), expected, "another batch");
}

#[test]
fn dropout_is_the_identity_in_evaluation() {
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
fn a_layer_used_twice_drops_different_elements() {
    let mut b = Builder::new("Twice");
    let x = b.input("x", Type::real(Shape::batched([FEATURES]))).unwrap();
    b.differentiate(x).unwrap();
    let layer = b.layer(None, "Dropout", Attributes::new()).unwrap();
    let [y, z] = [(); 2].map(|()| b.apply(layer, (x, "x")).unwrap());
    let both = b.call("mul", &[(y, "y"), (z, "z")], Attributes::new()).unwrap();
    b.loss((both, "y * z"), LossReduction::Sum).unwrap();
    let mut engine = Engine::new(b.finish().unwrap(), Backend::Jit, 0, 1).unwrap();
    let ones = ArrayD::from_elem(IxDyn(&[EXAMPLES, FEATURES]), 1.0);
    let results = engine.run(&Purpose::Gradients, &[Feed::Real(ones.view())]).unwrap();
    // Elements that both uses retain have factor 4; with a shared mask these
    // would be half.
    let retained = f64::from(results.loss) / 4.0 / (EXAMPLES * FEATURES) as f64;
    assert!((retained - 0.25).abs() < 0.03, "{retained}");
}
