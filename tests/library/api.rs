//! The library's interface: declared networks, trained, evaluated, inspected;
//! and errors for mismatched arguments.

#[path = "api/dynamic.rs"]
mod dynamic;
#[path = "api/shared.rs"]
mod shared;

use bilro::ndarray::{Array1, Array2, s};
use bilro::prelude::*;
use bilro::{Error, data};

network! {
    /// Handwritten digits.
    struct Digits {
        input image: [64];
        target digit: class(10);
        layer fc1 = Linear(64, 128);
        layer fc2 = Linear(64);
        layer fc3 = Linear(10);
        let hidden = relu(fc2(relu(fc1(image))));
        output logits = fc3(hidden);
        loss cross_entropy(logits, digit);
    }
}

network! {
    /// From scratch.
    struct Perceptron {
        input point: [2];
        target label: [1];
        param w: [2, 1] = normal(0.0, 0.7);
        param b: [1] = zeros;
        output p = sigmoid(point.matmul(w) + b);
        loss -(label * log(p) + (1.0 - label) * log(1.0 - p));
    }
}

network! {
    /// A size chosen by the user.
    struct Mlp<const HIDDEN: usize> {
        input x: [3];
        target y: [2];
        output out = x -> Linear(HIDDEN) -> Tanh -> Linear(2);
        loss mse_loss(out, y);
    }
}

network! {
    /// Three classes, of which one is padding.
    struct Padded {
        input x: [3];
        target y: class(3);
        param b: [3] = zeros;
        output logits = x + b;
        loss cross_entropy(logits, y, weight = [1, 3, 2], ignore_index = 1);
    }
}

fn trainer(backend: Backend, threads: usize) -> Trainer<Digits> {
    let builder = Digits::trainer(Sgd::new(0.1)).seed(3).backend(backend).threads(threads);
    builder.build().unwrap()
}

#[test]
fn digits_are_learned_and_recorded_in_the_history() {
    let (train, test) = data::digits().unwrap().split(0.8, 7).unwrap();
    let mut trainer = trainer(Backend::Jit, 1);
    let fit = Fit::epochs(12).batch_size(32).validate(&test);
    let history = trainer.fit(&train, fit).unwrap();
    assert_eq!(history.epochs.len(), 12);
    assert_eq!(history.losses.len(), 12 * train.len().div_ceil(32));
    assert!(history.epochs[11].loss < history.epochs[0].loss / 4.0);
    let validation = history.epochs[11].validation.as_ref().unwrap();
    let model = trainer.into_model();
    let evaluation = model.evaluate(&test).unwrap();
    assert_eq!(evaluation.metric("accuracy"), Some(evaluation.accuracy()));
    assert_eq!(validation.metrics, evaluation.metrics());
    assert!(evaluation.accuracy() > 0.9, "{}", evaluation.accuracy());

    // The accuracy is that of the predictions.
    let logits = model.predict(digits::Input { image: test.x() }).unwrap().logits;
    let hits = logits.outer_iter().zip(test.y()).filter(|(row, digit)| {
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        row[**digit as usize] == largest
    });
    let share = hits.count() as f64 / test.len() as f64;
    assert!((share - evaluation.accuracy()).abs() < 1e-6);
}

#[test]
fn any_number_of_threads_has_the_same_bits() {
    let data = data::digits().unwrap();
    let run = |threads| {
        let mut trainer = trainer(Backend::Jit, threads);
        // Large enough for shared kernels.
        for batch in data.batches(700).unwrap() {
            for _ in 0..10 {
                trainer.step(digits::Batch { image: batch.x(), digit: batch.y() }).unwrap();
            }
        }
        let model = trainer.into_model();
        let parameters = model.named_parameters();
        parameters.flat_map(|(_, p)| p.iter().map(|x| x.to_bits()).collect::<Vec<_>>()).collect()
    };
    let reference: Vec<u32> = run(1);
    for threads in [2, 3, 7] {
        assert_eq!(run(threads), reference, "{threads} threads");
    }
}

