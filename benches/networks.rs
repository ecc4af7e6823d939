//! The networks that are measured. The same ones, by the same names, are in
//! `peers/` for other frameworks.

use bilro::compiler::error::{Error, Mistake};
use bilro::compiler::network::{Builder, LossReduction, Network};
use bilro::compiler::ops::{AttributeValue, Attributes};
use bilro::compiler::shape::{Shape, Type};
use bilro::prelude::*;

network! {
    /// 784-128-64-10: digits of 28×28 pixels.
    pub struct Mnist {
        input image: [784];
        target digit: class(10);
        output scores =
            image -> Linear(128) -> ReLU -> Linear(64) -> ReLU -> Linear(10) -> LogSoftmax;
        loss nll_loss(scores, digit);
    }
}

/// As many layers of `Linear(256)` and `ReLU`, one after the other, and a
/// squared error.
///
/// # Errors
/// None: the sizes fit.
pub fn chain(layers: usize) -> Result<Network, Error> {
    let fail = |mistake| Error::Declaration { network: "Chain".into(), mistake };
    build_chain(layers).map_err(fail)?.finish()
}

fn build_chain(layers: usize) -> Result<Builder, Mistake> {
    const WIDTH: usize = 256;
    let mut b = Builder::new("Chain");
    let mut x = b.input("x", Type::real(Shape::batched([WIDTH])))?;
    let target = b.target("target", Type::real(Shape::batched([WIDTH])))?;
    let width = Attributes::new().with("out_features", AttributeValue::Size(WIDTH.into()));
    for _ in 0..layers {
        for (kind, attributes) in [("Linear", &width), ("ReLU", &Attributes::new())] {
            let layer = b.layer(None, kind, attributes)?;
            x = b.apply(layer, (x, "x"))?;
        }
    }
    b.output("y", x)?;
    let error = b.call("mse_loss", &[(x, "y"), (target, "target")], &Attributes::new())?;
    b.loss((error, "error"), LossReduction::Mean)?;
    Ok(b)
}
