//! Networks that the program `soak` has drawn and printed, compiled by `network!`: blocks, choices,
//! layers with several outputs, integers. Each agrees with the interpreter.

mod undecided;

use bilro::prelude::*;
use bilro::rng::Generator;
use bilro::{DynBatch, DynModel};
use bilro_compiler::declaration::Declaration;
use bilro_compiler::eval::Value;
use bilro_compiler::ops::{Domain, Operand};
use bilro_tests::check;

network! {
    /// A block that multiplies, a loss of a loss.
    pub struct Drawn29 {
        input x1: [1];
        input x2: [2, 15, 5];
        layer fc3 = Linear(out_features = 16, bias = true);
        let v4 = fc3(x2);
        let v5 = elu(v4, alpha = 0.5);
        block piece18(a19) {
            let v13 = clamp(a19, min = -2.0, max = 3.0);
            param p15: [1, 3] = xavier_normal;
            let v16 = matmul(v13, p15);
            let v17 = sum(v16, axis = 0);
            v17
        }
        let v20 = piece18(x1);
        param p25: [2, 1, 16] = trunc_normal(0.0, 0.35355, -0.7071, 0.7071);
        let v26 = maximum(v5, p25);
        let v27 = leaky_relu(v26);
        let v28 = reshape(v27, shape = [80, 1, 6]);
        target t29: [80, 1, 6];
        let v30 = binary_cross_entropy_with_logits(v28, t29, pos_weight = [2.0]);
        target t31: [80, 1, 6];
        let v32 = hinge_loss(v30, t31);
        let v33 = v32 * 0.5;
        let v34 = v30 + v33;
        loss sum: v34;
        metric m35 = v34;
        output y36 = v28;
        output y37 = v20;
    }
}

network! {
    /// Embeddings, a block, a metric that ignores a class.
    pub struct Drawn329 {
        input k1: index(3)[33];
        let v2 = k1 -> Embedding(num_embeddings = 3, embedding_dim = 2);
        let v3 = logsumexp(v2);
        let v4 = softmax(v3);
        layer fc5 = SiLU;
        let v6 = fc5(v4);
        block piece10(a12) {
            let v9 = maximum(a12, 0.0);
            v9
        }
        let v13 = piece10(v6);
        let v14 = fc5(v13);
        param p24: [33, 33] = zeros;
        let v25 = matmul(v14, p24);
        target t26: [33];
        let v27 = huber_loss(v25, t26, delta = 0.5);
        loss sum: v27;
        target t28: class(33);
        let v29 = top_k_accuracy(v27, t28, k = 3, ignore_index = 3);
        metric m30 = v29;
        output y31 = v25;
    }
}

network! {
    /// A named use of a block, a choice that is used twice.
    pub struct Drawn44 {
        input x0: [1] grad;
        block piece6(a7) {
            let v1 = logsigmoid(a7);
            param p3: [] = uniform(-1.0, 1.0);
            let v4 = v1 * p3;
            let v5 = v4 -> Flatten;
            v5
        }
        layer fc8 = piece6;
        let v9 = fc8(x0);
        let v10 = exp(v9);
        layer fc11 = LeakyReLU(negative_slope = 0.015);
        let v12 = fc11(v10);
        choice c13 = SiLU | square;
        let v14 = c13(v12);
        let v15 = c13(v14);
        param p16: [1, 2] = uniform(-1.0, 1.0);
        let v17 = matmul(v15, p16);
        target t18: [2];
        let v19 = l1_loss(v17, t18);
        loss sum: v19;
        output y20 = v17;
    }
}

network! {
    /// Two choices, two uses of a block.
    pub struct Drawn361 {
        input x0: [4];
        block piece5(a6) {
            let v1 = softmax(a6, axis = -1);
            let v4 = softmax(v1);
            v4
        }
        let v7 = piece5(x0);
        let v8 = piece5(v7);
        layer fc9 = Bilinear(in1_features = 4, in2_features = 4, out_features = 5);
        let v10 = fc9(v8, v8);
        let v11 = v8 -> Linear(in_features = 4, out_features = 16);
        let v12 = v11 -> Linear(out_features = 5);
        choice c13 = Softsign | ELU(alpha = 1.5);
        let v14 = c13(v10);
        let v15 = c13(v14);
        let v16 = matmul(v15, v14);
        choice c31 = Tanh | Hardsigmoid;
        let v32 = c31(v12);
        target t33: [5];
        let v34 = mse_loss(v32, t33);
        loss sum: v34;
        metric m35 = v16;
        output y36 = v32;
    }
}

network! {
    /// An embedding by a function, a layer with two outputs.
    pub struct Drawn373 {
        input k4: index(5)[2, 3];
        param p5: [5, 3] = orthogonal;
        let v6 = embedding(k4, p5);
        block piece17(a18) {
            let v14 = a18 -> Linear(in_features = 3, out_features = 15);
            let v15 = cos(v14);
            let v16 = exp(v15);
            v16
        }
        let v20 = piece17(v6);
        layer fc21 = Hardtanh(min_val = -2.0);
        let v22 = fc21(v20);
        layer fc23 = SumAndDifference;
        let (v24, _v25) = fc23(v22, v22);
        let v41 = v24 -> LogSoftmax;
        param p42: [15, 4] = zeros;
        let v43 = matmul(v41, p42);
        let v44 = elu(v43);
        loss v44;
        target t45: index(4)[2, 3];
        let v46 = accuracy(v44, t45, ignore_index = 0);
        metric m47 = v46;
        output y48 = v44;
    }
}

/// Verifies a network on random data, with each alternative of its choices.
fn verify(declaration: Declaration) {
    let model = DynModel::builder(declaration).seed(3).threads(1).build().unwrap();
    let declared = model.declaration();
    let mut generator = Generator::new(4);
    let values: Vec<Value<f32>> = declared
        .inputs
        .iter()
        .map(|input| {
            let domain = if input.is_target { Domain::Probability } else { Domain::Normal(1.0) };
            check::values(&Operand::new(input.ty.clone(), domain), 3, &mut generator)
        })
        .collect();
    for alternative in [0, 1] {
        let mut batch = DynBatch::new();
        for (input, value) in declared.inputs.iter().zip(&values) {
            batch = match value {
                Value::Real(x) => batch.with(&input.name, x.view()),
                Value::Index(x) => batch.with(&input.name, x.view()),
            };
        }
        for choice in &declared.choices {
            batch = batch.choose(&choice.name, &choice.alternatives[alternative]);
        }
        let report = model.verify(batch).unwrap();
        assert!(report.is_ok() && report.worst() > 0.0, "{report}");
    }
}

#[test]
fn drawn_networks_compile_and_agree_with_the_interpreter() {
    verify(Drawn29::declaration().unwrap());
    verify(Drawn329::declaration().unwrap());
    verify(Drawn44::declaration().unwrap());
    verify(Drawn361::declaration().unwrap());
    verify(Drawn373::declaration().unwrap());
}