#[test]
fn models_train_on_many_threads_at_once() {
    // Batches large enough for shared kernels; enough steps to try both ways,
    // shared and not.
    let data = data::digits().unwrap().rows(0..600).unwrap();
    let run = |threads| {
        let mut trainer = trainer(Backend::Jit, threads);
        let losses = (0..100).map(|_| {
            trainer.step(digits::Batch { image: data.x(), digit: data.y() }).unwrap().to_bits()
        });
        let mut bits: Vec<u32> = losses.collect();
        let logits = trainer.model().predict(digits::Input { image: data.x() }).unwrap().logits;
        bits.extend(logits.iter().map(|x| x.to_bits()));
        bits
    };
    let reference = run(1);
    std::thread::scope(|scope| {
        let threads = [2, 3, 7, 2, 3, 7, 2, 1];
        let handles = threads.map(|threads| scope.spawn(move || run(threads)));
        for (handle, threads) in handles.into_iter().zip(threads) {
            assert_eq!(handle.join().unwrap(), reference, "{threads} threads");
        }
    });
}

#[test]
fn gradients_change_nothing_and_equal_those_of_the_step() {
    let data = data::digits().unwrap();
    let batch = || digits::Batch { image: data.x(), digit: data.y() };
    let mut trainer = trainer(Backend::Jit, 1);
    let before = trainer.model().params().fc1.weight.to_owned();
    let gradients = trainer.model().gradients(batch()).unwrap();
    assert_eq!(trainer.model().params().fc1.weight, before);
    assert_eq!(gradients.fc1.weight.dim(), (64, 128));
    let loss = trainer.step(batch()).unwrap();
    assert_eq!(loss, gradients.loss);
    let after = trainer.model().params().fc1.weight.to_owned();
    let expected = &before - &(&gradients.fc1.weight * 0.1);
    assert!((&after - &expected).iter().all(|x| x.abs() <= 1e-7));
}

#[test]
fn means_are_weighted_by_their_targets() {
    for backend in [Backend::Jit, Backend::Interpreter, Backend::InterpreterF32] {
        let trainer = Padded::trainer(Sgd::new(0.1)).backend(backend).build().unwrap();
        let model = trainer.model();
        let x = Array2::zeros((4, 3));
        let gradients = |y: [u32; 4]| {
            let y = Array1::from(y.to_vec());
            let gradients = model.gradients(padded::Batch { x: x.view(), y: y.view() }).unwrap();
            (gradients.loss, gradients.b.to_vec())
        };
        // Each loss is ln 3 times a weight, which cancels in the mean.
        let (loss, gradient) = gradients([0, 2, 2, 1]);
        assert!((loss - 3f32.ln()).abs() < 1e-6, "{backend:?}: {loss}");
        // Σ w·(1/3 - hit) / Σ w
        let expected = [1.0 / 3.0 - 0.2, 1.0 / 3.0, 1.0 / 3.0 - 0.8];
        for (found, expected) in gradient.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{backend:?}: {gradient:?}");
        }
        let (loss, gradient) = gradients([1; 4]);
        assert!(loss.is_nan() && gradient == [0.0; 3], "{backend:?}: {loss}, {gradient:?}");

        // Of the three targets that count, the first is predicted correctly.
        let y = Array1::from(vec![0, 2, 2, 1]);
        let data = data::Dataset::new(x.clone(), y).unwrap();
        let evaluation = trainer.model().evaluate(&data).unwrap();
        assert!((evaluation.accuracy() - 1.0 / 3.0).abs() < 1e-6, "{}", evaluation.accuracy());
    }
}

