//! Snapshots of fusion: kernels of a network, their contents and sizes. A lost
//! fusion fails here.
//!
//! For an intended change, read the new snapshot in the message; `cargo insta
//! accept` copies it here.

use std::sync::Arc;

use bilro::Network;
use bilro::prelude::*;
use bilro_compiler::codegen::module::Executable;
use bilro_compiler::declaration::{Builder, Init, LossReduction, Parameter};
use bilro_compiler::graph::Graph;
use bilro_compiler::ops::Attributes;
use bilro_compiler::optim::{Clip, Training};
use bilro_compiler::plan::ParameterLayout;
use bilro_compiler::purpose::Purpose;
use bilro_compiler::shape::{Shape, Type};
use bilro_compiler::target::{Target, host};
use bilro_tests::check;
use bilro_tests::trainings::{TRAININGS, training};
use ndarray::ArrayD;

network! {
    struct Mnist {
        input image: [784];
        target digit: class(10);
        output logits = image -> Linear(128) -> ReLU -> Linear(64) -> Sigmoid -> Linear(10);
        loss cross_entropy(logits, digit);
    }
}

network! {
    struct Words {
        input words: index(5_000)[8];
        target kind: class(5);
        layer word = Embedding(5_000, 48);
        output scores = tanh(word(words)).mean(axis = 0) -> Linear(5);
        loss cross_entropy(scores, kind);
    }
}

fn step(batch: usize) -> check::Lowered {
    step_with(Arc::new(Sgd::new(0.1).into()), batch)
}

fn step_with(training: Arc<Training>, batch: usize) -> check::Lowered {
    let network = Mnist::declaration().unwrap();
    check::lower_network(&network, &Purpose::Step(training), batch, &host::baseline()).unwrap()
}

/// The kind, the axes and the number of written buffers of each kernel.
fn kernels(lowered: &check::Lowered) -> String {
    let kernels = lowered.fused.kernels.iter().map(|kernel| {
        let text = kernel.to_string();
        let kinds = ["  rows", "  columns", "  product", "  scatter", "  all finite"];
        let axes = text.lines().find(|l| kinds.iter().any(|k| l.starts_with(k)));
        format!("{} writes {}", axes.unwrap_or_default().trim(), kernel.writes().len())
    });
    kernels.collect::<Vec<_>>().join("\n")
}

