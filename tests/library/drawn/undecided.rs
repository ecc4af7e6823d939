//! Networks whose values in f64 do not decide what f32 has to compute: ties, kinks at values that are 0
//! but for rounding, overflow on the way, gradients that are not finite or depart from the derivative.
//! Verification leaves such elements undecided; the program `soak` has found each of these networks
//! reported as a disagreement.

use bilro::prelude::*;
use bilro::{DynBatch, DynModel, DynTrainer, Error};
use bilro_compiler::declaration::Declaration;
use bilro_tests::inputs;

network! {
    /// Scores of a deviation that is 0 but for rounding: all classes tie.
    pub struct TiesOfZeros {
        input x0: [2, 2];
        let v14 = hardtanh(x0, min = 2.0, max = 2.0);
        let v28 = std(v14, axis = -2);
        let v29 = log_softmax(v28);
        target t30: class(2);
        let v31 = nll_loss(v29, t30);
        loss v31;
    }
}

network! {
    /// Scores that are equal but for rounding, behind a choice.
    pub struct TiesOfSoftmax {
        input x0: [2, 2];
        target t3: index(2)[2];
        let v4 = top_k_accuracy(x0, t3, k = 1);
        choice c5 = Softmax | erf;
        let v6 = c5(v4);
        let v7 = c5(v6);
        target t16: [1];
        loss t16;
        target t20: class(2);
        let v21 = accuracy(v7, t20);
        metric m22 = v21;
    }
}

network! {
    /// `inf / inf` in f32, 1 in f64.
    pub struct InfiniteRatio {
        input x0: [1];
        block piece6(a7) {
            let v4 = expm1(a7);
            let v5 = square(v4);
            v5
        }
        let v8 = piece6(x0);
        let v9 = piece6(v8);
        layer fc15 = Softsign;
        let v16 = fc15(v9);
        output y59 = v16;
    }
}

network! {
    /// `inf - inf` in a product in f32, a number in f64.
    pub struct InfiniteDifference {
        input x0: [15, 20];
        param p14_10: [20, 20] = ones;
        let v15_10 = matmul(x0, p14_10);
        param p27: [20, 2] = ones;
        let v28 = matmul(v15_10, p27);
        let v29 = expm1(v28);
        let v37 = v29 -> Linear(out_features = 2);
        output y46 = v37;
    }
}

network! {
    /// A loss and gradients that are finite in f64 only.
    pub struct InfiniteLoss {
        input x0: [9, 4];
        let v1 = x0 -> ELU(alpha = 0.25);
        let v10 = transpose(v1);
        param p13: [9, 1] = ones;
        let v14 = matmul(v10, p13);
        let v15 = square(v14);
        target t17: [4, 1];
        let v18 = poisson_nll_loss(v15, t17);
        loss v18;
    }
}

network! {
    /// Squares of gradients overflow in the state of optimizers.
    pub struct InfiniteSquare {
        input x0: [1];
        let v1 = logsigmoid(x0);
        layer fc3_3 = SELU;
        let v4_3 = fc3_3(v1);
        param p12: [] = trunc_normal(0.0, 0.5, -1.0, 1.0);
        let v13 = v4_3 / p12;
        let v14 = abs(v13);
        target t16: [1];
        let v17 = poisson_nll_loss(v14, t16);
        loss v17;
    }
}

network! {
    /// Norms overflow in f32, cosines are near their limits.
    pub struct InfiniteNorm {
        input x0: [2, 4];
        block piece2(a3) {
            let v1 = exp(a3);
            v1
        }
        let v4 = piece2(x0);
        let v5 = piece2(v4);
        target t12: [2];
        let v13 = cosine_embedding_loss(v5, v5, t12);
        loss v13;
    }
}

network! {
    /// `abs` of values that are 0 but for rounding.
    pub struct KinkBehindNorm {
        input x0: [2];
        let v2 = x0 -> Linear(out_features = 3);
        let v3 = v2 -> LeakyReLU;
        layer fc8 = BatchNorm1d;
        let v9 = fc8(v3);
        choice c10 = Hardtanh | expm1 | abs;
        let v11 = c10(v9);
        let v12 = c10(v11);
        let v14 = v12 -> LayerNorm;
        loss v14;
    }
}

network! {
    /// `sqrt` at 0: the gradient is `0 · inf`.
    pub struct Pole {
        input x0: [1];
        layer fc7 = LayerNorm;
        let v8 = fc7(x0);
        let v32 = sqrt(v8);
        loss v32;
    }
}

