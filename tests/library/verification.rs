//! Verification: no false alarms, injected faults found with their layer, gradients of custom losses,
//! verified steps, and the origin of values that are not finite.

use bilro::ndarray::{Array1, Array2, array};
use bilro::prelude::*;
use bilro::testing::{Gradcheck, gradcheck};
use bilro::{Error, Verification};
use bilro_compiler::faults::{Fault, Guard};

network! {
    /// Layers of most kinds.
    pub struct Wide {
        input x: [13] grad;
        input word: index(9);
        target digit: class(5);
        let e = word -> Embedding(9, 6);
        let h = x -> Linear(21) -> BatchNorm1d -> gelu -> Dropout(0.25) -> Linear(6);
        let s = (h + e) -> LayerNorm -> tanh;
        output logits = s -> Linear(5);
        output shares = softmax(logits);
        loss cross_entropy(logits, digit, label_smoothing = 0.1);
        metric top_k_accuracy(logits, digit, k = 2);
    }
}

network! {
    /// Has the operations of all injected faults.
    pub struct Faulty {
        input x: [11];
        target y: [7];
        layer fc1 = Linear(9);
        layer fc2 = Linear(7);
        let h = x -> fc1 -> tanh;
        let q = h / 4.0;
        output p = q -> fc2 -> sigmoid;
        loss mse_loss(p, y);
    }
}

network! {
    /// With a kink at 0.
    pub struct Kink {
        input x: [3];
        target y: [1];
        param w: [3] = ones;
        output p = sum(relu(x * w));
        loss l1_loss(p, sum(y));
    }
}

network! {
    /// A loss that cancels: `1 - 1` but for a rounding error.
    pub struct Cancelled {
        input x: [4, 1] grad;
        target t: [4];
        loss cosine_embedding_loss(x, x, t);
    }
}

network! {
    /// A logarithm of numbers that may be negative.
    pub struct Logarithm {
        input x: [4];
        target y: [4];
        param w: [4] = ones;
        layer fc = Linear(4);
        let h = x * w;
        output p = log(h) -> fc;
        loss mse_loss(p, y);
    }
}

network! {
    /// A batch may have total weight 0.
    pub struct Ignoring {
        input x: [3];
        target y: class(4);
        output p = x -> Linear(4);
        loss cross_entropy(p, y, ignore_index = 0);
    }
}

network! {
    /// Its gradient is a constant that is rounded to f32: a third.
    pub struct Third {
        input word: index(1);
        param table: [1, 3] = ones;
        output y = embedding(word, table);
        loss y;
    }
}

fn values(rows: usize, columns: usize) -> Array2<f32> {
    Array2::from_shape_fn((rows, columns), |(i, j)| ((i * 7 + j * 5) % 19) as f32 / 9.0 - 0.9)
}

fn wide(examples: usize, threads: usize) -> Verification {
    let model = Wide::model().seed(3).threads(threads).build().unwrap();
    let x = values(examples, 13);
    let word = Array1::from_shape_fn(examples, |i| (i % 9) as u32);
    let digit = Array1::from_shape_fn(examples, |i| (i % 5) as u32);
    let batch = wide::Batch { x: x.view(), word: word.view(), digit: digit.view() };
    model.verify(batch).unwrap()
}

#[test]
fn a_network_of_many_layers_agrees() {
    for (examples, threads) in [(5, 1), (7, 2), (33, 1)] {
        let report = wide(examples, threads);
        assert!(report.is_ok(), "{report}");
        println!("{report}");
        let names: Vec<&str> = report.checks.iter().map(|check| check.name.as_str()).collect();
        let expected = [
            "predict rewritten",
            "predict by kernel",
            "predict as declared",
            "evaluate rewritten",
            "evaluate by kernel",
            "evaluate as declared",
            "gradients rewritten",
            "gradients by kernel",
            "gradients as declared",
            "derivatives",
        ];
        assert_eq!(names, expected);
        for check in report.checks.iter().filter(|check| !check.name.ends_with("as declared")) {
            assert!(check.elements() > 0, "{report}");
            assert!(check.undecided() * 10 < check.elements(), "{report}");
        }
        // Every kind of parameter has been compared with differences.
        let named = |name: &str| report.checks[9].values.iter().any(|v| v.name.contains(name));
        assert!(
            ["embedding1.weight", "batchnorm1d1.weight", "gradient of x"].map(named) == [true; 3],
            "{:?}",
            report.checks[9]
        );
    }
}

