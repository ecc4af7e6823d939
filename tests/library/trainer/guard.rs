//! Rejected steps: a step with a non-finite loss or gradient changes nothing,
//! and training continues as if it had not happened.

use bilro::ndarray::{Array1, Array2, array};
use bilro::prelude::*;
use bilro::rng::Generator;
use bilro::{Adadelta, Adagrad, Error, Lion, NAdam, Optimizer, RAdam, RMSprop, TrainerBuilder};

use super::BACKENDS;

network! {
    /// All state that a step may change: a table, running statistics, dropout.
    struct Everything {
        input x: [6];
        input words: index(9)[2];
        target y: [3];
        layer word = Embedding(9, 8);
        let h = x -> Linear(8) -> BatchNorm1d -> PReLU -> Dropout(0.3) -> LayerNorm;
        output out = tanh(h + word(words).mean(axis = 0)) -> Linear(3);
        loss mse_loss(out, y);
    }
}

network! {
    /// A finite loss with an infinite slope: where `a` is 0.
    struct Root {
        input x: [2];
        target y: [1];
        layer a = Linear(1);
        output out = sqrt(square(a(x)));
        loss mse_loss(out, y);
    }
}

network! {
    /// A finite loss with a non-finite input.
    struct Saturated {
        input x: [2];
        target y: [1];
        layer hidden = Linear(3);
        output out = sigmoid(hidden(x)) -> Linear(1);
        loss mse_loss(out, y);
    }
}

network! {
    struct Wide {
        input x: [300];
        target class: class(10);
        output scores = x -> Linear(256) -> ReLU -> Linear(128) -> Tanh -> Linear(10);
        loss cross_entropy(scores, class);
    }
}

network! {
    /// The first layer's gradient is as large as the input.
    struct Slope {
        input x: [2];
        target y: [1];
        output out = x -> Linear(1, bias = false);
        loss l1_loss(out, y);
    }
}

struct Examples {
    x: Array2<f32>,
    words: Array2<u32>,
    y: Array2<f32>,
}

impl Examples {
    fn new(seed: u64) -> Examples {
        let mut generator = Generator::new(seed);
        let mut normal = |columns| {
            let mut x = vec![0.0; 5 * columns];
            generator.fill_normal(&mut x, 0.0, 1.0);
            Array2::from_shape_vec((5, columns), x).unwrap()
        };
        let (x, y) = (normal(6), normal(3));
        let words =
            Array2::from_shape_fn((5, 2), |(i, j)| (seed as u32 + i as u32 + 3 * j as u32) % 9);
        Examples { x, words, y }
    }

    fn batch(&self) -> everything::Batch<'_> {
        everything::Batch { x: self.x.view(), words: self.words.view(), y: self.y.view() }
    }
}

fn bits<N: bilro::Network>(trainer: &mut Trainer<N>) -> Vec<Vec<u32>> {
    let parameters = trainer.model().named_parameters();
    parameters.map(|(_, values)| values.iter().map(|x| x.to_bits()).collect()).collect()
}

fn every_optimizer() -> Vec<Box<dyn Optimizer>> {
    vec![
        Box::new(Sgd::new(0.1)),
        Box::new(Sgd::new(0.1).momentum(0.9).nesterov().weight_decay(0.01)),
        Box::new(Adagrad::new(0.1)),
        Box::new(Adadelta::new(0.1)),
        Box::new(RMSprop::new(0.01).centered().momentum(0.5)),
        Box::new(Adam::new(0.01).amsgrad()),
        Box::new(AdamW::new(0.01)),
        Box::new(NAdam::new(0.01)),
        Box::new(RAdam::new(0.01)),
        Box::new(Lion::new(0.01)),
    ]
}

/// A trainer with occasional NaN batches ends with the same bits as one without
/// them: parameters, running statistics, optimizer state and count of updates,
/// accumulated gradients and dropout.
fn skips(make: impl Fn() -> TrainerBuilder<Everything>, context: &str) {
    let (mut clean, mut other) = (make().build().unwrap(), make().build().unwrap());
    for seed in 0..7 {
        let good = Examples::new(seed);
        assert!(clean.step(good.batch()).unwrap().is_finite());
        for wrong in [f32::NAN, f32::INFINITY] {
            let mut bad = Examples::new(seed + 100);
            match seed % 2 {
                0 => bad.x[(3, 1)] = wrong,
                _ => bad.y[(2, 2)] = wrong,
            }
            let (before, steps) = (bits(&mut other), other.steps());
            let loss = other.step(bad.batch()).unwrap();
            assert!(!loss.is_finite(), "{context}: {loss}");
            assert_eq!((bits(&mut other), other.steps()), (before, steps), "{context}");
        }
        assert!(other.step(good.batch()).unwrap().is_finite());
        assert_eq!(bits(&mut other), bits(&mut clean), "{context} after step {seed}");
        assert_eq!(other.steps(), clean.steps());
    }
}