network! {
    /// `1 / 0` behind a dropout.
    pub struct DroppedPole {
        param p1: [1, 1] = ones;
        let v6 = p1 -> Dropout;
        let v7 = reciprocal(v6);
        let v8 = logsigmoid(v7);
        loss v8;
    }
}

network! {
    /// `exp` of `exp` overflows in f64 too.
    pub struct OverflowingChoice {
        input x0: [4];
        layer fc2 = Bilinear(in1_features = 4, in2_features = 4, out_features = 4);
        let v3 = fc2(x0, x0);
        choice c4 = exp | Mish;
        let v5 = c4(v3);
        let v6 = c4(v5);
        let v7 = tanh(v6);
        loss v7;
    }
}

network! {
    /// Probabilities so near 0 or 1 that the gradient of the cross entropy departs from the derivative.
    pub struct SaturatedEntropy {
        input x0: [16];
        layer fc2 = LayerNorm;
        let v3 = fc2(x0);
        let v5 = v3 + 1.0;
        let v6 = pow(v5, exponent = 3.0);
        let v7 = sigmoid(v6);
        target t8: [16];
        let v9 = binary_cross_entropy(v7, t8);
        loss v9;
    }
}

network! {
    /// Probabilities that are 1 but for rounding.
    pub struct CertainEntropy {
        input x0: [4, 1] grad;
        let v2 = sum(x0, axis = -2);
        param p5: [1, 2] = kaiming_uniform;
        let v6 = matmul(v2, p5);
        let v7 = softmax(v6);
        let v56 = cos(v7);
        target t57: [2];
        let v58 = binary_cross_entropy(v56, t57);
        loss v58;
    }
}

network! {
    /// Variances below `eps`.
    pub struct SmallVariance {
        input x: [3] grad;
        target t: [3];
        let v = square(x) * 1e-7;
        loss gaussian_nll_loss(x, t, v);
    }
}

/// Verifies a network on random data with each alternative of its choices, and verifies steps.
fn verify(declaration: Declaration, examples: usize) {
    for seed in 0..8 {
        let values = inputs::values(&declaration, examples, seed);
        let model = DynModel::builder(declaration.clone()).seed(seed).threads(1).build().unwrap();
        let counts = declaration.choices.iter().map(|choice| choice.alternatives.len());
        for alternative in 0..counts.max().unwrap_or(1) {
            let batch = || {
                let given = inputs::batch(&declaration, &values);
                declaration.choices.iter().fold(given, |batch, choice| {
                    batch.choose(&choice.name, &choice.alternatives[alternative])
                })
            };
            if declaration.inputs.iter().any(|input| !input.is_target) {
                let report = model.verify(batch()).unwrap();
                assert!(report.is_ok(), "seed {seed}, alternative {alternative}: {report}");
            }
            if declaration.has_loss() {
                steps(Sgd::new(0.1), &declaration, seed, batch());
                steps(Adadelta::new(1.0), &declaration, seed, batch());
                steps(RMSprop::new(0.01), &declaration, seed, batch());
            }
        }
    }
}

fn steps(
    optimizer: impl bilro::Optimizer + 'static,
    declaration: &Declaration,
    seed: u64,
    batch: DynBatch<'_>,
) {
    let trainer = DynTrainer::builder(declaration.clone(), optimizer).seed(seed).threads(1);
    let mut trainer = trainer.verify_every(1).build().unwrap();
    for _ in 0..2 {
        // Steps with gradients that are not finite are refused.
        if let Err(error @ Error::Verification { .. }) = trainer.step(batch.clone()) {
            panic!("seed {seed}: {error}");
        }
    }
}

#[test]
fn values_that_f64_does_not_decide_are_no_disagreement() {
    verify(TiesOfZeros::declaration().unwrap(), 3);
    verify(TiesOfSoftmax::declaration().unwrap(), 5);
    verify(InfiniteRatio::declaration().unwrap(), 16);
    verify(InfiniteDifference::declaration().unwrap(), 1);
    verify(InfiniteLoss::declaration().unwrap(), 1);
    verify(InfiniteSquare::declaration().unwrap(), 1);
    verify(InfiniteNorm::declaration().unwrap(), 46);
    verify(KinkBehindNorm::declaration().unwrap(), 21);
    verify(Pole::declaration().unwrap(), 1);
    verify(DroppedPole::declaration().unwrap(), 1);
    verify(OverflowingChoice::declaration().unwrap(), 8);
    verify(SaturatedEntropy::declaration().unwrap(), 2);
    verify(CertainEntropy::declaration().unwrap(), 92);
    verify(SmallVariance::declaration().unwrap(), 4);
}
