//! Wide networks, whose products are split into tiles and blocks of k and whose
//! operands are swapped: chains of layers larger than those that
//! [`networks`](crate::networks) draws.

use std::fmt;

use bilro_compiler::declaration::{Builder, Declaration, LossReduction};
use bilro_compiler::ops::{AttributeValue, Attributes};
use bilro_compiler::shape::{Dim, Shape, Type};
use proptest::prelude::*;

/// The recipe of a wide network.
#[derive(Clone)]
pub struct Chain {
    /// Examples in a batch.
    pub batch: usize,
    /// Seed of parameters and data.
    pub seed: u64,
    /// Features of the input.
    pub input: usize,
    /// The layers in order.
    pub layers: Vec<Layer>,
    /// Whether the last values are scores of classes, for cross entropy; else
    /// the loss is the squared error.
    pub classes: bool,
}

/// A `Linear` and an activation.
#[derive(Clone, Copy, Debug)]
pub struct Layer {
    width: usize,
    bias: bool,
    /// An index of `ACTIVATIONS`.
    activation: usize,
}

const ACTIVATIONS: [&str; 4] = ["relu", "tanh", "sigmoid", "neg"];

/// Around the widths of vectors and tiles, and the length of a block of k.
const WIDTHS: [usize; 10] = [1, 10, 33, 64, 120, 257, 300, 512, 513, 600];

/// Batches with long sums in the gradients of weights, for narrow layers.
const BATCHES: [usize; 3] = [513, 600, 1030];
const NARROW: usize = 64;

/// Chains of up to `layers` layers.
pub fn chains(layers: usize) -> impl Strategy<Value = Chain> {
    let width = || (0..WIDTHS.len()).prop_map(|index| WIDTHS[index]);
    let layer = (width(), any::<bool>(), 0..ACTIVATIONS.len())
        .prop_map(|(width, bias, activation)| Layer { width, bias, activation });
    let layers = prop::collection::vec(layer, 2..=layers);
    let large = (0..BATCHES.len()).prop_map(|index| BATCHES[index]);
    let batch = prop_oneof![3 => 1..=40usize, 1 => Just(8usize), 1 => Just(16), 1 => large];
    let fields = (batch, 0..1000u64, width(), layers, any::<bool>());
    fields.prop_map(|(batch, seed, mut input, mut layers, classes)| {
        if batch >= BATCHES[0] {
            input = input.min(NARROW);
            layers.iter_mut().for_each(|layer| layer.width = layer.width.min(NARROW));
        }
        Chain { batch, seed, input, layers, classes }
    })
}

impl Chain {
    /// The network.
    ///
    /// # Panics
    /// If the builder rejects a call: a bug, as all calls are valid.
    pub fn build(&self) -> Declaration {
        let mut b = Builder::new("Chain");
        let mut x = b.input("x", Type::real(Shape::batched([self.input]))).unwrap();
        for layer in &self.layers {
            let attributes = Attributes::new()
                .with("out_features", AttributeValue::Size(Dim::Fixed(layer.width)))
                .with("bias", AttributeValue::Flag(layer.bias));
            let linear = b.layer(None, "Linear", &attributes).unwrap();
            x = b.apply(linear, (x, "x")).unwrap();
            x = b.call(ACTIVATIONS[layer.activation], &[(x, "x")], Attributes::new()).unwrap();
        }
        b.output("y", x).unwrap();
        let width = self.layers.last().map_or(self.input, |layer| layer.width);
        let (ty, loss) = match self.classes {
            true => (Type::index(width, Shape::batched([0usize; 0])), "cross_entropy"),
            false => (Type::real(Shape::batched([width])), "mse_loss"),
        };
        let target = b.target("t", ty).unwrap();
        let loss = b.call(loss, &[(x, "x"), (target, "t")], Attributes::new()).unwrap();
        b.loss((loss, "loss"), LossReduction::Mean).unwrap();
        b.finish().unwrap()
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "batch of {}, seed {}, {} features", self.batch, self.seed, self.input)?;
        for Layer { width, bias, activation } in &self.layers {
            writeln!(f, "    Linear({width}, bias = {bias}) -> {}", ACTIVATIONS[*activation])?;
        }
        writeln!(f, "    classes: {}", self.classes)
    }
}
