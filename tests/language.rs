//! Networks that must compile, and what they declare.
#![deny(missing_docs, unsafe_code, unused, clippy::all)]

use bilro::Network as _;
use bilro::compiler::network::Network;
use bilro::network;
use bilro::network::Feed;
use ndarray::{Array1, Array2, ArrayD, array};

network! {
    /// Handwritten digits.
    pub struct Digits {
        input image: [784];
        target digit: class(10);

        layer fc1 = Linear(784, 128);
        layer fc2 = Linear(128, 64);
        layer fc3 = Linear(64, 10);

        let hidden = relu(fc2(relu(fc1(image))));
        output logits = fc3(hidden);
        loss cross_entropy(logits, digit);
    }
}

/// Name and shape of every parameter, in order.
fn parameters(network: &Network) -> Vec<String> {
    network.parameters.iter().map(|p| format!("{} {}", p.name, p.shape)).collect()
}

/// Inputs, outputs and metrics.
fn ends(network: &Network) -> String {
    let inputs = network.inputs.iter().map(|i| format!("{}: {}", i.name, i.ty));
    let outputs = network.outputs().map(|(name, shape)| format!("{name}: {shape}"));
    let metrics = network.metrics().map(String::from);
    let join = |all: Vec<String>| all.join(", ");
    format!("{} -> {} | {}", join(inputs.collect()), join(outputs.collect()), join(metrics.collect()))
}

#[test]
fn a_network_with_named_layers() {
    let network = Digits::declaration().unwrap();
    assert_eq!(network.name, "Digits");
    assert_eq!(ends(&network), "image: [784], digit: class(10) -> logits: [10] | accuracy");
    assert_eq!(
        parameters(&network),
        [
            "fc1.weight [784, 128]",
            "fc1.bias [128]",
            "fc2.weight [128, 64]",
            "fc2.bias [64]",
            "fc3.weight [64, 10]",
            "fc3.bias [10]"
        ]
    );
    let image = Array2::zeros((3, 784));
    let digit = Array1::from(vec![1, 2, 3]);
    let batch = digits::Batch { image: image.view(), digit: digit.view() };
    let [Feed::Real(x), Feed::Index(y)] = Digits::batch_feeds(&batch) else {
        panic!("reals, then whole numbers")
    };
    assert_eq!((x.shape(), y.shape()), (&[3, 784][..], &[3][..]));
    let output = Digits::output(vec![ArrayD::zeros(vec![3, 10])]);
    assert_eq!(output.logits.dim(), (3, 10));
    let _ = array![1];
}
