//! Builds a network from a recipe: values and calls; `ops` has the operations.
//!
//! Values are of order one, and arguments of `log`, `sqrt` and `/` away from
//! zero, by estimated bounds of each value; so errors are comparable with
//! rounding. Every recipe is a network: an operation that does not fit its
//! operand is skipped, so that shrinking can remove operations.

mod losses;
mod ops;

use bilro_compiler::declaration::{Builder, Init, LayerId, LossReduction};
use bilro_compiler::graph::NodeId;
use bilro_compiler::ops::{AttributeValue, Attributes};
use bilro_compiler::shape::{Dim, Shape, Type};

use super::{Drawn, DrawnOp, LARGEST, Recipe, SIZES};

pub use losses::LOSSES;
pub(super) use ops::KINDS;

/// Inputs are uniform up to this.
pub(super) const INPUT: f32 = 1.5;
/// Values that are larger are scaled down.
const LIMIT: f32 = 3.0;
/// Lower bound of arguments of `log`, `sqrt` and `/`.
const POSITIVE: f32 = 0.2;

/// A value while a network is drawn.
#[derive(Clone)]
struct Drawable {
    id: NodeId,
    name: String,
    shape: Shape,
    /// The largest magnitude expected.
    limit: f32,
    /// A lower bound for any parameters.
    low: f32,
}

impl Drawable {
    fn dims(&self) -> Vec<usize> {
        self.shape.sizes()
    }

    fn operand(&self) -> (NodeId, &str) {
        (self.id, &self.name)
    }
}

/// A network while it is drawn.
pub(super) struct Drawing {
    b: Builder,
    calls: Vec<String>,
    values: Vec<Drawable>,
    /// Linear layers with their sizes, to be used again.
    layers: Vec<(LayerId, String, usize, usize)>,
    parameters: usize,
}

/// Number of initialisers, and the one whose elements are all equal.
const INITS: u8 = 3;
const ALIKE: u8 = 2;

impl Drawing {
    pub(super) fn new(recipe: &Recipe) -> Drawing {
        let b = Builder::new("Random");
        let mut drawing =
            Drawing { b, calls: Vec::new(), values: Vec::new(), layers: Vec::new(), parameters: 0 };
        for (i, (first, second)) in recipe.inputs.iter().enumerate() {
            let dims: Vec<usize> = [Some(*first), *second].into_iter().flatten().collect();
            let mut dims: Vec<usize> = dims.into_iter().map(|index| SIZES[index]).collect();
            if dims.iter().product::<usize>() > LARGEST {
                dims.pop();
            }
            let (name, shape) = (format!("x{i}"), Shape::batched(dims));
            drawing.calls.push(format!("{name} = input {shape}"));
            let id = drawing.b.input(&name, Type::real(shape.clone())).unwrap();
            drawing.values.push(Drawable { id, name, shape, limit: INPUT, low: -INPUT });
        }
        drawing
    }

    /// The value `back` positions before the latest.
    fn value(&self, back: u8) -> Drawable {
        self.values[self.values.len() - 1 - back as usize % self.values.len()].clone()
    }

    fn push(&mut self, id: NodeId, call: String, limit: f32, low: f32) -> Drawable {
        let name = format!("v{}", self.values.len());
        let shape = self.b.graph().shape(id).clone();
        let batch = if shape.batched { "batch" } else { "" };
        self.calls.push(format!("{name} = {call}  // {batch}{shape}"));
        let value = Drawable { id, name, shape, limit, low };
        self.values.push(value.clone());
        value
    }

    /// A call of a function, with its result scaled down if it is large.
    fn call(
        &mut self,
        function: &str,
        x: &[&Drawable],
        attributes: Attributes,
        limit: f32,
        low: f32,
    ) -> Drawable {
        let value = self.call_as_is(function, x, attributes, limit, low);
        self.settle(value)
    }