#[test]
fn both_backends_serve_the_same_calls() {
    let data = data::digits().unwrap().rows(0..50).unwrap();
    let results = [Backend::Jit, Backend::Interpreter, Backend::InterpreterF32].map(|backend| {
        let mut trainer = trainer(backend, 1);
        let batch = || digits::Batch { image: data.x(), digit: data.y() };
        let loss = trainer.step(batch()).unwrap();
        let model = trainer.model();
        let gradients = model.gradients(batch()).unwrap();
        let evaluation = model.evaluate(&data).unwrap();
        let logits = model.predict(digits::Input { image: data.x() }).unwrap().logits;
        (loss, gradients.fc2.bias.clone(), evaluation.loss(), evaluation.accuracy(), logits)
    });
    let (loss, gradient, evaluated, accuracy, logits) = &results[1];
    for (other, other_gradient, other_evaluated, other_accuracy, other_logits) in &results {
        assert!((loss - other).abs() < 1e-5);
        assert!((gradient - other_gradient).iter().all(|x| x.abs() < 1e-5));
        assert!((evaluated - other_evaluated).abs() < 1e-5);
        assert_eq!(accuracy, other_accuracy);
        assert!((logits - other_logits).iter().all(|x| x.abs() < 1e-5));
    }
}

/// Arrays of any layout are accepted.
#[test]
fn views_that_are_not_row_major_are_read_correctly() {
    let data = data::digits().unwrap().rows(0..40).unwrap();
    let model = Digits::model().seed(3).build().unwrap();
    let transposed = data.x().t().as_standard_layout().into_owned();
    let reversed = data.x().slice(s![..;-1, ..]).as_standard_layout().into_owned();
    let expected = model.predict(digits::Input { image: data.x() }).unwrap().logits;
    for view in [transposed.t(), reversed.slice(s![..;-1, ..])] {
        let found = model.predict(digits::Input { image: view }).unwrap().logits;
        assert_eq!(found, expected);
    }
}

#[test]
fn mismatched_arrays_are_named_and_change_nothing() {
    for backend in [Backend::Jit, Backend::Interpreter] {
        let mut trainer = trainer(backend, 1);
        let before = trainer.model().params().fc3.bias.to_owned();
        let image = Array2::<f32>::zeros((3, 64));
        let digit = Array1::from(vec![1, 2, 10]);
        let mut step = |image: &Array2<f32>, digit: &Array1<u32>| {
            let batch = digits::Batch { image: image.view(), digit: digit.view() };
            trainer.step(batch).unwrap_err().to_string()
        };
        assert_eq!(
            step(&image, &digit),
            "`digit` has index 10 at row 2, but its indices are below 10, since they count from 0: \
             where yours begin at 1, take 1 from all of them (labels of a data set: \
             `data.map_y(|y| y - 1)?`)"
        );
        assert_eq!(
            step(&image, &Array1::zeros(2)),
            "`digit` has 2 examples, but `image` has 3: \
             every input of a batch needs the same number"
        );
        assert_eq!(
            step(&Array2::zeros((3, 63)), &Array1::zeros(3)),
            "`image` takes examples of shape [64], but was given [63]"
        );
        assert_eq!(
            step(&Array2::zeros((0, 64)), &Array1::zeros(0)),
            "the batch has no examples; at least one is needed"
        );
        assert_eq!(trainer.steps(), 0);
        assert_eq!(trainer.model().params().fc3.bias, before);

        let error = trainer.set_learning_rate(f32::NAN).unwrap_err().to_string();
        assert_eq!(error, "learning rate must be a finite number that is not negative, but is NaN");
        assert_eq!(trainer.learning_rate(), 0.1);
    }
    assert!(Digits::trainer(Sgd::new(f32::INFINITY)).build().is_err());
    assert!(Digits::trainer(Sgd::new(0.1)).threads(0).build().is_err());
}

#[test]
fn a_non_finite_loss_ends_fit() {
    let data = data::digits().unwrap();
    let mut trainer = Digits::trainer(Sgd::new(1e30)).seed(1).build().unwrap();
    match trainer.fit(&data, Fit::epochs(1)).unwrap_err() {
        Error::NonFiniteLoss { step, loss } => {
            // The step was not made.
            assert_eq!(step, trainer.steps() + 1);
            assert!(!loss.is_finite());
        }
        other => panic!("{other}"),
    }
    assert!(trainer.fit(&data, Fit::epochs(1).batch_size(0)).is_err());
    assert!(trainer.fit(&data, Fit::epochs(0)).is_err());
}

