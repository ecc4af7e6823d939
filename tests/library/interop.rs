//! Files of weights from bilro to PyTorch and back: the same names, layout and
//! outputs.
//!
//! PyTorch's side is `interop/interop.py`, run by the Python that
//! `BILRO_PYTHON` names, or `python3`; for NumPy's files,
//! `interop/numpy_files.py`. Without torch and safetensors, or numpy, the test
//! prints that it is skipped; with `BILRO_REQUIRE_PYTHON` set, it fails.
//! `saving.rs` has the tests without PyTorch.

use std::path::Path;
use std::process::Command;

use bilro::io;
use bilro::ndarray::{Array2, ArrayD, ArrayView2, Ix0, Ix1, Ix2, array};
use bilro::prelude::*;

network! {
    struct Digits {
        input x: [784];
        target digit: class(10);
        layer fc1 = Linear(784, 128);
        layer fc2 = Linear(128, 64);
        layer fc3 = Linear(64, 10);
        output y = fc3(relu(fc2(relu(fc1(x)))));
        loss cross_entropy(y, digit);
    }
}

network! {
    struct Mixed {
        input x: [6];
        target t: [3];
        param w: [6, 6] = normal(0.0, 1.0);
        layer mix = Linear(6, bias = false);
        output y = mix(x.matmul(w)) -> Linear(5) -> Tanh -> Linear(3) -> Softmax;
        loss mse_loss(y, t);
    }
}

network! {
    struct Net {
        input x: [4096];
        target digit: class(10);
        layer fc1 = Linear(120);
        layer fc2 = Linear(10);
        output y = fc2(relu(fc1(x)));
        loss cross_entropy(y, digit);
    }
}

network! {
    /// With running statistics, which are saved but not trained.
    struct Words {
        input words: index(20)[4];
        target t: [3];
        layer emb = Embedding(20, 6);
        layer flat = Flatten;
        layer batch_norm = BatchNorm1d(24, momentum = 0.3);
        layer fc1 = Linear(24, 8);
        layer layer_norm = LayerNorm(8);
        layer fc2 = Linear(8, 3);
        output y = words -> emb -> flat -> batch_norm -> fc1 -> layer_norm -> ReLU -> fc2;
        loss mse_loss(y, t);
    }
}

/// Relative to the largest output.
const TOLERANCE: f32 = 1e-6;