    fn call_as_is(
        &mut self,
        function: &str,
        x: &[&Drawable],
        attributes: Attributes,
        limit: f32,
        low: f32,
    ) -> Drawable {
        let operands: Vec<_> = x.iter().map(|x| x.operand()).collect();
        let mut shown: Vec<String> = x.iter().map(|x| x.name.clone()).collect();
        shown.extend(attributes.iter().map(show));
        let call = format!("{function}({})", shown.join(", "));
        let id = match self.b.call(function, &operands, &attributes) {
            Ok(id) => id,
            Err(mistake) => panic!("{}\n{call}: {mistake}", self.calls.join("\n")),
        };
        self.push(id, call, limit, low)
    }

    fn settle(&mut self, x: Drawable) -> Drawable {
        if x.limit <= LIMIT {
            return x;
        }
        let factor = 1.0 / x.limit.ceil();
        let number = self.number(factor);
        self.call_as_is("mul", &[&x, &number], Attributes::new(), x.limit * factor, x.low * factor)
    }

    /// A number, which later operations cannot select.
    fn number(&mut self, x: f32) -> Drawable {
        let id = self.b.number(f64::from(x));
        Drawable { id, name: x.to_string(), shape: Shape::scalar(), limit: x.abs(), low: x }
    }

    /// A parameter, which later operations may select.
    fn parameter(&mut self, dims: &[usize], limit: f32, n: u8) -> Drawable {
        let name = format!("p{}", self.parameters);
        self.parameters += 1;
        let init = match n % INITS {
            ALIKE => Init::Full(f64::from(limit) / 2.0),
            0 => Init::Uniform(-f64::from(limit), f64::from(limit)),
            _ => Init::Normal(0.0, f64::from(limit) / 2.0),
        };
        let shape = Shape::unbatched(dims.iter().copied());
        self.calls.push(format!("{name} = parameter {shape} {init:?}"));
        let dims: Vec<Dim> = dims.iter().copied().map(Dim::Fixed).collect();
        let id = self.b.parameter(&name, dims, init).unwrap();
        let value = Drawable { id, name, shape, limit, low: f32::NEG_INFINITY };
        self.values.push(value.clone());
        value
    }

    /// The value, or a function of it that is above `POSITIVE`.
    fn positive(&mut self, x: Drawable, n: u8) -> Drawable {
        if x.low >= POSITIVE {
            return x;
        }
        let none = Attributes::new();
        match n % 3 {
            0 => {
                let square = self.call("square", &[&x], none.clone(), x.limit * x.limit, 0.0);
                let half = self.number(0.5);
                self.call("add", &[&square, &half], none, square.limit + 0.5, 0.5)
            }
            1 => {
                let bounded = self.call("tanh", &[&x], none.clone(), 1.0, -1.0);
                self.call("exp", &[&bounded], none, 2.72, 0.36)
            }
            _ => {
                let size = self.call("abs", &[&x], none.clone(), x.limit, 0.0);
                let one = self.number(1.0);
                self.call("add", &[&one, &size], none, x.limit + 1.0, 1.0)
            }
        }
    }

    /// A second operand that broadcasts with `x`: a matching value, a number, or
    /// a new parameter: a row, a column, a single number, or the full shape.
    fn partner(&mut self, x: &Drawable, op: DrawnOp) -> Drawable {
        let other = self.value(op.y);
        if op.y > 0 && self.broadcasts(x, &other) {
            return other;
        }
        let dims = x.dims();
        let shape: Vec<usize> = match (op.n % 6, &dims[..]) {
            (0, _) => return self.number(0.75),
            (1, [.., last]) => vec![*last],
            (2, [first, _]) => vec![*first, 1],
            (3, _) => vec![],
            (4, _) => vec![1],
            _ => dims,
        };
        self.parameter(&shape, 1.0, op.y)
    }