#[test]
fn a_perceptron_from_scratch_learns_to_separate_classes() {
    let mut trainer = Perceptron::trainer(Sgd::new(0.5)).seed(2).build().unwrap();
    let point = ndarray::arr2(&[[0.0, 0.1], [0.2, 0.9], [0.9, 0.2], [1.0, 1.0f32]]);
    let label = ndarray::arr2(&[[0.0], [0.0], [1.0], [1.0f32]]);
    let mut step = || {
        let batch = perceptron::Batch { point: point.view(), label: label.view() };
        trainer.step(batch).unwrap()
    };
    let first = step();
    let last = (0..300).map(|_| step()).last().unwrap();
    assert!(last < first / 5.0, "{first} {last}");
    let model = trainer.into_model();
    assert_eq!(model.params().w.dim(), (2, 1));
    let p = model.predict(perceptron::Input { point: point.view() }).unwrap().p;
    assert!(p[[0, 0]] < 0.5 && p[[3, 0]] > 0.5);
}

#[test]
fn sizes_may_be_parameters_of_the_type() {
    fn hidden<const N: usize>() -> usize {
        Mlp::<N>::model().build().unwrap().params().linear1.weight.dim().1
    }
    assert_eq!((hidden::<5>(), hidden::<17>()), (5, 17));
}

#[test]
fn parameters_are_found_and_set_by_name() {
    let mut model = Digits::model().build().unwrap();
    let names: Vec<_> = model.named_parameters().map(|(name, _)| name.to_string()).collect();
    let expected = ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias", "fc3.weight", "fc3.bias"];
    assert_eq!(names, expected);
    let bias = Array1::from_elem(10, 0.5).into_dyn();
    model.set_parameter("fc3.bias", bias.view()).unwrap();
    assert_eq!(model.params().fc3.bias.into_dyn(), bias);
    let error = model.set_parameter("fc4.bias", bias.view()).unwrap_err().to_string();
    let near = "there is no parameter `fc4.bias`; did you mean `fc1.bias`? There are fc1.weight, ";
    assert!(error.starts_with(near), "{error}");
    assert!(model.set_parameter("fc2.bias", bias.view()).is_err());
    for (i, (name, mut values)) in model.named_parameters_mut().enumerate() {
        assert_eq!(name, expected[i]);
        values.fill(i as f32);
    }
    for (i, (name, values)) in model.named_parameters().enumerate() {
        assert!(values.iter().all(|x| *x == i as f32), "{name}");
    }
    assert_eq!(model.params().fc2.weight[[127, 63]], 2.0);
}