#[test]
fn a_step_with_nan_changes_nothing() {
    for backend in BACKENDS {
        for (i, _) in every_optimizer().iter().enumerate() {
            let make = || {
                Everything::trainer(every_optimizer().remove(i)).seed(3).threads(1).backend(backend)
            };
            skips(make, &format!("optimizer {i}, {backend:?}"));
        }
        let adam = || Everything::trainer(Adam::new(0.01)).seed(3).backend(backend);
        skips(|| adam().accumulate(3), &format!("accumulated, {backend:?}"));
        skips(|| adam().clip_norm(0.1), &format!("clipped by norm, {backend:?}"));
        skips(|| adam().clip_value(0.01), &format!("clipped by value, {backend:?}"));
        let all = || adam().accumulate(2).clip_norm(0.1).freeze("word");
        skips(all, &format!("with all, {backend:?}"));
    }
}

#[test]
fn non_finite_gradients_are_an_error_that_changes_nothing() {
    for backend in BACKENDS {
        for accumulate in [1, 2] {
            let trainer = Root::trainer(Adam::new(0.1)).backend(backend).accumulate(accumulate);
            let mut trainer = trainer.build().unwrap();
            trainer.model_mut().params_mut().a.weight.fill(0.5);
            trainer.model_mut().params_mut().a.bias.fill(0.0);
            let good = (array![[1.0f32, 2.0]], array![[3.0f32]]);
            let good = root::Batch { x: good.0.view(), y: good.1.view() };
            trainer.step(good).unwrap();
            trainer.model_mut().params_mut().a.weight.fill(0.5);
            trainer.model_mut().params_mut().a.bias.fill(0.0);
            let before = bits(&mut trainer);
            // The root of 0.5 - 0.5 has no finite slope.
            let bad = (array![[1.0f32, -1.0], [1.0, 1.0]], array![[3.0f32], [2.0]]);
            let bad = root::Batch { x: bad.0.view(), y: bad.1.view() };
            match trainer.step(bad).unwrap_err() {
                Error::NonFiniteGradient { step: 2, loss } => assert_eq!(loss, 5.0),
                other => panic!("{backend:?}: {other}"),
            }
            assert_eq!((bits(&mut trainer), trainer.steps()), (before, 1), "{backend:?}");
            trainer.step(good).unwrap();
        }
    }
}

/// The sigmoid of infinity is 1, with slope 0; but 0 times infinity is NaN.
#[test]
fn infinite_inputs_are_detected_behind_saturating_activations() {
    for backend in BACKENDS {
        let mut trainer = Saturated::trainer(Sgd::new(0.1)).backend(backend).build().unwrap();
        let before = bits(&mut trainer);
        let (x, y) = (array![[1.0, 2.0], [f32::INFINITY, 1.0]], array![[1.0f32], [0.0]]);
        let error = trainer.step(saturated::Batch { x: x.view(), y: y.view() }).unwrap_err();
        assert!(matches!(error, Error::NonFiniteGradient { .. }), "{backend:?}: {error}");
        assert_eq!(bits(&mut trainer), before, "{backend:?}");
    }
}

/// Element-wise parameters: their gradients are sums of products with the inputs, and 0 times an
/// infinite input is NaN.
mod elementwise {
    use bilro::prelude::*;

    network! {
        pub struct Tanh {
            input x: [4];
            param w: [4] = full(-0.1);
            param v: [1] = full(0.3);
            output o = tanh(x * w) + v;
            loss o + o.square();
        }
    }

    network! {
        pub struct Sigmoid {
            input x: [4];
            param w: [4] = full(-0.1);
            param v: [1] = full(0.3);
            output o = sigmoid(x * w + v);
            loss o + o.square();
        }
    }

    network! {
        pub struct Exp {
            input x: [4];
            param w: [4] = full(-0.1);
            param v: [1] = full(0.3);
            output o = exp(x * w) * v;
            loss o + o.square();
        }
    }

