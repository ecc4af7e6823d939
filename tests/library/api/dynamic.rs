//! Networks declared at run time behave like declared types, bit for bit.

use bilro::compiler::declaration::{Builder, Declaration, LossReduction};
use bilro::compiler::ops::{AttributeValue, Attributes};
use bilro::compiler::shape::{Shape, Type};
use bilro::ndarray::{Array1, Array2, ArrayD, array};
use bilro::network::Feed;
use bilro::prelude::*;
use bilro::schedule::ExponentialLR;
use bilro::{DynBatch, DynModel, DynTrainer, Error, data};

use super::{Digits, digits};

/// [`Digits`], built by calls.
fn declaration() -> Declaration {
    let none = Attributes::new();
    let mut b = Builder::new("Digits");
    let image = b.input("image", Type::real(Shape::batched([64usize]))).unwrap();
    let digit = b.target("digit", Type::index(10, Shape::batched([0usize; 0]))).unwrap();
    let mut x = image;
    for (name, width) in [("fc1", 128usize), ("fc2", 64), ("fc3", 10)] {
        let out = Attributes::new().with("out_features", AttributeValue::Size(width.into()));
        let layer = b.layer(Some(name), "Linear", &out).unwrap();
        x = b.apply(layer, (x, "x")).unwrap();
        if name != "fc3" {
            x = b.call("relu", &[(x, "x")], &none).unwrap();
        }
    }
    b.output("logits", x).unwrap();
    let loss = b.call("cross_entropy", &[(x, "logits"), (digit, "digit")], &none).unwrap();
    b.loss((loss, "loss"), LossReduction::Mean).unwrap();
    b.finish().unwrap()
}

fn bits(arrays: impl IntoIterator<Item = ArrayD<f32>>) -> Vec<Vec<u32>> {
    arrays.into_iter().map(|array| array.iter().map(|x| x.to_bits()).collect()).collect()
}

fn parameters<N>(model: &Model<N>) -> Vec<Vec<u32>> {
    bits(model.named_parameters().map(|(_, values)| values.to_owned()))
}

#[test]
fn a_dynamic_network_trains_like_a_declared_one() {
    let (train, test) = data::digits().unwrap().rows(..500).unwrap().split(0.8, 7).unwrap();
    macro_rules! trained {
        ($builder:expr) => {{
            let builder = $builder.seed(3).accumulate(2).clip_norm(1.0).freeze("fc1.bias");
            let mut trainer = builder.scale_learning_rate("fc2", 0.5).build().unwrap();
            let fit = Fit::epochs(3).validate(&test).schedule(ExponentialLR::new(0.9));
            let mut numbers = Vec::new();
            let history = trainer
                .fit_with(&train, fit, |trainer, epoch| {
                    numbers.push((epoch.number, trainer.steps()))
                })
                .unwrap();
            (trainer, history, numbers)
        }};
    }
    let (typed, expected, typed_numbers) = trained!(Digits::trainer(Adam::new(0.01)));
    let (dynamic, found, numbers) = trained!(DynTrainer::builder(declaration(), Adam::new(0.01)));
    assert_eq!((&found.losses, found.best_epoch), (&expected.losses, expected.best_epoch));
    assert_eq!((numbers, found.stop), (typed_numbers, expected.stop));
    assert_eq!(found.epochs[2].validation, expected.epochs[2].validation);
    let (typed, dynamic): (_, DynModel) = (typed.into_model(), dynamic.into_model());
    assert_eq!(parameters(&dynamic), parameters(&typed));

    let expected = typed.predict(digits::Input { image: test.x() }).unwrap().logits;
    let output = dynamic.predict(("image", test.x())).unwrap();
    assert_eq!(output["logits"], expected.into_dyn());
    assert_eq!(output.get("logits").unwrap(), output["logits"]);
    assert_eq!(output.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["logits"]);

    let batch = || DynBatch::from([("digit", test.y().into()), ("image", test.x().into())]);
    let typed_batch = || digits::Batch { image: test.x(), digit: test.y() };
    let gradients = dynamic.gradients(batch()).unwrap();
    let expected = typed.gradients(typed_batch()).unwrap();
    assert_eq!(gradients.loss, expected.loss);
    for ((name, found), (other, expected)) in gradients.iter().zip(expected.named()) {
        assert_eq!((name, found), (other, expected));
    }
    let evaluation = dynamic.evaluate_batch(batch()).unwrap();
    let expected = typed.evaluate_batch(typed_batch()).unwrap();
    assert_eq!((evaluation.loss(), evaluation.metrics()), (expected.loss(), expected.metrics()));
    let evaluation = dynamic.evaluate(&test).unwrap();
    assert_eq!(evaluation.metric("accuracy"), Some(typed.evaluate(&test).unwrap().accuracy()));

    assert_eq!(dynamic.summary(), typed.summary());
    assert_eq!(dynamic.to_string(), typed.to_string());
    assert!(dynamic.state_dict().eq(typed.state_dict()));

    // Step by step, and continued training.
    let mut typed = typed.into_trainer(Sgd::new(0.1)).build().unwrap();
    let mut dynamic = dynamic.into_trainer(Sgd::new(0.1)).build().unwrap();
    for _ in 0..3 {
        assert_eq!(dynamic.step(batch()).unwrap(), typed.step(typed_batch()).unwrap());
    }
    assert_eq!(parameters(dynamic.model()), parameters(typed.model()));
}

