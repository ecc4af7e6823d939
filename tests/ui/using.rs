//! Inputs, outputs and parameters are named fields.
use bilro::{Classifier, FromExamples, Network, network};

network! {
    /// A line.
    pub struct Line {
        input x: [1];
        target y: [1];
        layer fc = Linear(1, 1);
        output p = fc(x);
        loss mse_loss(p, y);
    }
}

fn accuracy<N: Classifier>() {}

fn examples<X, Y, B: FromExamples<X, Y>>(x: X, y: Y) -> B {
    B::from_examples(x, y)
}

fn main() {
    let x = bilro::ndarray::Array2::<f32>::zeros((1, 1));
    let y = bilro::ndarray::Array1::<u32>::zeros(1);
    let _ = line::Batch { x: x.view() };
    let _ = line::Input { z: x.view() };
    let _ = line::Batch { x: x.view(), y: y.view() };
    let _ = Line::output(Vec::new()).logits;
    let _ = Line::parameters(Vec::new()).fc.scale;
    accuracy::<Line>();
    let _: line::Batch = examples(x.view(), y.view());
}
