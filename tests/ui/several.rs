//! Several mistakes, several messages; none at uses of the network.
use bilro::{Classifier, FromExamples, Network, network};

network! {
    /// Handwritten digits.
    pub struct Digits {
        input image: [784];
        target digit: class(10);
        layer fc1 = Linear(784, 128);
        layer fc2 = Linear(100, 64);
        layer fc3 = Linear(10);
        let a = rleu(fc1(image));
        let b = fc2(fc1(image));
        let c = a + b;
        output logits = fc3(c);
        output shape = image + c.reshape([2, 3]).sum(axis = 0);
        loss cross_entropy(logits);
    }
}

fn accuracy<N: Classifier>() {}

fn examples<X, Y, B: FromExamples<X, Y>>(x: X, y: Y) -> B {
    B::from_examples(x, y)
}

fn main() {
    accuracy::<Digits>();
    let network = Digits;
    println!("{network:?}");
    let image = bilro::ndarray::Array2::<f32>::zeros((1, 784));
    let digit = bilro::ndarray::Array1::<u32>::zeros(1);
    let batch: digits::Batch = examples(image.view(), digit.view());
    let batch = digits::Batch { image: batch.image, digit: digit.view() };
    let _ = Digits::batch_feeds(&batch);
    let output = Digits::output(Vec::new());
    let score: f32 = output.logits[(0, 0)];
    println!("{score} {}", output.shape.sum());
    let parameters = Digits::parameters(Vec::new());
    println!("{:?} {}", parameters.fc1.weight.dim(), parameters.fc2.bias.sum());
    let gradients = Digits::gradients(Vec::new());
    println!("{:?}", gradients.fc3.weight.clone());
}