/// A network on both sides: its name in the script, a model, and its outputs
/// for some inputs.
struct Side<N> {
    name: &'static str,
    model: Model<N>,
    outputs: fn(&Model<N>, ArrayView2<'_, f32>) -> Array2<f32>,
    x: Array2<f32>,
}

impl<N: Network> Side<N> {
    fn new(
        name: &'static str,
        features: usize,
        outputs: fn(&Model<N>, ArrayView2<'_, f32>) -> Array2<f32>,
    ) -> Side<N> {
        // Between 0 and 1, like pixels, with all rows different.
        let x = numbers(features, 256).mapv(|x| x / 255.0);
        Side { name, model: N::model().seed(5).build().unwrap(), outputs, x }
    }

    fn write(&self, folder: &Path) {
        self.model.save(folder.join(format!("{}.safetensors", self.name))).unwrap();
        let inputs = folder.join(format!("{}.inputs.safetensors", self.name));
        io::save_tensors(inputs, [("x", self.x.view())]).unwrap();
    }

    /// The largest difference from the script's outputs, relative to the
    /// largest output: with bilro's weights, and with PyTorch's.
    fn difference(&self, folder: &Path, backend: Backend, precision: &str) -> f32 {
        let file = |end: &str| folder.join(format!("{}{end}.safetensors", self.name));
        let expected = io::load_tensors(file(".outputs")).unwrap();
        let outputs = [("ours", ""), ("theirs", ".torch")].map(|(whose, weights)| {
            let mut model = N::model().weights(file(weights)).backend(backend).build().unwrap();
            let found = (self.outputs)(&mut model, self.x.view());
            (difference(&found, &expected[&format!("{whose}{precision}")]), found)
        });
        let [(ours, found), (theirs, _)] = outputs;
        // The two sets of weights must differ.
        let other = difference(&found, &expected[&format!("theirs{precision}")]);
        assert!(other > 0.01, "{}: {other:e}", self.name);
        // Not `max`, which ignores NaN.
        if ours > theirs || ours.is_nan() { ours } else { theirs }
    }

    /// Compares with the script's files.
    fn compare(mut self, folder: &Path) {
        let file = |end: &str| folder.join(format!("{}.{end}", self.name));
        let weights = |model: &Model<N>| -> Vec<(String, ArrayD<f32>)> {
            model.state_dict().map(|(name, w)| (name.to_string(), w.to_owned())).collect()
        };
        // PyTorch's integer counters of batches are only in the first.
        self.model.load(file("torch.safetensors")).unwrap();
        let before = weights(&self.model);
        assert_eq!(
            io::load_tensors(file("f32.safetensors")).unwrap(),
            before.into_iter().collect()
        );
        for (other, same) in [
            ("f64.safetensors", "torch.safetensors"),
            ("f16.safetensors", "f16.rounded.safetensors"),
            ("bf16.safetensors", "bf16.rounded.safetensors"),
        ] {
            self.model.load(file(other)).unwrap();
            let converted = weights(&self.model);
            self.model.load(file(same)).unwrap();
            assert_eq!(converted, weights(&self.model), "{} from {other}", self.name);
        }

        let printed = std::fs::read_to_string(file("txt")).unwrap();
        assert_eq!(format!("{}\n", self.model), printed);
    }
}

/// Integers below `bound` for 33 examples.
fn numbers(features: usize, bound: usize) -> Array2<f32> {
    let number = |(i, j)| ((i * 131 + j * 17 + i * j) % bound) as f32;
    Array2::from_shape_fn((33, features), number)
}

/// A trained model, whose running statistics are no longer 0 and 1.
fn words() -> Side<Words> {
    let x = numbers(4, 20);
    let indices = x.mapv(|word| word as u32);
    let t = Array2::from_shape_fn((33, 3), |(i, j)| ((i + 2 * j) % 5) as f32 - 2.0);
    let mut trainer = Words::trainer(Sgd::new(0.1)).seed(5).build().unwrap();
    for _ in 0..5 {
        trainer.step(words::Batch { words: indices.view(), t: t.view() }).unwrap();
    }
    let model = trainer.into_model();
    let norm = model.params().batch_norm;
    assert!(norm.running_mean.iter().all(|mean| *mean != 0.0));
    assert!(norm.running_var.iter().all(|var| (var - 1.0).abs() > 1e-3));
    let outputs = |model: &Model<Words>, x: ArrayView2<'_, f32>| {
        let indices = x.mapv(|word| word as u32);
        model.predict(words::Input { words: indices.view() }).unwrap().y
    };
    Side { name: "words", model, outputs, x }
}

fn difference(found: &Array2<f32>, expected: &ArrayD<f32>) -> f32 {
    let expected = expected.view().into_dimensionality::<Ix2>().unwrap();
    assert_eq!(found.dim(), expected.dim());
    let largest = expected.iter().fold(0.0f32, |m, x| m.max(x.abs()));
    let pairs = found.iter().zip(expected);
    // Not `max`, which ignores NaN.
    let differences = pairs.map(|(a, b)| (a - b).abs() / largest);
    differences.fold(0.0, |m, d| if d > m || d.is_nan() { d } else { m })
}

/// The Python interpreter, if it has the modules of the script.
fn python(modules: &str) -> Option<String> {
    let python = std::env::var("BILRO_PYTHON").unwrap_or_else(|_| "python3".into());
    let found = Command::new(&python).args(["-c", &format!("import {modules}")]).output();
    let reason = match found {
        Ok(output) if output.status.success() => return Some(python),
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            text.trim().lines().last().unwrap_or("it fails").to_string()
        }
        Err(e) => e.to_string(),
    };
    let message = format!(
        "skipped: `{python}` cannot import {modules} ({reason}); BILRO_PYTHON names another Python"
    );
    assert!(std::env::var_os("BILRO_REQUIRE_PYTHON").is_none(), "{message}");
    println!("{message}");
    None
}