fn faulty(fault: Fault) -> Verification {
    let _guard = Guard::new(fault);
    let model = Faulty::model().seed(1).threads(1).build().unwrap();
    let (x, y) = (values(13, 11), values(13, 7));
    model.verify(faulty::Batch { x: x.view(), y: y.view() }).unwrap()
}

#[test]
fn injected_faults_are_found_with_their_layer() {
    let mut wrong = Vec::new();
    for (fault, layer, check) in [
        (Fault::TanhSign, "fc1", "derivatives"),
        (Fault::DivisionByPower, "q, after fc1(x)", "predict rewritten"),
        (Fault::ExpCoefficient, "after fc1(x)", "predict by kernel"),
        (Fault::TailMask, "mse_loss(p)", "evaluate by kernel"),
        (Fault::TileRow, "after fc1(x)", "predict by kernel"),
        (Fault::SkippedTerm, "after fc1(x)", "predict by kernel"),
    ] {
        let report = faulty(fault);
        println!("{fault:?}: {report}");
        let Some(first) = report.first() else {
            wrong.push(format!("{fault:?} was not found: {report}"));
            continue;
        };
        let is_named = first.layer.contains(layer) && first.check == check;
        let note = "the pass `simplify` has changed it; the numbers are those of output p";
        if !is_named || fault == Fault::DivisionByPower && first.note != note {
            wrong.push(format!("{fault:?}: {report}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The same without a fault.
    let model = Faulty::model().seed(1).threads(1).build().unwrap();
    let (x, y) = (values(13, 11), values(13, 7));
    let report = model.verify(faulty::Batch { x: x.view(), y: y.view() }).unwrap();
    assert!(report.is_ok(), "{report}");
}

#[test]
fn cached_code_is_verified() {
    let model = Faulty::model().seed(1).threads(1).build().unwrap();
    let (x, y) = (values(13, 11), values(13, 7));
    let batch = faulty::Batch { x: x.view(), y: y.view() };
    let guard = Guard::new(Fault::SkippedTerm);
    model.predict(faulty::Input { x: x.view() }).unwrap();
    drop(guard);
    // Only the code for predictions is wrong.
    let report = model.verify(batch).unwrap();
    let checks: Vec<&str> = report.disagreements().map(|d| d.check.as_str()).collect();
    assert!(!checks.is_empty() && checks.iter().all(|c| c.starts_with("predict")), "{report}");
}

#[test]
fn gradcheck_checks_custom_losses() {
    let model = Kink::model().build().unwrap();
    let x = array![[0.5, -0.5, 1.5], [1.0, 2.0, -1.0]];
    let y = array![[5.0], [4.0]];
    let batch = kink::Batch { x: x.view(), y: y.view() };
    let report = gradcheck(&model, batch, Gradcheck::new()).unwrap();
    assert!(report.is_ok(), "{report}");
    let [_, _, derivatives] = &report.checks[..] else { panic!("{report}") };
    assert_eq!((derivatives.elements(), derivatives.undecided()), (3, 0));
    // At the kink, the derivative is undecided, not wrong.
    let x = array![[0.0, -0.5, 1.5], [0.0, 2.0, -1.0]];
    let mut model = Kink::model().build().unwrap();
    model.params_mut().w[2] = 0.0;
    let report = gradcheck(&model, kink::Batch { x: x.view(), y: y.view() }, Gradcheck::new());
    let report = report.unwrap();
    assert!(report.is_ok(), "{report}");
    assert_eq!(report.checks[2].undecided(), 1, "{report}");
    for (options, name) in
        [(Gradcheck::new().samples(0), "samples"), (Gradcheck::new().tolerance(-1.0), "tolerance")]
    {
        let error = gradcheck(&model, batch, options).unwrap_err();
        assert!(error.to_string().starts_with(name), "{error}");
    }
    // A wrong derivative.
    let _guard = Guard::new(Fault::TanhSign);
    let model = Faulty::model().build().unwrap();
    let (x, y) = (values(4, 11), values(4, 7));
    let batch = faulty::Batch { x: x.view(), y: y.view() };
    let report = gradcheck(&model, batch, Gradcheck::new().samples(5).seed(9)).unwrap();
    let wrong: Vec<&str> = report.disagreements().map(|d| d.layer.as_str()).collect();
    assert_eq!(wrong, ["gradient of fc1.bias", "gradient of fc1.weight"], "{report}");
    assert_eq!(report.first().unwrap().elements, 5);
}

#[test]
fn steps_that_disagree_are_not_made() {
    let (x, y) = (values(6, 11), values(6, 7));
    let batch = faulty::Batch { x: x.view(), y: y.view() };
    let build = || Faulty::trainer(Adam::new(0.01)).seed(1).verify_every(2).build().unwrap();
    let mut trainer = build();
    let mut losses = Vec::new();
    for _ in 0..5 {
        losses.push(trainer.step(batch).unwrap());
    }
    // Verifying changes no bit.
    let mut plain = Faulty::trainer(Adam::new(0.01)).seed(1).build().unwrap();
    let expected: Vec<f32> = (0..5).map(|_| plain.step(batch).unwrap()).collect();
    assert_eq!(losses, expected);
    assert_eq!(trainer.model().params().fc1.weight, plain.model().params().fc1.weight);

    let guard = Guard::new(Fault::TanhSign);
    let mut trainer = build();
    let before = trainer.model().params().fc1.weight.to_owned();
    let error = trainer.step(batch).unwrap_err();
    let Error::Verification { report } = &error else { panic!("{error}") };
    assert!(report.first().unwrap().layer.contains("fc1"), "{error}");
    assert_eq!((trainer.steps(), &trainer.model().params().fc1.weight), (0, &before.view()));
    drop(guard);
    trainer.model_mut().empty_cache();
    assert_eq!(trainer.step(batch).unwrap(), losses[0]);
    trainer.set_verify_every(0);
    let _guard = Guard::new(Fault::TanhSign);
    trainer.step(batch).unwrap();
}

/// The loss is far smaller than its rounding error in f64, so that differences decide nothing.
#[test]
fn derivatives_of_a_loss_that_cancels_are_undecided() {
    let model = Cancelled::model().build().unwrap();
    let x = array![[[0.29], [-0.45], [0.3], [1.7]], [[0.11], [0.52], [-0.21], [0.64]]];
    let t = array![[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]];
    let report = model.verify(cancelled::Batch { x: x.view(), t: t.view() }).unwrap();
    assert!(report.is_ok(), "{report}");
    let derivatives = report.checks.last().unwrap();
    assert!(derivatives.undecided() > 0, "{report}");
}

#[test]
fn anomalies_are_named_with_layer_rows_and_step() {
    let (mut x, y) = (values(5, 4).mapv(|x| x + 1.5), values(5, 4));
    let build = |detects| {
        Logarithm::trainer(Sgd::new(0.1)).seed(1).detect_anomaly(detects).build().unwrap()
    };
    let mut trainer = build(true);
    trainer.step(logarithm::Batch { x: x.view(), y: y.view() }).unwrap();
    let before = trainer.model().params().fc.weight.to_owned();
    x[(3, 2)] = -1.0;
    x[(4, 0)] = -2.0;
    let batch = logarithm::Batch { x: x.view(), y: y.view() };
    let error = trainer.step(batch).unwrap_err();
    let Error::Anomaly { report } = &error else { panic!("{error}") };
    let origin = report.origin.as_ref().unwrap();
    assert_eq!((report.step, origin.layer.as_str()), (Some(2), "log(h)"), "{error}");
    assert_eq!((&origin.rows[..], origin.wrong_rows, origin.wrong), (&[3, 4][..], 2, 2));
    assert!(origin.value.is_nan() && origin.operands[0].least < 0.0, "{error}");
    assert_eq!((trainer.steps(), &trainer.model().params().fc.weight), (1, &before.view()));
    let model = trainer.model();
    for error in [
        model.predict(logarithm::Input { x: x.view() }).map(|_| ()).unwrap_err(),
        model.gradients(batch).map(|_| ()).unwrap_err(),
        model.evaluate_batch(batch).map(|_| ()).unwrap_err(),
    ] {
        assert!(error.to_string().contains("`log(h)`"), "{error}");
    }
    // Without detection, the loss is returned.
    let mut plain = build(false);
    assert!(plain.step(batch).unwrap().is_nan());
    plain.set_detect_anomaly(true);
    assert!(matches!(plain.step(batch), Err(Error::Anomaly { .. })));

    // An input and a parameter that are not finite themselves.
    x.fill(1.0);
    x[(1, 1)] = f32::NAN;
    let batch = logarithm::Batch { x: x.view(), y: y.view() };
    let error = trainer.step(batch).unwrap_err().to_string();
    assert!(error.contains("`x` itself is not finite"), "{error}");
    assert!(error.contains("1 row of the batch: 1"), "{error}");
    x.fill(1.0);
    trainer.model_mut().params_mut().w[2] = f32::INFINITY;
    let batch = logarithm::Batch { x: x.view(), y: y.view() };
    let error = trainer.step(batch).unwrap_err().to_string();
    assert!(error.contains("`w` itself is not finite"), "{error}");
}

#[test]
fn fit_ends_with_the_anomaly() {
    let mut x = values(12, 4).mapv(|x| x + 1.5);
    x[(7, 1)] = -1.0;
    let data = bilro::data::Dataset::new(x, values(12, 4)).unwrap();
    let mut trainer = Logarithm::trainer(Sgd::new(0.001)).detect_anomaly(true).build().unwrap();
    let fit = Fit::epochs(1).batch_size(3).shuffle(false);
    let error = trainer.fit(&data, fit).unwrap_err();
    let Error::Anomaly { report } = &error else { panic!("{error}") };
    assert_eq!(report.step, Some(3));
    assert_eq!(report.origin.as_ref().unwrap().rows, [1]);
}

#[test]
fn a_batch_of_total_weight_0_is_no_anomaly() {
    let mut trainer = Ignoring::trainer(Sgd::new(0.1)).detect_anomaly(true).build().unwrap();
    let (x, y, some) = (values(4, 3), Array1::<u32>::zeros(4), array![0u32, 1, 2, 3]);
    let batch = ignoring::Batch { x: x.view(), y: y.view() };
    assert!(trainer.step(batch).unwrap().is_nan());
    assert!(trainer.model().evaluate_batch(batch).unwrap().loss().is_nan());
    assert!(trainer.step(ignoring::Batch { x: x.view(), y: some.view() }).is_ok());
    let x = x.mapv(|_| f32::NAN);
    let batch = ignoring::Batch { x: x.view(), y: some.view() };
    assert!(matches!(trainer.step(batch), Err(Error::Anomaly { .. })));
}

/// Steps of every optimizer, with clipping and accumulation.
#[test]
fn steps_of_every_optimizer_are_verified() {
    let (x, y) = (values(6, 11), values(6, 7));
    let batch = faulty::Batch { x: x.view(), y: y.view() };
    let check = |builder: bilro::TrainerBuilder<Faulty>| {
        let mut trainer = builder.seed(1).verify_every(1).build().unwrap();
        for _ in 0..4 {
            trainer.step(batch).unwrap();
        }
    };
    check(Faulty::trainer(Sgd::new(0.1).momentum(0.9).nesterov()).clip_value(0.01));
    check(Faulty::trainer(Adam::new(0.01).weight_decay(0.1)).clip_norm(0.1));
    check(Faulty::trainer(AdamW::new(0.01)).accumulate(2));
    check(Faulty::trainer(RMSprop::new(0.01)).scale_learning_rate("fc1", 0.5));
    check(Faulty::trainer(Adagrad::new(0.01)).freeze("fc1.bias"));
    check(Faulty::trainer(Adadelta::new(1.0)));
    check(Faulty::trainer(NAdam::new(0.01)));
    check(Faulty::trainer(RAdam::new(0.01)));
    check(Faulty::trainer(Lion::new(0.001)));
}

#[test]
fn rounded_constants_are_no_disagreement() {
    let word = array![0u32];
    let report = Third::model().build().unwrap().verify(third::Batch { word: word.view() });
    let report = report.unwrap();
    assert!(report.is_ok(), "{report}");
}