    network! {
        pub struct Least {
            input x: [4];
            param w: [4] = full(-0.1);
            param v: [1] = full(0.3);
            output o = minimum(x * w, 3.0) * v;
            loss o + o.square();
        }
    }

    network! {
        pub struct Clamped {
            input x: [4];
            param w: [4] = full(-0.1);
            param v: [1] = full(0.3);
            output o = clamp(x * w, min = -1.0, max = 1.0) + v;
            loss o + o.square();
        }
    }

    network! {
        pub struct Gauss {
            input x: [4];
            param w: [4] = full(-0.1);
            param v: [1] = full(0.3);
            output o = v * exp(-x * w * w);
            loss o + o.square();
        }
    }

    network! {
        pub struct Normed {
            input x: [4];
            param w: [4] = full(-0.1);
            param v: [1] = full(0.3);
            output o = (tanh(x) -> LayerNorm) * w + v;
            loss o + o.square();
        }
    }
}

/// The loss is finite, and so are the gradients of other elements.
#[test]
fn one_infinite_element_is_detected_wherever_it_is() {
    network! {
        struct Few {
            input x: [3];
            param w: [3] = full(0.5);
            output y = tanh(x * w);
            loss y;
        }
    }
    for backend in BACKENDS {
        for element in 0..6 {
            let mut trainer = Few::trainer(Sgd::new(0.1)).backend(backend).build().unwrap();
            let mut x = Array2::from_elem((2, 3), 0.25);
            x[[element / 3, element % 3]] = f32::INFINITY;
            let before = bits(&mut trainer);
            let error = trainer.step(few::Batch { x: x.view() }).unwrap_err();
            assert!(matches!(error, Error::NonFiniteGradient { .. }), "{element}: {error:?}");
            assert_eq!(bits(&mut trainer), before, "{element}");
        }
    }
}

#[test]
fn infinite_inputs_are_detected_beside_element_wise_parameters() {
    macro_rules! check {
        ($($Name:ident($module:ident),)*) => {$(
            for (backend, rows) in BACKENDS.into_iter().flat_map(|b| [1, 2, 5, 64].map(|n| (b, n))) {
                use elementwise::$module;
                let mut trainer =
                    elementwise::$Name::trainer(Sgd::new(0.1)).backend(backend).build().unwrap();
                let mut x = Array2::from_elem((rows, 4), 0.7f32);
                trainer.step($module::Batch { x: x.view() }).unwrap();
                for wrong in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
                    x[[rows - 1, 1]] = wrong;
                    let before = bits(&mut trainer);
                    let variables = match trainer.step($module::Batch { x: x.view() }) {
                        Ok(loss) => loss.is_finite(),
                        Err(error) => {
                            let is_it = matches!(error, Error::NonFiniteGradient { .. });
                            assert!(is_it, "{error}");
                            false
                        }
                    };
                    let name = stringify!($Name);
                    let context = format!("{name}, {backend:?}, {rows} rows, {wrong}");
                    let parameters = trainer.model().named_parameters();
                    let finite =
                        parameters.into_iter().all(|(_, values)| values.iter().all(|x| x.is_finite()));
                    assert!(finite, "{context}");
                    assert!(variables || bits(&mut trainer) == before, "{context}");
                }
            }
        )*};
    }
    check! {
        Tanh(tanh), Sigmoid(sigmoid), Exp(exp), Least(least), Clamped(clamped), Gauss(gauss),
        Normed(normed),
    }
}

/// Large enough for two threads to share the step: they stop at the same
/// kernel.
#[test]
fn threads_stop_at_the_same_kernel() {
    let mut x = Array2::from_shape_fn((512, 300), |(i, j)| ((i * 7 + j * 3) % 11) as f32 / 10.0);
    let class = Array1::from_shape_fn(512, |i| (i % 10) as u32);
    let mut ends = Vec::new();
    for threads in [1, 2] {
        let mut trainer = Wide::trainer(Adam::new(0.001)).seed(1).threads(threads).build().unwrap();
        for step in 0..6 {
            let loss = trainer.step(wide::Batch { x: x.view(), class: class.view() }).unwrap();
            assert!(loss.is_finite(), "step {step}: {loss}");
            let before = bits(&mut trainer);
            for (index, wrong) in [((511, 299), f32::NAN), ((0, 0), f32::INFINITY)] {
                let right = std::mem::replace(&mut x[index], wrong);
                let loss = trainer.step(wide::Batch { x: x.view(), class: class.view() }).unwrap();
                assert!(!loss.is_finite(), "{loss}");
                x[index] = right;
            }
            assert_eq!(bits(&mut trainer), before, "{threads} threads");
        }
        assert_eq!(trainer.steps(), 6);
        ends.push(bits(&mut trainer));
    }
    assert_eq!(ends[0], ends[1]);
}

