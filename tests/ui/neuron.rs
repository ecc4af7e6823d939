//! A neuron whose weights lie in a row, as its features do.
use bilro::network;

network! {
    struct Neuron {
        input features: [1, 5];
        param weights: [1, 5] = normal(0, 1);
        output y = sigmoid(features.matmul(weights));
        loss y;
    }
}

fn main() {}
