//! Too little memory is an error with the number of bytes, and nothing else changes;
//! in a process with a memory limit.

use std::process::Command;

use bilro::data::Dataset;
use bilro::ndarray::{Array1, Array2, Ix1, Ix2};
use bilro::prelude::*;
use bilro::{Error, Optimizer};

/// The child's address space, in KiB.
const LIMIT: usize = 2 << 20;

const MIB: usize = 1 << 20;

network! {
    /// 160 GB of weights.
    struct Huge {
        input x: [200_000];
        output y = x -> Linear(200_000);
    }
}

network! {
    /// 3 GB: within every machine's memory, above the child's limit.
    struct Large {
        input x: [30_000];
        output y = x -> Linear(25_000);
    }
}

network! {
    /// Weights of 32 MiB, in few rows.
    struct Wide {
        input x: [2];
        target y: [4_194_304];
        output p = x -> Linear(4_194_304, bias = false);
        loss mse_loss(p, y);
    }
}

network! {
    /// Its initialiser needs temporary memory.
    struct Orthogonal {
        input x: [2048];
        param w: [2048, 2048] = orthogonal;
        output y = x.matmul(w);
    }
}

network! {
    struct Small {
        input x: [4];
        target y: class(3);
        output p = x -> Linear(3);
        loss cross_entropy(p, y);
    }
}

/// Takes memory until about `bytes` are left.
fn leave(bytes: usize) -> Vec<Vec<u8>> {
    let mut taken = Vec::with_capacity(64);
    let mut size = 1 << 30;
    let mut room = Vec::<u8>::new();
    room.try_reserve_exact(bytes).expect("there is more");
    while size >= MIB {
        let mut more = Vec::new();
        match more.try_reserve_exact(size) {
            Ok(()) => taken.push(more),
            Err(_) => size /= 2,
        }
    }
    taken
}

/// Requires an error with at least `least` bytes.
fn too_little<T>(context: &str, result: bilro::Result<T>, least: usize) {
    match result {
        Err(error @ Error::Memory { bytes, .. }) => {
            assert!(bytes >= least as u64, "{context}: {error}");
            assert!(error.to_string().contains(&format!("{bytes} bytes")), "{error}");
        }
        Err(error) => panic!("{context}: {error}"),
        Ok(_) => panic!("{context}: there was enough"),
    }
}

/// Runs in the process that [`too_little_memory_is_an_error`] starts, and does
/// nothing otherwise.
#[test]
fn starved() {
    if std::env::var_os("BILRO_STARVED").is_none() {
        return;
    }
    networks();
    steps();
    batches();
    data_sets();
    println!("starved: all errors reported");
}

fn networks() {
    too_little("160 GB", Huge::model().build(), 160_000_000_000);
    too_little("3 GB", Large::model().build(), 3_000_000_000);
    let taken = leave(40 * MIB);
    // 16 MiB, the values before they are transposed, and vectors in f64.
    too_little("orthogonal", Orthogonal::model().build(), 64 * MIB);
    drop(taken);
}

/// Optimizer state, copies of parameters, and arrays of results.
fn steps() {
    let (x, y) = (Array2::<f32>::ones((1, 2)), Array2::<f32>::ones((1, 4_194_304)));
    let batch = || wide::Batch { x: x.view(), y: y.view() };
    let build =
        |optimizer: Box<dyn Optimizer>| Wide::trainer(optimizer).threads(2).build().unwrap();
    let mut sgd = build(Box::new(Sgd::new(0.1)));
    let mut adam = build(Box::new(Adam::new(0.1)));
    let weights = |trainer: &mut Trainer<Wide>| trainer.model().params().linear1.weight.to_owned();
    let before = weights(&mut adam);
    let data = Dataset::new(x.clone(), y.clone()).unwrap();
    sgd.step(batch()).unwrap();

    let taken = leave(24 * MIB);
    too_little("Adam's state", adam.step(batch()), 96 * MIB);
    too_little("gradients", sgd.model().gradients(batch()), 32 * MIB);
    // 16 MiB for a batch are available, a copy of the weights is not.
    let fit = Fit::epochs(1).early_stopping(1);
    too_little("the best parameters", sgd.fit(&data, fit), 32 * MIB);
    // Compiled code still runs.
    sgd.step(batch()).unwrap();
    drop(taken);
    assert_eq!(weights(&mut adam), before, "an error changes nothing");
    adam.step(batch()).unwrap();
    assert_ne!(weights(&mut adam), before);

    // Without memory for threads, the step runs on one.
    let taken = leave(2 * MIB);
    sgd.step(batch()).unwrap();
    drop(taken);
}

/// A hundred million examples, whose inputs share memory by broadcasting.
fn batches() {
    const EXAMPLES: usize = 100_000_000;
    let (x, y) = (Array2::<f32>::ones((1, 4)), Array1::<u32>::zeros(EXAMPLES));
    let (x, y) = (x.broadcast((EXAMPLES, 4)).unwrap(), y.view());
    for backend in [Backend::Jit, Backend::Interpreter] {
        let mut trainer = Small::trainer(Sgd::new(0.1)).backend(backend).build().unwrap();
        let before = trainer.model().params().linear1.weight.to_owned();
        too_little("a batch", trainer.step(small::Batch { x, y }), EXAMPLES);
        too_little("a batch", trainer.model().evaluate_batch(small::Batch { x, y }), EXAMPLES);
        too_little("a batch", trainer.model().predict(small::Input { x }), EXAMPLES);
        assert_eq!(trainer.model().params().linear1.weight, before);
        let (small, labels) = (Array2::<f32>::ones((2, 4)), Array1::<u32>::zeros(2));
        trainer.step(small::Batch { x: small.view(), y: labels.view() }).unwrap();
    }
}

fn data_sets() {
    const EXAMPLES: usize = 8 << 20;
    let build = || -> Dataset<f32, Ix2, u32, Ix1> {
        Dataset::new(Array2::zeros((EXAMPLES, 4)), Array1::zeros(EXAMPLES)).unwrap()
    };
    let data = build();
    let orthogonal = Array2::<f32>::zeros((4, EXAMPLES)).reversed_axes();
    let labels = Array1::<u32>::zeros(EXAMPLES);
    let mut trainer = Small::trainer(Sgd::new(0.1)).build().unwrap();
    let taken = leave(48 * MIB);
    let least = 100 * MIB;
    too_little("concat", data.concat(&data), 2 * least);
    too_little("rows", data.rows(1..), least);
    too_little("split", data.split(0.9, 1), least);
    too_little("split_in_order", data.split_in_order(0.9), least);
    too_little("random_split", data.random_split([0.9, 0.1], 1), least);
    too_little("split_stratified", data.split_stratified(0.9, 1), least);
    too_little("filter", data.filter(|_, _| true), 0);
    too_little("columns", Dataset::new(orthogonal, labels), least);
    let full = Fit::epochs(1).batch_size(EXAMPLES);
    too_little("a batch of all", trainer.fit(&data, full), least);
    // In place.
    let data = data.normalize(0.5, 0.5).unwrap();
    too_little("one_hot", data.one_hot(10), 300 * MIB);
    drop(taken);
}

#[test]
fn too_little_memory_is_an_error() {
    let test = std::env::current_exe().unwrap();
    let limited = format!("ulimit -v {LIMIT} && exec \"$0\" starved::starved --exact --nocapture");
    let output = Command::new("sh")
        .args(["-c", &limited])
        .arg(test)
        .env("BILRO_STARVED", "1")
        .output()
        .unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(
        output.status.success() && out.contains("starved: all errors reported"),
        "{out}\n{err}"
    );
}
