//! The measured networks. `peers/` has the same ones, with the same names, for
//! other frameworks.

use bilro::compiler::declaration::{Builder, Declaration, LossReduction};
use bilro::compiler::error::{Error, Mistake};
use bilro::compiler::ops::{AttributeValue, Attributes};
use bilro::compiler::shape::{Shape, Type};
use bilro::ndarray::{Array, Array1, Array2, ArrayView, ArrayView2, Dimension};
use bilro::network::{FromExamples, Trainable};
use bilro::prelude::*;

use crate::arrays::{Heads, Pairs, Tabular, steps};

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

network! {
    /// 4096-120-10: a wide input, a squared error.
    pub struct Wide {
        input image: [4096];
        target expected: [10];
        output y = image -> Linear(120) -> ReLU -> Linear(10) -> Sigmoid;
        loss mse_loss(y, expected);
    }
}

network! {
    /// 2-1: one neuron, for the overhead of a step.
    pub struct Neuron {
        input point: [2];
        target label: [1];
        output p = point -> Linear(1) -> Sigmoid;
        loss binary_cross_entropy(p, label);
    }
}

network! {
    /// 1024-4096-4096-10: parameters larger than the caches.
    pub struct Large {
        input x: [1024];
        target class: class(10);
        output scores = x -> Linear(4096) -> ReLU -> Linear(4096) -> ReLU -> Linear(10);
        loss cross_entropy(scores, class);
    }
}

network! {
    /// 64-128-64-10: the example's digits of 8×8 pixels.
    pub struct Digits {
        input image: [64];
        target digit: class(10);
        output scores = image -> Linear(128) -> ReLU -> Linear(64) -> ReLU -> Linear(10);
        loss cross_entropy(scores, digit);
    }
}

/// A measurement: a network, a batch size, a purpose.
#[derive(Clone, Copy)]
pub struct Case {
    /// The network's name: its sizes.
    pub network: &'static str,
    /// Examples per call.
    pub batch: usize,
    /// Training or predicting.
    pub purpose: Purpose,
    /// The compiler's declaration of the network.
    pub declare: fn() -> Result<Declaration, Error>,
    /// Prepares the timed call, from the batch size and the number of threads.
    prepare: fn(usize, usize) -> bilro::Result<Call>,
}

/// The timed call.
pub type Call = Box<dyn FnMut()>;

/// The purpose of a case.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// A complete training step: forward, backward, update.
    Step,
    /// The outputs from the inputs.
    Forward,
}

impl Purpose {
    /// The purpose in a case's id.
    pub fn name(self) -> &'static str {
        match self {
            Purpose::Step => "step",
            Purpose::Forward => "forward",
        }
    }
}

/// The learning rate of all steps.
pub const LEARNING_RATE: f32 = 0.01;

impl Case {
    /// All cases.
    pub fn all() -> Vec<Case> {
        let step = |network, batch, declare, prepare| Case {
            network,
            batch,
            purpose: Purpose::Step,
            declare,
            prepare,
        };
        let mnist = "784-128-64-10";
        let mut cases = Vec::new();
        for batch in [1, 8, 64, 512] {
            cases.push(step(mnist, batch, Mnist::declaration, |batch, threads| {
                trainer::<Mnist, _, _>(reals(batch, 784), classes(batch), threads)
            }));
        }
        for batch in [1, 64] {
            cases.push(Case {
                network: mnist,
                batch,
                purpose: Purpose::Forward,
                declare: Mnist::declaration,
                prepare: |batch, threads| {
                    let image = reals(batch, 784);
                    let model = Mnist::model().threads(threads).build()?;
                    model.predict(mnist::Input { image: image.view() })?;
                    Ok(Box::new(move || {
                        let output = model.predict(mnist::Input { image: image.view() });
                        output.expect("the same arrays were accepted before");
                    }))
                },
            });
        }
        cases.push(step("64-128-64-10", 64, Digits::declaration, |batch, threads| {
            trainer::<Digits, _, _>(reals(batch, 64), classes(batch), threads)
        }));
        cases.push(step("4096-120-10", 10, Wide::declaration, |batch, threads| {
            trainer::<Wide, _, _>(reals(batch, 4096), reals(batch, 10), threads)
        }));
        cases.push(step("2-1", 1, Neuron::declaration, |batch, threads| {
            trainer::<Neuron, _, _>(reals(batch, 2), reals(batch, 1), threads)
        }));
        cases.push(step("1024-4096-4096-10", 256, Large::declaration, |batch, threads| {
            trainer::<Large, _, _>(reals(batch, 1024), classes(batch), threads)
        }));
        cases.push(step("tabular", 256, Tabular::declaration, |batch, threads| {
            steps(Tabular::declaration()?, batch, threads)
        }));
        cases.push(step("heads", 32, Heads::declaration, |batch, threads| {
            steps(Heads::declaration()?, batch, threads)
        }));
        cases.push(step("einsum", 64, Pairs::declaration, |batch, threads| {
            steps(Pairs::declaration()?, batch, threads)
        }));
        cases
    }

