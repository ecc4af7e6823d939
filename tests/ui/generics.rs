//! Sizes that are determined by a use of the network.
use bilro::{Network, network};

network! {
    /// A perceptron with one hidden layer.
    pub struct Mlp<const HIDDEN: usize> {
        input image: [784];
        target digit: class(10);
        layer fc1 = Linear(784, 128);
        layer fc2 = Linear(HIDDEN, 10);
        output logits = image -> fc1 -> ReLU -> fc2;
        loss cross_entropy(logits, digit);
    }
}

fn main() {
    let _ = Mlp::<128>::declaration();
    let _ = Mlp::<100>::declaration();
}
