//! Networks declared at run time behave like declared types, bit for bit.

use bilro::compiler::declaration::{Builder, Declaration, Init, LossReduction};
use bilro::compiler::error::Mistake;
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

fn declared(
    declare: impl FnOnce(&mut Builder) -> Result<(), Mistake>,
) -> Result<Declaration, bilro::compiler::error::Error> {
    Declaration::declare("Net", declare)
}

fn names(declaration: &Declaration) -> Vec<&str> {
    declaration.parameters.iter().map(|p| p.name.as_str()).collect()
}

#[test]
fn what_a_failed_call_has_made_is_taken_back() {
    let declaration = declared(|b| {
        let x = b.input("x", [1 << 20, 1])?;
        let taken = b.parameter("taken.bias", [2], Init::Full(1.0))?;
        let taken_layer = b.layer("taken", "Linear", [("out_features", 2)])?;
        let huge = b.layer("huge", "Linear", [("out_features", 1 << 30)])?;
        let before = b.graph().to_string();
        // The weight is made before the bias and the product, which fail.
        for layer in [taken_layer, huge] {
            assert!(b.apply(layer, x).is_err());
            assert_eq!(b.graph().to_string(), before);
        }
        let fine = b.layer("fine", "Linear", [("out_features", 2)])?;
        let y = b.apply(fine, x)?;
        let y = b.call("mul", &[y, taken], ())?;
        b.output("y", y)
    });
    let declaration = declaration.unwrap();
    assert_eq!(names(&declaration), ["taken.bias", "fine.weight", "fine.bias"]);
    assert_eq!(declaration.layers.len(), 1);
}

#[test]
fn names_that_would_mean_two_things_are_refused() {
    type Declare = fn(&mut Builder) -> Result<(), Mistake>;
    let cases: [(Declare, &str); 4] = [
        (
            |b| {
                b.layer("same", "ReLU", ())?;
                b.layer("same", "Tanh", ()).map(|_| ())
            },
            "layer `same` is declared twice",
        ),
        (|b| b.choice("c", &["a", "b", "a"]).map(|_| ()), "the alternative `a` twice"),
        (
            |b| {
                let x = b.input("both", [2])?;
                b.differentiate(x)?;
                let w = b.parameter("both", [2], Init::Full(1.0))?;
                let y = b.call("mul", &[x, w], ())?;
                b.loss(y, LossReduction::Sum)
            },
            "`both` is a parameter and an input whose gradient",
        ),
        (
            |b| {
                let x = b.input("x", [2])?;
                b.call("pow", &[x], [("exponent", f64::INFINITY)]).map(|_| ())
            },
            "`exponent` is a finite number",
        ),
    ];
    for (declare, part) in cases {
        let error = declared(declare).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn parts_of_other_networks_are_refused() {
    let mut other = Builder::new("Other");
    let module = other.module(None, "Block");
    let layer = other.layer(None, "ReLU", ()).unwrap();
    let mut b = Builder::new("Net");
    let x = b.input("x", [2]).unwrap();
    let error = b.enter(module).unwrap_err().to_string();
    assert!(error.contains("another network"), "{error}");
    let error = b.apply(layer, x).unwrap_err().to_string();
    assert!(error.contains("another network"), "{error}");
    assert_eq!((b.module_name(module), b.layer_name(layer)), ("", ""));
    assert_eq!((b.takes(layer), b.gives(layer)), (0, 0));
}

/// A layer has the parameters that it has made, however others are called.
#[test]
fn a_layer_has_its_own_parameters() {
    let declaration = declared(|b| {
        let mut x = b.input("x", [3])?;
        for name in ["fc", "fc.inner"] {
            let layer = b.layer(name, "Linear", [("out_features", 3)])?;
            x = b.apply(layer, x)?;
        }
        b.output("y", x)
    });
    let model = DynModel::builder(declaration.unwrap()).build().unwrap();
    let layers = &model.declaration().layers;
    assert_eq!(layers.iter().map(|l| &l.parameters[..]).collect::<Vec<_>>(), [[0, 1], [2, 3]]);
    assert_eq!(model.summary().matches(" 12 ").count(), 2, "{}", model.summary());
}

#[test]
fn deep_networks_and_long_names_stay_small() {
    let declaration = declared(|b| {
        let mut x = b.input("x", [2])?;
        for _ in 0..1000 {
            let layer = b.layer(None, "ReLU", ())?;
            x = b.apply(layer, x)?;
        }
        b.output("y", x)
    });
    let text = declaration.unwrap().graph().to_string();
    assert!(text.len() < 200 * 1000, "{} bytes", text.len());

    let long = "x".repeat(1 << 17);
    let declaration = declared(|b| {
        let x = b.input(&long, [2])?;
        let layer = b.layer(&*long, "Linear", [("out_features", 2)])?;
        let y = b.apply(layer, x)?;
        b.output(&long, y)
    });
    let model = DynModel::builder(declaration.unwrap()).build().unwrap();
    assert!(model.summary().contains(&long) && model.to_string().contains(&long));
    let wrong = "y".repeat(1 << 17);
    let x = array![[1.0f32, 2.0]];
    let error = model.predict((wrong.as_str(), x.view())).unwrap_err().to_string();
    assert!(error.contains(&long));
}

/// A loss that follows from nothing can be trained on, if that is of use to anyone; one that is not
/// finite is not.
#[test]
fn a_loss_that_is_a_number_makes_steps_that_change_nothing() {
    for (number, steps) in [(1.5, 2), (f64::NAN, 0), (f64::INFINITY, 0)] {
        for backend in [Backend::Jit, Backend::Interpreter] {
            let declaration = declared(|b| {
                b.parameter("w", [2], Init::Full(1.0))?;
                let loss = b.number(number);
                b.loss(loss, LossReduction::Mean)
            });
            let builder = DynTrainer::builder(declaration.unwrap(), Adam::new(0.1));
            let mut trainer = builder.backend(backend).build().unwrap();
            for _ in 0..2 {
                let loss = trainer.step(DynBatch::new()).unwrap();
                assert_eq!(loss.to_bits() | 1 << 31, (number as f32).to_bits() | 1 << 31);
            }
            assert_eq!(trainer.steps(), steps);
            assert_eq!(trainer.model().parameter("w").unwrap(), array![1.0, 1.0].into_dyn());
        }
    }
}
