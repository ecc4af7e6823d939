//! Sanitised models: the same bits as without checks; a fault of the compiler is an error with the
//! kernel and the place, and the call has changed nothing.

use bilro::engine::Engine;
use bilro::ndarray::{Array1, Array2};
use bilro::prelude::*;
use bilro::{AccessFault, Backend, Error, Network};
use bilro_compiler::faults::{Fault, Guard};
use bilro_compiler::purpose::Purpose;

network! {
    /// Dropout, running means, and a table.
    pub struct Mixed {
        input x: [13] grad;
        input word: index(9);
        target digit: class(5);
        let h = x -> Linear(21) -> BatchNorm1d -> tanh -> Dropout(0.25) -> Linear(6);
        let e = word -> Embedding(9, 6);
        output logits = (h + e) -> LayerNorm -> Linear(5);
        loss cross_entropy(logits, digit, label_smoothing = 0.1);
        metric top_k_accuracy(logits, digit, k = 2);
    }
}

/// Arrays of a batch.
struct Arrays {
    x: Array2<f32>,
    word: Array1<u32>,
    digit: Array1<u32>,
}

impl Arrays {
    fn new(examples: usize) -> Arrays {
        let x = |(i, j): (usize, usize)| ((31 * i + 17 * j) % 23) as f32 / 9.0 - 1.2;
        Arrays {
            x: Array2::from_shape_fn((examples, 13), x),
            word: Array1::from_shape_fn(examples, |i| (5 * i % 9) as u32),
            digit: Array1::from_shape_fn(examples, |i| (3 * i % 5) as u32),
        }
    }

    fn batch(&self) -> mixed::Batch<'_> {
        mixed::Batch { x: self.x.view(), word: self.word.view(), digit: self.digit.view() }
    }

    fn input(&self) -> mixed::Input<'_> {
        mixed::Input { x: self.x.view(), word: self.word.view() }
    }
}

/// The bits of all parameters.
fn bits(model: &Model<Mixed>) -> Vec<u32> {
    model
        .state_dict()
        .flat_map(|(_, x)| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>())
        .collect()
}

#[test]
fn sanitised_training_has_the_same_bits() {
    let train = |sanitizes: bool, threads: usize| {
        let training = Adam::new(0.01);
        let builder = Mixed::trainer(training).seed(3).threads(threads).clip_norm(0.5);
        let mut trainer = builder.accumulate(2).sanitize(sanitizes).build().unwrap();
        let mut numbers = Vec::new();
        for step in 0..6 {
            let arrays = Arrays::new([16, 7, 16][step % 3]);
            numbers.push(trainer.step(arrays.batch()).unwrap().to_bits());
        }
        let arrays = Arrays::new(11);
        let scores = trainer.model().predict(arrays.input()).unwrap().logits;
        numbers.extend(scores.iter().map(|x| x.to_bits()));
        let gradients = trainer.model().gradients(arrays.batch()).unwrap();
        numbers.extend(gradients.x.iter().map(|x| x.to_bits()));
        numbers.extend(bits(trainer.model()));
        numbers
    };
    let plain = train(false, 1);
    assert!(train(true, 1) == plain && train(true, 2) == plain);
}

#[test]
fn a_fault_is_an_error_and_changes_nothing() {
    let arrays = Arrays::new(12);
    let mut trainer = Mixed::trainer(Sgd::new(0.1)).seed(3).sanitize(true).build().unwrap();
    trainer.step(arrays.batch()).unwrap();
    let before = bits(trainer.model());
    let other = Arrays::new(10);
    let guard = Guard::new(Fault::PointerStride);
    let errors = [
        trainer.step(other.batch()).map(|_| ()).unwrap_err(),
        trainer.model().predict(other.input()).map(|_| ()).unwrap_err(),
        trainer.model().gradients(other.batch()).map(|_| ()).unwrap_err(),
    ];
    drop(guard);
    for (error, call) in errors.iter().zip(["step", "predict", "gradients"]) {
        let Error::Sanitizer { purpose, examples, access } = error else { panic!("{error}") };
        assert_eq!((*purpose, *examples), (call, 10));
        assert!(!access.instruction.is_empty() && !access.name.is_empty(), "{error}");
        assert!(matches!(access.cause, AccessFault::OutOfBounds), "{error}");
        let text = error.to_string();
        assert!(text.starts_with(&format!("{call} on 10 examples: kernel ")), "{text}");
    }
    assert!(bits(trainer.model()) == before);
    // The code of other batch sizes is sound.
    trainer.step(arrays.batch()).unwrap();
    assert!(bits(trainer.model()) != before);
}

#[test]
fn a_sanitised_model_is_shared_cloned_and_verified() {
    let model = Mixed::model().seed(1).sanitize(true).build().unwrap();
    let plain = Mixed::model().seed(1).sanitize(false).build().unwrap();
    let arrays = Arrays::new(9);
    let expected = plain.predict(arrays.input()).unwrap().logits;
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| assert_eq!(model.predict(arrays.input()).unwrap().logits, expected));
        }
    });
    assert_eq!(model.clone().predict(arrays.input()).unwrap().logits, expected);
    let report = model.verify(arrays.batch()).unwrap();
    assert!(report.is_ok(), "{report}");
    // Arrays that are not row-major.
    let columns = arrays.x.t().as_standard_layout().into_owned();
    let x = columns.t();
    let input = mixed::Input { x, word: arrays.word.view() };
    assert_eq!(model.predict(input).unwrap().logits, expected);
}

/// Runs itself with `BILRO_SANITIZE` set, since the environment belongs to the process.
#[test]
fn the_environment_decides_unless_the_program_does() {
    const SELF: &str = "sanitizer::the_environment_decides_unless_the_program_does";
    const CHILD: &str = "BILRO_TEST_SANITIZED";
    if let Ok(expected) = std::env::var(CHILD) {
        let bytes = |sanitizes: Option<bool>| {
            let network = Mixed::declaration().unwrap();
            let mut engine = Engine::new(network, Backend::Jit, 0, 1).unwrap();
            if let Some(sanitizes) = sanitizes {
                engine.set_sanitize(sanitizes);
            }
            let Arrays { x, word, .. } = Arrays::new(2);
            engine.run(&Purpose::Predict, &[x.view().into(), word.view().into()]).unwrap();
            engine.code_bytes()
        };
        let [plain, checked] = [false, true].map(|sanitizes| bytes(Some(sanitizes)));
        assert!(checked > plain, "{checked} and {plain} bytes");
        assert_eq!(bytes(None), if expected == "1" { checked } else { plain });
        return;
    }
    let run = |value: &str, expected: &str| {
        let mut process = std::process::Command::new(std::env::current_exe().unwrap());
        process.args(["--exact", SELF]).env("BILRO_SANITIZE", value).env(CHILD, expected);
        process.output().unwrap()
    };
    for (value, expected) in [("1", "1"), ("0", "0"), ("", "0")] {
        let output = run(value, expected);
        assert!(output.status.success(), "{value}: {output:?}");
    }
    let output = run("yes", "1");
    let text = format!("{output:?}");
    assert!(!output.status.success() && text.contains("BILRO_SANITIZE is `yes`"), "{text}");
}
