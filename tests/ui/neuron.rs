//! A neuron with weights in a row, like its features.
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