    /// A unique name: `784-128-64-10/64/step`.
    pub fn id(&self) -> String {
        format!("{}/{}/{}", self.network, self.batch, self.purpose.name())
    }

    /// The timed call, a user's: `Trainer::step` or `Model::predict`. It has
    /// been called once, so everything is compiled.
    ///
    /// # Errors
    /// As the call.
    pub fn prepare(&self, threads: usize) -> bilro::Result<Call> {
        (self.prepare)(self.batch, threads)
    }

    /// Floating-point operations of one call, two per multiply-add of a matrix
    /// product. A step has three products per layer (forward, and the
    /// gradients of weight and input), but two for the first, whose input
    /// needs no gradient.
    pub fn operations(&self, declaration: &Declaration) -> usize {
        let layers: usize = declaration.layers.iter().map(|l| l.multiply_adds).sum();
        let first = declaration.layers.first().map_or(0, |l| l.multiply_adds);
        let multiply_adds = match self.purpose {
            Purpose::Step => 3 * layers - first,
            Purpose::Forward => layers,
        };
        2 * self.batch * multiply_adds
    }
}

/// Training steps repeated on the same batch.
fn trainer<N, B, D>(x: Array2<f32>, y: Array<B, D>, threads: usize) -> bilro::Result<Call>
where
    N: Trainable,
    B: 'static,
    D: Dimension + 'static,
    for<'a> N::Batch<'a>: FromExamples<ArrayView2<'a, f32>, ArrayView<'a, B, D>>,
{
    let mut trainer = N::trainer(Sgd::new(LEARNING_RATE)).threads(threads).build()?;
    trainer.step(N::Batch::from_examples(x.view(), y.view()))?;
    Ok(Box::new(move || {
        let loss = trainer.step(N::Batch::from_examples(x.view(), y.view()));
        loss.expect("the same arrays were accepted before");
    }))
}

/// Numbers between 0 and 1, always the same.
fn reals(batch: usize, size: usize) -> Array2<f32> {
    let mut generator = bilro::rng::Generator::new(1);
    let mut x = vec![0.0; batch * size];
    generator.fill_uniform(&mut x, 0.0, 1.0);
    Array2::from_shape_vec((batch, size), x).expect("the length matches the sizes")
}

/// Classes below 10, always the same.
fn classes(batch: usize) -> Array1<u32> {
    reals(batch, 1).iter().map(|x| (x * 10.0) as u32).collect()
}

/// A chain of this number of `Linear(256)` and `ReLU` layers, with a squared
/// error.
///
/// # Errors
/// None: the sizes fit.
pub fn chain(layers: usize) -> Result<Declaration, Error> {
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
    let error = b.call("mse_loss", &[(x, "y"), (target, "target")], Attributes::new())?;
    b.loss((error, "error"), LossReduction::Mean)?;
    Ok(b)
}
