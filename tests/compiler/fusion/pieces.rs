//! Slices and joins are no kernels and no copies: kernels and memory of the networks that need them
//! most.

use super::{check, host, kernels};
use bilro::Network;
use bilro::prelude::*;
use bilro_compiler::declaration::Declaration;
use bilro_compiler::purpose::Purpose;

network! {
    /// Two heads split off one product.
    struct Heads {
        input x: [16];
        target c: class(5);
        target v: [11];
        let both = x -> Linear(16);
        let (classes, values) = both.split([5, 11]);
        output logits = classes;
        loss cross_entropy(classes, c);
        metric mse_loss(values, v);
        output value = tanh(values);
    }
}

network! {
    /// The four gates of a step of an LSTM.
    struct Gates {
        input x: [24];
        input h: [32];
        input c: [32];
        let all = (x -> Linear(128)) + (h -> Linear(128, bias = false));
        let (i, f, g, o) = all.chunk(4);
        output cell = sigmoid(f) * c + sigmoid(i) * tanh(g);
        output state = sigmoid(o) * tanh(cell);
    }
}

network! {
    /// Three inputs before a layer.
    struct Joined {
        input k: index(50);
        input x: [9];
        input y: [7];
        let e = k -> Embedding(50, 16);
        output z = concat([e, x -> Linear(9) -> tanh, y.square()]) -> Linear(24);
    }
}

network! {
    /// Rotary positions: pairs of a head's halves are turned by an angle for each position.
    struct Rotary {
        input q: [12, 4, 16];
        input cosine: [12, 1, 8];
        input sine: [12, 1, 8];
        let (a, b) = q.chunk(2, axis = 2);
        output turned = concat([a * cosine - b * sine, a * sine + b * cosine], axis = 2);
    }
}

network! {
    /// The residual of a slice.
    struct Residual {
        input x: [32];
        let h = x -> Linear(32) -> tanh;
        let part = h[8..24];
        output y = part + (part -> Linear(16) -> tanh);
    }
}

fn cost(declaration: Declaration) -> String {
    let purpose = Purpose::Predict;
    let lowered = check::lower_network(&declaration, &purpose, 64, &host::baseline()).unwrap();
    format!("{}\n{} bytes", kernels(&lowered), 4 * lowered.artifact.interface.arena)
}

#[test]
fn two_heads_are_views_of_one_product() {
    insta::assert_snapshot!(cost(Heads::declaration().unwrap()), @r"
    product [] × 64 × 16 over [16] writes 1
    rows [64] of 11 writes 1
    rows [64] of 5 writes 1
    10240 bytes
    ");
}

#[test]
fn gates_are_views_of_one_product() {
    insta::assert_snapshot!(cost(Gates::declaration().unwrap()), @r"
    product [] × 64 × 128 over [32] writes 1
    product [] × 64 × 128 over [24] writes 1
    rows [64] of 32 writes 2
    65536 bytes
    ");
}

#[test]
fn joined_values_are_computed_in_place() {
    insta::assert_snapshot!(cost(Joined::declaration().unwrap()), @r"
    rows [64] of 16 writes 1
    product [] × 64 × 9 over [9] writes 1
    rows [64] of 7 writes 1
    product [] × 64 × 24 over [32] writes 1
    16384 bytes
    ");
}

#[test]
fn rotary_positions_are_one_kernel_for_each_half() {
    insta::assert_snapshot!(cost(Rotary::declaration().unwrap()), @r"
    rows [768, 4] of 8 writes 1
    rows [768, 4] of 8 writes 1
    196608 bytes
    ");
}

#[test]
fn the_residual_of_a_slice_is_in_the_epilogue() {
    insta::assert_snapshot!(cost(Residual::declaration().unwrap()), @r"
    product [] × 64 × 32 over [32] writes 1
    product [] × 64 × 16 over [16] writes 1
    12288 bytes
    ");
}