#[test]
fn the_summary_is_a_table() {
    insta::assert_snapshot!(Digits::model().build().unwrap().summary(), @r"
    Digits
    layer  kind             input  output  parameters  multiply-adds
    -----  ---------------  -----  ------  ----------  -------------
    fc1    Linear(64, 128)  [64]   [128]        8,320          8,192
    fc2    Linear(128, 64)  [128]  [64]         8,256          8,192
    fc3    Linear(64, 10)   [64]   [10]           650            640
    17,226 parameters, 17,024 multiply-adds for one example forward
    ");
    insta::assert_snapshot!(Perceptron::model().build().unwrap().summary(), @r"
    Perceptron
    layer  kind   input  output  parameters  multiply-adds
    -----  -----  -----  ------  ----------  -------------
    w      param         [2, 1]           2
    b      param         [1]              1
    3 parameters, 2 multiply-adds for one example forward
    ");
}

network! {
    /// With running statistics, which optimizers do not change.
    struct Normalized {
        input x: [4];
        target y: class(3);
        output scores = x -> BatchNorm1d -> Linear(3);
        loss cross_entropy(scores, y);
    }
}

#[test]
fn running_statistics_are_not_parameters_of_the_summary() {
    let summary = Normalized::model().build().unwrap().summary();
    // A weight and a bias for each of 4 features, 4·3 weights and 3 biases.
    assert!(summary.contains("\n23 parameters, "), "{summary}");
    let line = summary.lines().find(|line| line.starts_with("batchnorm1d1")).unwrap();
    assert_eq!(line.split_whitespace().rev().nth(1), Some("8"), "{summary}");
}

network! {
    /// Images of 64×64 pixels.
    struct Net {
        input image: [4096];
        target digit: class(10);
        layer fc1 = Linear(4096, 120);
        layer fc2 = Linear(10);
        output logits = fc2(relu(fc1(image)));
        loss cross_entropy(logits, digit);
    }
}

network! {
    /// Every layer.
    struct Layers {
        input x: [4, 6];
        target y: [4, 3];
        layer act = ReLU;
        layer last = Linear(3, bias = false);
        param w: [3] = ones;
        let a = act(x -> Linear(5) -> Tanh -> Softmax(axis = 0));
        output p = (last(a) * w) -> Sigmoid -> Softmax -> LogSoftmax(-1);
        loss mse_loss(p, y);
    }
}

/// As PyTorch 2.15 prints the same modules; `Layers` in declaration order.
#[test]
fn a_model_prints_as_a_module_of_pytorch() {
    let net = Net::model().build().unwrap();
    insta::assert_snapshot!(net, @r"
    Net(
      (fc1): Linear(in_features=4096, out_features=120, bias=True)
      (fc2): Linear(in_features=120, out_features=10, bias=True)
    )
    ");
    insta::assert_snapshot!(Layers::model().build().unwrap(), @r"
    Layers(
      (act): ReLU()
      (last): Linear(in_features=5, out_features=3, bias=False)
      (linear1): Linear(in_features=6, out_features=5, bias=True)
      (tanh1): Tanh()
      (softmax1): Softmax(dim=1)
      (sigmoid1): Sigmoid()
      (softmax2): Softmax(dim=-1)
      (logsoftmax1): LogSoftmax(dim=-1)
    )
    ");
    // Its only parameter is in no layer.
    assert_eq!(Perceptron::model().build().unwrap().to_string(), "Perceptron()");

    // Number of parameters, and the first one's size in PyTorch.
    let parameters = net.named_parameters();
    assert_eq!(parameters.len(), 4);
    let (name, weight) = parameters.into_iter().next().unwrap();
    assert_eq!(
        (name, weight.shape(), weight.t().shape()),
        ("fc1.weight", &[4096, 120][..], &[120, 4096][..])
    );
    let (name, weight) = net.state_dict().next().unwrap();
    assert_eq!((name, weight.shape()), ("fc1.weight", &[120, 4096][..]));
}

/// Runs itself with `BILRO_DUMP` set, since the environment belongs to the
/// process.
#[test]
fn stages_are_dumped_where_asked() {
    let folder = std::env::temp_dir().join(format!("bilro-dump-{}", std::process::id()));
    let run = |dump: &str| {
        std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "api::gradients_change_nothing_and_equal_those_of_the_step"])
            .env("BILRO_DUMP", dump)
            .env("BILRO_DUMP_DIR", &folder)
            // Cranelift's input and output, for all kernels.
            .env("BILRO_ISA", "clif")
            .output()
            .unwrap()
    };
    assert!(run("graph,kernels,programs,clif,asm,dot").status.success());
    for (stage, thread) in [
        ("graph", "cross_entropy("),
        ("kernels", "product [] × 1797 × 128 over [64]"),
        ("programs", "MulAdd"),
        ("clif", "fma"),
        ("asm", "vfmadd"),
        ("dot", "digraph"),
    ] {
        let path = folder.join(format!("Digits-step-1797.{stage}"));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(thread), "{stage}: {text}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
    let output = run("grahp");
    assert!(!output.status.success());
    let text = format!("{output:?}");
    assert!(text.contains("BILRO_DUMP") && text.contains("grahp"), "{text}");
}
