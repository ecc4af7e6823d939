//! Gradients of any expression: with respect to parameters and inputs, with and
//! without layers; and choices selected per call.

use bilro::prelude::*;
use bilro::{Backend, ndarray};
use ndarray::{Array1, Array2, array};

const BACKENDS: [Backend; 2] = [Backend::Jit, Backend::Interpreter];

network! {
    /// The sum of squares of an input.
    struct Squares {
        input x: [2] grad;
        output y = x.pow(2);
        loss sum(x.pow(2));
    }
}

network! {
    /// The same of parameters, without inputs.
    struct OwnSquares {
        param x: [2] = ones;
        loss sum(x.pow(2));
    }
}

network! {
    /// The same, where only the target has examples.
    struct Distances {
        target y: [2];
        param x: [2] = ones;
        output p = 2 * x;
        loss sum((x - y).pow(2));
    }
}

network! {
    struct Logarithm {
        input x: [2] grad;
        let y = log(x);
        output f = 2 * mean(y);
        loss 2 * mean(y);
    }
}

network! {
    struct MeanOfSquares {
        input x: [2, 2] grad;
        loss mean(x.square());
    }
}

#[test]
fn a_network_of_targets_alone_predicts_without_arrays() {
    for backend in BACKENDS {
        let mut trainer = Distances::trainer(Sgd::new(0.25)).backend(backend).build().unwrap();
        let y = array![[3.0, 0.0], [1.0, 0.0], [2.0, 0.0]];
        assert_eq!(
            trainer.model().predict(distances::Input::default()).unwrap().p,
            array![2.0, 2.0]
        );
        let loss = trainer.step(distances::Batch { y: y.view() }).unwrap();
        assert_eq!(loss, 8.0 / 3.0);
        assert_eq!(
            trainer.model().predict(distances::Input::default()).unwrap().p,
            array![3.0, 1.0]
        );
    }
}

#[test]
fn the_sum_of_squares() {
    for backend in BACKENDS {
        let f = Squares::model().backend(backend).build().unwrap();
        let x = array![[3.0, 5.0]];
        let gradients = f.gradients(squares::Batch { x: x.view() }).unwrap();
        assert_eq!((gradients.loss, &gradients.x), (34.0, &array![[6.0, 10.0]]));
        let y = f.predict(squares::Input { x: x.view() }).unwrap().y;
        assert_eq!(y, array![[9.0, 25.0]]);

        let mut f = OwnSquares::model().backend(backend).build().unwrap();
        f.params_mut().x.assign(&array![3.0, 5.0]);
        let gradients = f.gradients(own_squares::Batch::default()).unwrap();
        assert_eq!((gradients.loss, &gradients.x), (34.0, &array![6.0, 10.0]));
    }
}

#[test]
fn the_mean_logarithm() {
    for backend in BACKENDS {
        let f = Logarithm::model().backend(backend).build().unwrap();
        let x = array![[4.0, 5.0]];
        let gradients = f.gradients(logarithm::Batch { x: x.view() }).unwrap();
        assert!((gradients.loss - 2.995_732_3).abs() < 1e-6, "{}", gradients.loss);
        assert!((&gradients.x - &array![[0.25, 0.2]]).iter().all(|d| d.abs() < 1e-7));
    }
}

#[test]
fn the_mean_of_squares() {
    for backend in BACKENDS {
        let f = MeanOfSquares::model().backend(backend).build().unwrap();
        let x = array![[[0.3, -1.2], [2.5, 0.0]]];
        let gradients = f.gradients(mean_of_squares::Batch { x: x.view() }).unwrap();
        assert_eq!(gradients.x, x / 2.0);
    }
}

#[test]
fn a_function_of_parameters_only_is_minimised() {
    network! {
        /// H. Rosenbrock's valley, with its minimum at (1, 1).
        struct Rosenbrock {
            param x: [] = full(-1.2);
            param y: [] = ones;
            output height = (1 - x).square() + 100 * (y - x.square()).square();
            loss height;
        }
    }
    for backend in BACKENDS {
        let mut trainer = Rosenbrock::trainer(Adam::new(0.02)).backend(backend).build().unwrap();
        let first = trainer.step(rosenbrock::Batch::default()).unwrap();
        assert!((first - 24.2).abs() < 1e-4, "{first}");
        for _ in 0..4000 {
            trainer.step(rosenbrock::Batch::default()).unwrap();
        }
        let height = trainer.model().predict(rosenbrock::Input::default()).unwrap().height;
        assert!(height[()] < 1e-4, "{height}");
    }
}

network! {
    /// Both kinds of gradients, and an input without one.
    struct Both {
        input x: [3] grad;
        input weight: [1];
        input z: [] grad;
        target y: [1];
        layer fc = Linear(3, 1);
        output out = fc(x) * weight + z;
        loss sum mse_loss(out, y);
    }
}