    fn broadcasts(&self, x: &Drawable, y: &Drawable) -> bool {
        let (a, b) = (x.dims(), y.dims());
        let fits = a.iter().rev().zip(b.iter().rev()).all(|(a, b)| a == b || *a == 1 || *b == 1);
        let broadcast_len = |a: &[usize], b: &[usize]| {
            let rank = a.len().max(b.len());
            let at = |s: &[usize], i: usize| (i + s.len()).checked_sub(rank).map_or(1, |i| s[i]);
            (0..rank).map(|i| at(a, i).max(at(b, i))).product::<usize>()
        };
        fits && broadcast_len(&a, &b) <= LARGEST
    }

    fn linear(&mut self, x: &Drawable, out: usize, bias: bool) -> Drawable {
        let dims = x.dims();
        let rows: usize = dims[..dims.len() - 1].iter().product();
        let out = if rows * out > LARGEST { 5 } else { out };
        let attributes = Attributes::new()
            .with("out_features", AttributeValue::Size(Dim::Fixed(out)))
            .with("bias", AttributeValue::Flag(bias));
        let layer = self.b.layer(None, "Linear", &attributes).unwrap();
        let name = self.b.layer_name(layer).to_string();
        self.calls.push(format!("layer {name} = Linear(out_features = {out}, bias = {bias})"));
        let width = dims[dims.len() - 1];
        self.layers.push((layer, name, width, out));
        self.apply(self.layers.len() - 1, x)
    }

    fn apply(&mut self, layer: usize, x: &Drawable) -> Drawable {
        let (layer, name, ..) = self.layers[layer].clone();
        let id = self.b.apply(layer, x.operand()).unwrap();
        // Weights are within 1/√in: the sum's standard deviation is a third of
        // the values'; the largest is a few of these.
        let value = self.push(id, format!("{name}({})", x.name), x.limit + 1.0, f32::NEG_INFINITY);
        self.settle(value)
    }

    pub(super) fn finish(mut self, recipe: &Recipe) -> Drawn {
        let last = self.value(0);
        self.output("y", &last);
        for (i, back) in recipe.outputs.iter().enumerate() {
            let value = self.value(*back);
            self.output(&format!("y{i}"), &value);
        }
        let loss = self.loss(&last, recipe.loss, recipe.sums);
        let reduction = if recipe.sums { LossReduction::Sum } else { LossReduction::Mean };
        self.calls.push(format!("loss {reduction:?} {}", loss.name));
        self.b.loss(loss.operand(), reduction).unwrap();
        if recipe.outputs.len() == 2 {
            let value = self.value(recipe.outputs[0]);
            self.calls.push(format!("metric m = {}", value.name));
            self.b.metric("m", value.operand()).unwrap();
        }
        let network = match self.b.finish() {
            Ok(network) => network,
            Err(error) => panic!("{}\n{error}", self.calls.join("\n")),
        };
        Drawn { network, calls: self.calls }
    }

    fn output(&mut self, name: &str, value: &Drawable) {
        self.calls.push(format!("output {name} = {}", value.name));
        self.b.output(name, value.id).unwrap();
    }
}

fn show((name, value): (&str, &AttributeValue)) -> String {
    match value {
        AttributeValue::Axis(x) => format!("{name} = {x}"),
        AttributeValue::Number(x) => format!("{name} = {x}"),
        AttributeValue::Flag(x) => format!("{name} = {x}"),
        AttributeValue::Size(x) => format!("{name} = {x}"),
        AttributeValue::Sizes(x) => {
            let sizes: Vec<_> = x.iter().map(ToString::to_string).collect();
            format!("{name} = [{}]", sizes.join(", "))
        }
        AttributeValue::Axes(x) => format!("{name} = {x:?}"),
        AttributeValue::Keyword(word) => format!("{name} = {word}"),
        AttributeValue::Integer(x) => format!("{name} = {x}"),
        AttributeValue::Numbers(x) => format!("{name} = {x:?}"),
    }
}