/// Before the first update, one small kernel checks that loss and gradients are finite. It need not
/// read the input, whose non-finite values reach the first activation.
#[test]
fn a_step_has_these_kernels() {
    insta::assert_snapshot!(kernels(&step(64)), @r"
    product [] × 64 × 128 over [784] writes 1
    product [] × 64 × 64 over [128] writes 1
    product [] × 64 × 10 over [64] writes 1
    rows [64] of 10 writes 3
    rows [] of 64 writes 1
    rows [10] of 64 writes 1
    product [] × 64 × 64 over [10] writes 1
    rows [64] of 128 writes 1
    product [] × 64 × 128 over [64] writes 1
    all finite: 17025 elements of 4 buffers writes 1
    product [] × 64 × 10 over [64] writes 2
    product [] × 128 × 64 over [64] writes 2
    product [] × 784 × 128 over [64] writes 2
    ");
}

/// Rows are gathered at their use, without one-hot matrices.
#[test]
fn a_step_on_words_has_these_kernels() {
    let sgd = Arc::new(Training::from(Sgd::new(0.1)));
    let network = Words::declaration().unwrap();
    let lowered =
        check::lower_network(&network, &Purpose::Step(sgd.clone()), 64, &host::baseline()).unwrap();
    insta::assert_snapshot!(kernels(&lowered), @r"
    rows [512] of 48 writes 1
    columns [64, 48] over 8 writes 1
    product [] × 64 × 5 over [48] writes 1
    rows [64] of 5 writes 3
    rows [] of 64 writes 1
    rows [5] of 48 writes 1
    product [] × 64 × 48 over [5] writes 1
    scatter [64, 8] to 5000 × 48 writes 1
    all finite: 6465 elements of 4 buffers writes 1
    product [] × 48 × 5 over [64] writes 2
    rows [] of 240000 writes 1
    ");
    let largest = lowered.artifact.buffers.iter().map(|buffer| buffer.layout.elements).max();
    assert_eq!(largest, Some(5_000 * 48));
}

/// Adam is fused onto the products that compute the gradients: besides the weight
/// and the bias they write the two means of each, with the kernels of plain
/// descent. Only parameters and state reach memory: the arena is as small as with
/// SGD, so it has no gradient of a weight.
#[test]
fn a_step_with_adam_has_the_kernels_of_sgd() {
    let (plain, adam) = (step(64), step_with(Arc::new(Adam::new(0.001).into()), 64));
    assert_eq!(kernels(&adam), kernels(&plain).replace("writes 2", "writes 6"));
    assert_eq!(adam.artifact.interface.arena, plain.artifact.interface.arena);
    let trainings = (0..TRAININGS).map(|index| (index, training(index, 0.1)));
    for (index, training) in trainings.filter(|(_, t)| !matches!(t.clip(), Some(Clip::Norm(_)))) {
        let name = format!("{training:?}");
        let lowered = step_with(training, 64);
        assert_eq!(lowered.fused.kernels.len(), plain.fused.kernels.len(), "{index} {name}");
        assert_eq!(
            lowered.artifact.interface.arena, plain.artifact.interface.arena,
            "{index} {name}"
        );
    }
}

/// Activations, gradients and outputs of a step, in bytes; an unnecessary buffer
/// fails here.
#[test]
fn a_step_needs_this_much_memory() {
    let bytes =
        [64, 1].map(|batch| format!("batch {batch}: {}", 4 * step(batch).artifact.interface.arena));
    insta::assert_snapshot!(bytes.join("\n"), @r"
    batch 64: 139776
    batch 1: 1856
    ");
}

#[test]
fn code_does_not_grow_with_the_batch() {
    let code = |batch| {
        let lowered = step(batch);
        Executable::new(&lowered.artifact, false).unwrap().code_bytes()
    };
    // A further level of blocked sums adds a loop and its remainder; with the same
    // number of levels nothing grows.
    let (small, large) = (code(64), code(64_000));
    assert!(large <= 2 * small, "{small} and {large} bytes");
    let (huge, more) = (code(640_000), code(1_000_000));
    assert!(huge <= 2 * large, "{large} and {huge} bytes");
    assert!(more <= huge + huge / 10, "{huge} and {more} bytes");
}

#[test]
fn long_kernels_are_shared_with_barriers_where_required() {
    let phases = |batch, target: &Target| {
        let sgd = Arc::new(Training::from(Sgd::new(0.1)));
        let network = Mnist::declaration().unwrap();
        let purpose = Purpose::Step(sgd.clone());
        let lowered = check::lower_network(&network, &purpose, batch, target).unwrap();
        let phases = lowered.artifact.interface.phases.iter();
        phases.map(|p| p.to_string()).collect::<Vec<_>>().join("\n")
    };
    // The first product, the small kernels up to the guard, the updates.
    insta::assert_snapshot!(phases(64, &Target::AVX512), @r"
    parallel 0
    serial 1 2 3 4 5 6 7 8 9
    parallel 11 12, serial 10
    ");
    // Updates of different layers do not wait for each other.
    insta::assert_snapshot!(phases(512, &Target::AVX512), @r"
    parallel 0
    parallel 1
    serial 2
    parallel 3
    serial 4 5 6 7
    parallel 8
    serial 9 10 11
    parallel 12 13 14
    ");
    // A second thread would cost more than it gains.
    assert_eq!(phases(8, &Target::AVX512), "");
    assert_eq!(phases(1, &host::baseline()), "");
}

/// A kernel that reads a parameter at other elements than those that it computes does not overwrite it.
#[test]
fn parameters_are_overwritten_after_reads_of_other_elements() {
    let graph: Graph = "graph for batches of 1
%0 = parameter(0) : f32 [9, 9]
%1 = parameter(1) : f32 [9, 9]
%2 = transpose(%0)
%3 = neg(%2)
%4 = mul(%3, %1)
next parameter 0 = %4
"
    .parse()
    .unwrap();
    let parameter =
        |name: &str| Parameter::new(name, Shape::unbatched([9usize, 9]), Init::Full(0.0));
    let variables = [parameter("w"), parameter("v")];
    let value = |i: usize| (i % 23) as f32 - 7.0;
    let array =
        |first: usize| ArrayD::from_shape_fn(vec![9, 9], |i| value(first + 9 * i[0] + i[1]));
    let values = [array(0), array(5)];
    let expected: Vec<f32> =
        (0..81).map(|i| -values[0][[i % 9, i / 9]] * values[1][[i / 9, i % 9]]).collect();
    for target in check::targets() {
        let layout = ParameterLayout::new(&variables);
        let lowered = check::lower(&graph, &layout, &target).unwrap();
        let found = check::jitted_network(&lowered, &variables, &[], &values, |_| f32::NAN);
        check::assert_same_bits(target.name, &found[0], &expected);
    }
}

/// Formulas and graphs share subexpressions: a pass that visits each of them once
/// per user takes exponential time.
#[test]
fn long_chains_of_functions_compile_fast() {
    let none = Attributes::new();
    let compiles = |b: Builder, batch: usize| {
        let network = b.finish().unwrap();
        for purpose in [Purpose::Predict, Purpose::Gradients] {
            let lowered =
                check::lower_network(&network, &purpose, batch, &host::baseline()).unwrap();
            assert!(!lowered.artifact.programs.is_empty());
        }
    };
    let mut b = Builder::new("Rows");
    let mut x = b.input("x", Type::real(Shape::batched([20]))).unwrap();
    b.differentiate(x).unwrap();
    for _ in 0..12 {
        for function in ["tanh", "sigmoid", "softmax"] {
            x = b.call(function, &[(x, "x")], &none).unwrap();
        }
    }
    b.output("y", x).unwrap();
    b.loss((x, "y"), LossReduction::Sum).unwrap();
    compiles(b, 3);

    // One number for each row, enough for a kernel of their own.
    let mut b = Builder::new("Numbers");
    let x = b.input("x", Type::real(Shape::batched([20]))).unwrap();
    b.differentiate(x).unwrap();
    let mut x = b.call("sum", &[(x, "x")], &none).unwrap();
    for _ in 0..60 {
        let y = b.call("tanh", &[(x, "x")], &none).unwrap();
        x = b.call("mul", &[(y, "y"), (x, "x")], &none).unwrap();
    }
    b.output("y", x).unwrap();
    b.loss((x, "y"), LossReduction::Sum).unwrap();
    compiles(b, 32);

    // A formula that is deeper than a thread's stack.
    let mut b = Builder::new("Long");
    let mut x = b.input("x", Type::real(Shape::batched([20]))).unwrap();
    b.differentiate(x).unwrap();
    for _ in 0..3_000 {
        x = b.call("tanh", &[(x, "x")], &none).unwrap();
    }
    b.output("y", x).unwrap();
    b.loss((x, "y"), LossReduction::Sum).unwrap();
    compiles(b, 3);
}

mod pieces;
mod sizes;