/// The failing step leaves the parameters of the previous one; steps count from
/// 1.
#[test]
fn fit_ends_with_the_parameters_of_the_last_valid_step() {
    let x = Array2::from_shape_fn((12, 2), |(i, j)| if i == 9 { f32::NAN } else { (i + j) as f32 });
    let data = bilro::data::Dataset::new(x, Array2::<f32>::ones((12, 1))).unwrap();
    let make = || Saturated::trainer(Adam::new(0.01)).seed(4).build().unwrap();
    let fit = || Fit::epochs(2).batch_size(3).shuffle(false);
    let mut trainer = make();
    match trainer.fit(&data, fit()).unwrap_err() {
        Error::NonFiniteLoss { step, loss } => assert!(step == 4 && loss.is_nan()),
        other => panic!("{other}"),
    }
    assert_eq!(trainer.steps(), 3);
    let mut twin = make();
    twin.fit(&data.rows(..9).unwrap(), fit()).unwrap();
    // The first three steps of two epochs.
    let mut twin_of_three = make();
    let one = Fit::epochs(1).batch_size(3).shuffle(false);
    twin_of_three.fit(&data.rows(..9).unwrap(), one).unwrap();
    assert_eq!(bits(&mut trainer), bits(&mut twin_of_three));
    assert_ne!(bits(&mut trainer), bits(&mut twin));
}

/// Squares of such gradients overflow or underflow; the norm does not, or is
/// larger than any float. Expected values are computed in f64.
#[test]
fn norms_are_exact_for_gradients_of_any_size() {
    let limit = 0.5f32;
    for backend in BACKENDS {
        for x in [
            [3e20f32, -4e20],
            [1e38, 1e38],
            [3e38, -3e38],
            [1e25, 1.0],
            [4.6e15, 4.4e15],
            [3e-25, 4e-25],
            [1e-40, 0.0],
            [3.0, 4.0],
        ] {
            let trainer = Slope::trainer(Sgd::new(1.0)).backend(backend).clip_norm(limit);
            let mut trainer = trainer.build().unwrap();
            trainer.model_mut().params_mut().linear1.weight.fill(0.0);
            let (input, y) =
                (Array2::from_shape_vec((1, 2), x.to_vec()).unwrap(), array![[1.0f32]]);
            trainer.step(slope::Batch { x: input.view(), y: y.view() }).unwrap();
            // The loss falls with slope x.
            let norm = x.map(f64::from).map(|x| x * x).iter().sum::<f64>().sqrt();
            let factor = (f64::from(limit) / (norm + 1e-6)).min(1.0);
            let weight = trainer.model().params().linear1.weight.to_owned();
            for (found, x) in weight.iter().zip(x) {
                let expected = factor * f64::from(x);
                let error = (f64::from(*found) - expected).abs();
                // The factor of the largest gradients is denormal.
                let bound = if norm > 1e37 { 1e-5 } else { 1e-6 } * expected.abs() + 1e-44;
                assert!(error <= bound, "{backend:?} {x}: {found}, not {expected}");
            }
        }
    }
}

/// Infinite gradients have no norm to be clipped by.
#[test]
fn clipping_does_not_hide_infinite_gradients() {
    for clip in [0, 1] {
        for wrong in [f32::INFINITY, f32::NAN] {
            let trainer = Saturated::trainer(Sgd::new(0.1));
            let trainer = if clip == 0 { trainer.clip_norm(1.0) } else { trainer.clip_value(1.0) };
            let mut trainer = trainer.build().unwrap();
            let before = bits(&mut trainer);
            let (x, y) = (array![[1.0, 2.0], [wrong, 1.0]], array![[1.0f32], [0.0]]);
            match trainer.step(saturated::Batch { x: x.view(), y: y.view() }) {
                Err(Error::NonFiniteGradient { .. }) => assert!(wrong.is_infinite()),
                Ok(loss) => assert!(wrong.is_nan() && loss.is_nan()),
                Err(other) => panic!("{other}"),
            }
            assert_eq!(bits(&mut trainer), before);
        }
    }
}