#[test]
fn files_are_interchangeable() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("digits.safetensors");
    let typed = Digits::model().seed(5).build().unwrap();
    typed.save(&path).unwrap();
    let mut dynamic = DynModel::builder(declaration()).weights(&path).build().unwrap();
    assert_eq!(parameters(&dynamic), parameters(&typed));
    let bias = Array1::from_elem(10, 0.5).into_dyn();
    dynamic.set_parameter("fc3.bias", bias.view()).unwrap();
    assert_eq!(dynamic.parameter("fc3.bias").unwrap(), bias);
    dynamic.load_except(&path, &["fc1"]).unwrap();
    assert_eq!(parameters(&dynamic), parameters(&typed));
    let error = dynamic.parameter("fc3.bais").unwrap_err().to_string();
    assert!(error.contains("did you mean `fc3.bias`?"), "{error}");
}

/// `y = tanh(x)` or `y = relu(x)`, selected per call.
fn model_with_a_choice() -> DynModel {
    let mut b = Builder::new("Chosen");
    let x = b.input("x", Type::real(Shape::batched([2usize]))).unwrap();
    let activation = b.choice("activation", &["tanh", "relu"]).unwrap();
    let [tanh, relu] =
        ["tanh", "relu"].map(|name| b.call(name, &[(x, "x")], Attributes::new()).unwrap());
    let y = b.choose(activation, &[(tanh, "tanh"), (relu, "relu")]).unwrap();
    b.output("y", y).unwrap();
    DynModel::builder(b.finish().unwrap()).build().unwrap()
}

#[test]
fn choices_are_selected_by_name() {
    let (model, x) = (model_with_a_choice(), array![[-1.0f32, 2.0]]);
    let y = |batch: DynBatch<'_>| model.predict(batch).unwrap()["y"].clone();
    let batch = || DynBatch::new().with("x", x.view());
    let tanh = y(batch());
    assert!((tanh[[0, 0]] + 0.761_594_2).abs() < 1e-6, "{tanh}");
    assert_eq!(y(batch().choose("activation", "tanh")), tanh);
    assert_eq!(y(batch().choose("activation", "relu")), array![[0.0, 2.0]].into_dyn());
    for (batch, words) in [
        (batch().choose("activation", "rleu"), ["alternative", "did you mean `relu`?"]),
        (batch().choose("activatoin", "relu"), ["choice", "did you mean `activation`?"]),
        (
            batch().choose("activation", "relu").choose("activation", "relu"),
            ["`activation`", "more than once"],
        ),
    ] {
        let error = model.predict(batch).unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    }
}

fn given<'a>(image: impl Into<Feed<'a>>, digit: impl Into<Feed<'a>>) -> DynBatch<'a> {
    DynBatch::new().with("image", image).with("digit", digit)
}

#[test]
fn errors_name_their_arrays() {
    let model = DynModel::builder(declaration()).build().unwrap();
    let (x, y) = (Array2::<f32>::zeros((3, 64)), Array1::<u32>::zeros(3));
    let batch = || DynBatch::new().with("image", x.view()).with("digit", y.view());
    model.evaluate_batch(batch()).unwrap();
    let (flat, wide) = (Array1::<f32>::zeros(64), Array2::<f32>::zeros((3, 65)));
    let (small, large) = (Array1::<u32>::zeros(2), Array1::<u32>::from_elem(3, 10));
    let cases: Vec<(DynBatch<'_>, &[&str])> = vec![
        (DynBatch::new().with("image", x.view()), &["`digit`", "not given"]),
        (DynBatch::new(), &["`image`", "not given"]),
        (batch().with("imgae", x.view()), &["`imgae`", "did you mean `image`?", "image, digit"]),
        (batch().with("digit", y.view()), &["`digit`", "more than once"]),
        (given(y.view(), y.view()), &["`image`", "reals"]),
        (given(x.view(), x.view()), &["`digit`", "reals"]),
        (given(flat.view(), y.view()), &["`image`", "[64]", "[]"]),
        (given(wide.view(), y.view()), &["`image`", "[64]", "[65]"]),
        (given(x.view(), small.view()), &["2", "3", "examples"]),
        (given(x.view(), large.view()), &["`digit`", "index 10", "below 10"]),
    ];
    for (batch, words) in cases {
        for error in
            [model.evaluate_batch(batch.clone()).unwrap_err(), model.gradients(batch).unwrap_err()]
        {
            let error = error.to_string();
            assert!(words.iter().all(|word| error.contains(word)), "{words:?}: {error}");
        }
    }
    let error = model.predict(batch()).unwrap_err();
    assert!(matches!(&error, Error::Unneeded { name } if name == "digit"), "{error}");
    let output = model.predict(("image", x.view())).unwrap();
    let error = output.get("logit").unwrap_err().to_string();
    assert!(error.contains("did you mean `logits`?"), "{error}");

    // A network without a loss cannot train, and a data set has one input.
    let error = model_with_a_choice().into_trainer(Sgd::new(0.1)).build().unwrap_err();
    assert!(matches!(error.error(), Error::NoLoss { network } if network == "Chosen"));
    let data = data::digits().unwrap();
    let error = model_with_a_choice().evaluate(&data).unwrap_err().to_string();
    assert!(error.contains("1 inputs and 0 targets"), "{error}");
}
