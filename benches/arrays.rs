//! Measured networks of slices, joins and products of several axes: a table with categories, heads of
//! attention, `einsum`.

use bilro::compiler::declaration::Declaration;
use bilro::compiler::shape::DType;
use bilro::ndarray::{Array, ArrayD, IxDyn};
use bilro::network::Feed;
use bilro::prelude::*;
use bilro::rng::Generator;
use bilro::{DynBatch, DynTrainer};

use crate::networks::{Call, LEARNING_RATE};

network! {
    /// tabular: 20 categories of 3 to 1,000 values, embedded in up to 32 numbers each, and 30 numbers.
    pub struct Tabular {
        input k0: index(3);
        input k1: index(4);
        input k2: index(6);
        input k3: index(8);
        input k4: index(10);
        input k5: index(14);
        input k6: index(19);
        input k7: index(26);
        input k8: index(35);
        input k9: index(47);
        input k10: index(64);
        input k11: index(87);
        input k12: index(118);
        input k13: index(160);
        input k14: index(217);
        input k15: index(294);
        input k16: index(400);
        input k17: index(543);
        input k18: index(737);
        input k19: index(1000);
        input x: [30];
        target y: [1];
        let all = concat([
            k0 -> Embedding(3, 2),
            k1 -> Embedding(4, 2),
            k2 -> Embedding(6, 3),
            k3 -> Embedding(8, 4),
            k4 -> Embedding(10, 5),
            k5 -> Embedding(14, 7),
            k6 -> Embedding(19, 10),
            k7 -> Embedding(26, 13),
            k8 -> Embedding(35, 18),
            k9 -> Embedding(47, 24),
            k10 -> Embedding(64, 32),
            k11 -> Embedding(87, 32),
            k12 -> Embedding(118, 32),
            k13 -> Embedding(160, 32),
            k14 -> Embedding(217, 32),
            k15 -> Embedding(294, 32),
            k16 -> Embedding(400, 32),
            k17 -> Embedding(543, 32),
            k18 -> Embedding(737, 32),
            k19 -> Embedding(1000, 32),
            x
        ]);
        output score = all -> Linear(256) -> ReLU -> Linear(128) -> ReLU -> Linear(1);
        loss binary_cross_entropy_with_logits(score, y);
    }
}

network! {
    /// heads: attention of 32 positions with four heads, and the mean of all positions.
    pub struct Heads {
        input x: [32, 64];
        target class: class(10);
        let (q, k, v) = (x -> Linear(192)).chunk(3, axis = 1);
        let queries = q.reshape([32, 4, 16]).transpose([1, 0, 2]);
        let keys = k.reshape([32, 4, 16]).transpose([1, 2, 0]);
        let values = v.reshape([32, 4, 16]).transpose([1, 0, 2]);
        let shares = softmax(queries.matmul(keys) * 0.25);
        let heads = shares.matmul(values).transpose([1, 0, 2]).reshape([32, 64]);
        let h = x + (heads -> Linear(64));
        output scores = h.mean(axis = 0) -> Linear(10);
        loss cross_entropy(scores, class);
    }
}

network! {
    /// einsum: pairs of 24 positions weigh features by a tensor of three axes.
    pub struct Pairs {
        input a: [24, 32];
        input b: [24, 32];
        target class: class(10);
        param w: [32, 32, 16] = normal(0.0, 0.05);
        let mixed = tanh(einsum("pi,ijo->pjo", a, w));
        let scores = einsum("pjo,qj->pqo", mixed, b);
        output logits = relu(scores).mean(axis = [0, 1]) -> Linear(10);
        loss cross_entropy(logits, class);
    }
}

/// Training steps repeated on the same batch of random values.
pub fn steps(declaration: Declaration, batch: usize, threads: usize) -> bilro::Result<Call> {
    enum Values {
        Real(ArrayD<f32>),
        Index(ArrayD<u32>),
    }
    let mut generator = Generator::new(1);
    let inputs = declaration.inputs.iter().map(|input| {
        let sizes = input.ty.shape.full_sizes(batch);
        let mut x = Array::zeros(IxDyn(&sizes));
        generator.fill_uniform(x.as_slice_mut().expect("it is new"), 0.0, 1.0);
        let values = match &input.ty.dtype {
            DType::Index { below } => {
                let below = below.fixed().unwrap_or(1) as f32;
                Values::Index(x.mapv(|x: f32| (x * below).min(below - 1.0) as u32))
            }
            _ => Values::Real(x),
        };
        (input.name.clone(), values)
    });
    let inputs: Vec<(String, Values)> = inputs.collect();
    let trainer = DynTrainer::builder(declaration, Sgd::new(LEARNING_RATE)).threads(threads);
    let mut trainer = trainer.build()?;
    let mut step = move || {
        let batch = inputs.iter().fold(DynBatch::new(), |batch, (name, values)| {
            batch.with(
                name,
                match values {
                    Values::Real(x) => Feed::from(x.view()),
                    Values::Index(x) => Feed::from(x.view()),
                },
            )
        });
        trainer.step(batch)
    };
    step()?;
    Ok(Box::new(move || {
        step().expect("the same arrays were accepted before");
    }))
}