#[test]
fn parameters_and_inputs_together() {
    let mut found = Vec::new();
    for backend in BACKENDS {
        let f = Both::model().backend(backend).seed(1).build().unwrap();
        let x = Array2::from_shape_fn((5, 3), |(i, j)| (i * 3 + j) as f32 / 10.0);
        let weight = Array2::from_shape_fn((5, 1), |(i, _)| 1.0 + i as f32);
        let z = Array1::from_shape_fn(5, |i| i as f32 / 4.0 - 0.5);
        let y = Array2::from_elem((5, 1), 0.25);
        let batch = both::Batch { x: x.view(), weight: weight.view(), z: z.view(), y: y.view() };
        let gradients = f.gradients(batch).unwrap();
        // The input's gradient follows from the weight's and the other's.
        let out = f.predict(both::Input { x: x.view(), weight: weight.view(), z: z.view() });
        let slope = (out.unwrap().out - y) * 2.0;
        let w = f.params().fc.weight.to_owned();
        for i in 0..5 {
            let at = slope[[i, 0]];
            assert!((gradients.z[i] - at).abs() < 1e-5);
            for j in 0..3 {
                let expected = at * weight[[i, 0]] * w[[j, 0]];
                assert!((gradients.x[[i, j]] - expected).abs() < 1e-5);
            }
        }
        let names: Vec<&str> = gradients.named().map(|(name, _)| name).collect();
        assert_eq!(names, ["fc.weight", "fc.bias", "x", "z"]);
        assert_eq!(gradients.get("x").unwrap(), gradients.x.view().into_dyn());
        assert_eq!(gradients.get("fc.bias").unwrap(), gradients.fc.bias.view().into_dyn());
        assert!(gradients.get("weight").is_none());
        found.push((gradients.fc.weight.clone(), gradients.x.clone()));
    }
    let close = |a: &Array2<f32>, b: &Array2<f32>| (a - b).iter().all(|d| d.abs() < 1e-5);
    assert!(close(&found[0].0, &found[1].0) && close(&found[0].1, &found[1].1));
}

network! {
    /// A choice with shared weights.
    struct Chosen {
        input x: [4];
        target y: class(3);
        /// The function between the layers.
        choice activation = sigmoid | tanh | leaky_relu(0.2);
        choice end = Identity | softmax;
        layer hidden = Linear(5);
        layer out = Linear(3);
        output scores = x -> hidden -> activation -> out -> end;
        output twice = activation(activation(x));
        loss cross_entropy(scores, y);
    }
}

#[test]
fn choices_are_selected_per_call() {
    use chosen::{Activation, End};
    let x = Array2::from_shape_fn((6, 4), |(i, j)| ((i * 4 + j) as f32 * 0.7).sin() * 2.0);
    let y = Array1::from_iter((0..6).map(|i| i % 3));
    for backend in BACKENDS {
        let model = Chosen::model().backend(backend).seed(3).build().unwrap();
        let (hidden, out) = (model.params().hidden, model.params().out);
        let before = x.dot(&hidden.weight) + hidden.bias;
        let scores = |f: fn(f32) -> f32| before.mapv(f).dot(&out.weight) + out.bias;
        let expected = [
            (Activation::Sigmoid, scores(|x| 1.0 / (1.0 + (-x).exp()))),
            (Activation::Tanh, scores(f32::tanh)),
            (Activation::LeakyRelu, scores(|x| if x > 0.0 { x } else { 0.2 * x })),
        ];
        assert_eq!(Activation::default(), Activation::Sigmoid);
        for (activation, scores) in expected {
            let input = chosen::Input { x: x.view(), activation, end: End::Identity };
            let found = model.predict(input).unwrap();
            assert!((&found.scores - &scores).iter().all(|d| d.abs() < 1e-5), "{activation:?}");
            let input = chosen::Input { x: x.view(), activation, end: End::Softmax };
            let sums = model.predict(input).unwrap().scores.sum_axis(ndarray::Axis(1));
            assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-5));
        }
        let losses = [Activation::Sigmoid, Activation::Tanh].map(|activation| {
            let batch = chosen::Batch { x: x.view(), y: y.view(), activation, end: End::default() };
            model.gradients(batch).unwrap().loss
        });
        assert_ne!(losses[0], losses[1]);
    }
    // A data set uses the first alternative.
    let data = data::Dataset::new(x.clone(), y.clone()).unwrap();
    let mut trainer = Chosen::trainer(Sgd::new(0.1)).seed(3).build().unwrap();
    let loss = trainer.model().evaluate(&data).unwrap().loss();
    let batch = chosen::Batch {
        x: x.view(),
        y: y.view(),
        activation: Activation::Sigmoid,
        end: End::Identity,
    };
    // The evaluation's loss is the sum of a batch in f32, divided in f64.
    assert_eq!(trainer.step(batch).unwrap(), loss as f32);
}

network! {
    /// An untrained running statistic.
    struct Normal {
        input x: [4];
        target y: [1];
        layer norm = BatchNorm1d();
        output out = x -> norm -> Linear(1);
        loss mse_loss(out, y);
    }
}

#[test]
fn untrained_parameters_have_no_gradient() {
    let model = Normal::model().build().unwrap();
    let x = Array2::from_shape_fn((6, 4), |(i, j)| (i * 4 + j) as f32);
    let y = Array2::zeros((6, 1));
    let gradients = model.gradients(normal::Batch { x: x.view(), y: y.view() }).unwrap();
    assert_eq!(gradients.norm.weight.len(), 4);
    let () = gradients.norm.running_mean;
    assert!(gradients.get("norm.running_mean").is_none());
    assert_eq!(gradients.named().len(), 4);
    for (name, gradient) in gradients.named() {
        let (_, values) = model.named_parameters().find(|(n, _)| *n == name).unwrap();
        assert_eq!(values.shape(), gradient.shape(), "{name}");
    }
    assert_eq!(gradients.linear1.weight.dim(), (4, 1));
    assert_eq!(model.params().norm.running_var, array![1.0, 1.0, 1.0, 1.0]);
    let mut trainer = model.into_trainer(Sgd::new(0.1)).build().unwrap();
    trainer.step(normal::Batch { x: x.view(), y: y.view() }).unwrap();
    assert!(trainer.model().params().norm.running_mean.iter().all(|x| *x > 0.9));
}