#[test]
fn weights_go_to_pytorch_and_back() {
    let Some(python) = python("torch, safetensors.torch") else { return };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let digits = Side::<Digits>::new("digits", 784, |model, x| {
        model.predict(digits::Input { x }).unwrap().y
    });
    let mixed =
        Side::<Mixed>::new("mixed", 6, |model, x| model.predict(mixed::Input { x }).unwrap().y);
    let net = Side::<Net>::new("net", 4096, |model, x| model.predict(net::Input { x }).unwrap().y);
    let words = words();
    digits.write(folder);
    let names = io::rename_layers([("fc1", "body.0"), ("fc2", "body.2"), ("fc3", "body.4")]);
    digits.model.save_renamed(folder.join("body.safetensors"), names).unwrap();
    mixed.write(folder);
    net.write(folder);
    words.write(folder);

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/interop.py");
    let output = Command::new(python).arg(script).arg(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    // `nn.Sequential` of the same modules.
    let mut sequential = Digits::model().build().unwrap();
    let names = io::rename_layers([("0", "fc1"), ("2", "fc2"), ("4", "fc3")]);
    sequential.load_renamed(folder.join("sequential.safetensors"), names).unwrap();
    let named = Digits::model().weights(folder.join("digits.torch.safetensors")).build().unwrap();
    assert!(sequential.state_dict().eq(named.state_dict()));

    println!("{}", std::fs::read_to_string(folder.join("versions.txt")).unwrap());
    let check = |name: &str, what: &str, difference: f32| {
        println!("{name} in {what}: {difference:e}");
        assert!(difference <= TOLERANCE, "{name} in {what}: {difference:e}");
    };
    println!("largest differences, of the largest output:");
    check("digits", "f64", digits.difference(folder, Backend::Interpreter, ".f64"));
    check("mixed", "f64", mixed.difference(folder, Backend::Interpreter, ".f64"));
    check("net", "f64", net.difference(folder, Backend::Interpreter, ".f64"));
    check("words", "f64", words.difference(folder, Backend::Interpreter, ".f64"));
    check("digits", "f32", digits.difference(folder, Backend::Jit, ""));
    check("mixed", "f32", mixed.difference(folder, Backend::Jit, ""));
    check("words", "f32", words.difference(folder, Backend::Jit, ""));
    // Recorded only: the two sides add up 4096 terms in different orders, so
    // rounding differs more. In f64, above, it does not.
    println!("net in f32: {:e}", net.difference(folder, Backend::Jit, ""));
    digits.compare(folder);
    mixed.compare(folder);
    net.compare(folder);
    words.compare(folder);
}

#[test]
fn numpys_files_are_read_and_written() {
    let Some(python) = python("numpy") else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let x = Array2::from_shape_fn((2, 3), |(i, j)| (3 * i + j) as f32);
    io::write_npz(file("bilro.npz"), &[("x", &x), ("y", &array![3u32, 4])]).unwrap();
    io::write_npy(file("bilro.npy"), &x.t()).unwrap();

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/numpy_files.py");
    let output = Command::new(python).arg(script).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let whole = x.mapv(|x| x as u32);
    let mut types = 0;
    for name in io::npz_names(file("plain.npz")).unwrap() {
        let Some((ty, _)) = name.split_once('.') else { continue };
        types += 1;
        assert_eq!(io::read_npy::<f32, Ix2>(file(&format!("{name}.npy"))).unwrap(), x, "{name}");
        for archive in ["plain.npz", "packed.npz"] {
            assert_eq!(io::read_npz::<f32, Ix2>(file(archive), &name).unwrap(), x, "{name}");
            let labels = io::read_npz::<u32, Ix2>(file(archive), &name);
            match ty.contains("float") || ty == "big-f8" {
                true => assert!(labels.unwrap_err().to_string().contains("x.astype(\"uint32\")")),
                false => assert_eq!(labels.unwrap(), whole, "{name}"),
            }
        }
    }
    assert_eq!(types, 26);
    for archive in ["plain.npz", "packed.npz"].map(file) {
        assert_eq!(io::read_npz::<bool, Ix1>(&archive, "bool").unwrap(), array![true, false]);
        assert_eq!(io::read_npz::<f32, Ix0>(&archive, "scalar").unwrap().into_scalar(), 0.1);
        assert_eq!(io::read_npz::<f32, Ix2>(&archive, "none").unwrap().dim(), (2, 0));
    }
}
