//! What the code that `network!` writes calls. Not for users: it changes whenever the macro does.

use bilro_compiler::declaration::{Builder, ChoiceId, Declaration, LayerId, ModuleId};
use bilro_compiler::error::{Error, Mistake};
use bilro_compiler::graph::NodeId;
use bilro_compiler::ops::{AttributeValue, Attributes};
use bilro_compiler::shape::{Dim, Shape, Type};
use ndarray::{Array, ArrayD, ArrayView, ArrayViewD, ArrayViewMut, ArrayViewMutD, Dimension};

use crate::network::Feed;

pub use bilro_compiler::declaration::{Init, LossReduction};
pub use bilro_macros::declare;
// Under names of its own, since a program may call something else so.
pub use crate as bilro;
pub use std;
pub use std::primitive::{f32, u32, usize};

/// A network that is being declared: the compiler's builder, with sizes that are numbers.
pub struct Declaring {
    name: &'static str,
    builder: Builder,
}

type Operand<'a> = (NodeId, &'a str);

fn dims(sizes: &[usize]) -> Vec<Dim> {
    sizes.iter().copied().map(Dim::Fixed).collect()
}

fn attributes(given: &[(&str, AttributeValue)]) -> Attributes {
    let mut attributes = Attributes::new();
    given.iter().for_each(|(name, value)| attributes.set(name, value.clone()));
    attributes
}

impl Declaring {
    /// Nothing yet.
    pub fn new(name: &'static str) -> Declaring {
        Declaring { name, builder: Builder::new(name) }
    }

    fn checked<T>(&self, result: Result<T, Mistake>) -> Result<T, Error> {
        result.map_err(|mistake| Error::Declaration { network: self.name.into(), mistake })
    }

    /// Keeps a name from layers and modules without one.
    pub fn reserve(&mut self, name: &str) {
        self.builder.reserve(name);
    }

    /// A module.
    pub fn module(&mut self, name: Option<&str>, kind: &str) -> ModuleId {
        self.builder.module(name, kind)
    }

    /// Goes into a module.
    pub fn enter(&mut self, module: ModuleId) {
        self.builder.enter(module);
    }

    /// Goes out of it.
    pub fn leave(&mut self) {
        self.builder.leave();
    }

    fn leaf(&mut self, name: &str, is_target: bool, ty: Type) -> Result<NodeId, Error> {
        let node = match is_target {
            true => self.builder.target(name, ty),
            false => self.builder.input(name, ty),
        };
        self.checked(node)
    }

    /// An input or a target of reals.
    pub fn real(&mut self, name: &str, is_target: bool, sizes: &[usize]) -> Result<NodeId, Error> {
        self.leaf(name, is_target, Type::real(Shape::batched(dims(sizes))))
    }

    /// An input or a target of whole numbers.
    pub fn index(
        &mut self,
        name: &str,
        is_target: bool,
        below: usize,
        sizes: &[usize],
    ) -> Result<NodeId, Error> {
        self.leaf(name, is_target, Type::index(below, Shape::batched(dims(sizes))))
    }

    /// Asks for the gradient with respect to an input.
    pub fn differentiate(&mut self, input: NodeId) -> Result<(), Error> {
        let result = self.builder.differentiate(input);
        self.checked(result)
    }

    /// Something to choose with every call.
    pub fn choice(&mut self, name: &str, alternatives: &[&str]) -> Result<ChoiceId, Error> {
        let choice = self.builder.choice(name, alternatives);
        self.checked(choice)
    }

    /// What is chosen.
    pub fn choose(&mut self, choice: ChoiceId, x: &[Operand<'_>]) -> Result<NodeId, Error> {
        let node = self.builder.choose(choice, x);
        self.checked(node)
    }

    /// A parameter of its own.
    pub fn parameter(&mut self, name: &str, sizes: &[usize], init: Init) -> Result<NodeId, Error> {
        let node = self.builder.parameter(name, dims(sizes), init);
        self.checked(node)
    }

    /// A number.
    pub fn number(&mut self, x: f64) -> NodeId {
        self.builder.number(x)
    }

    /// A function or an operator.
    pub fn call(
        &mut self,
        function: &str,
        operands: &[Operand<'_>],
        given: &[(&str, AttributeValue)],
    ) -> Result<NodeId, Error> {
        let node = self.builder.call(function, operands, &attributes(given));
        self.checked(node)
    }

    /// A layer.
    pub fn layer(
        &mut self,
        name: Option<&str>,
        kind: &str,
        given: &[(&str, AttributeValue)],
    ) -> Result<LayerId, Error> {
        let layer = self.builder.layer(name, kind, &attributes(given));
        self.checked(layer)
    }

    /// A layer on a value.
    pub fn apply(&mut self, layer: LayerId, x: Operand<'_>) -> Result<NodeId, Error> {
        let node = self.builder.apply(layer, x);
        self.checked(node)
    }

    /// Names a value.
    pub fn bind(&mut self, name: &str, x: NodeId) {
        self.builder.bind(name, x);
    }

    /// An output.
    pub fn output(&mut self, name: &str, x: NodeId) -> Result<(), Error> {
        let result = self.builder.output(name, x);
        self.checked(result)
    }

    /// The loss.
    pub fn loss(&mut self, x: Operand<'_>, reduction: LossReduction) -> Result<(), Error> {
        let result = self.builder.loss(x, reduction);
        self.checked(result)
    }

    /// A metric.
    pub fn metric(&mut self, name: &str, x: Operand<'_>) -> Result<(), Error> {
        let result = self.builder.metric(name, x);
        self.checked(result)
    }

    /// The network.
    pub fn finish(self) -> Result<Declaration, Error> {
        self.builder.finish()
    }
}

/// The declaration of a network with mistakes in it, which does not compile.
pub fn mistaken(name: &str) -> Result<Declaration, Error> {
    Err(Error::Declaration { network: name.into(), mistake: Mistake::call("has mistakes") })
}

/// An axis as an attribute.
pub fn axis(axis: i64) -> AttributeValue {
    AttributeValue::Axis(axis)
}

/// Axes as an attribute.
pub fn axes(axes: &[i64]) -> AttributeValue {
    AttributeValue::Axes(axes.to_vec())
}

/// A word as an attribute.
pub fn choice(word: &str) -> AttributeValue {
    AttributeValue::Choice(word.into())
}

/// A whole number as an attribute.
pub fn whole(n: usize) -> AttributeValue {
    AttributeValue::Whole(n)
}

/// Numbers as an attribute.
pub fn numbers(numbers: &[f64]) -> AttributeValue {
    AttributeValue::Numbers(numbers.to_vec())
}

/// A number as an attribute.
pub fn number(x: f64) -> AttributeValue {
    AttributeValue::Number(x)
}

/// A flag as an attribute.
pub fn flag(flag: bool) -> AttributeValue {
    AttributeValue::Flag(flag)
}

/// A size as an attribute.
pub fn size(size: usize) -> AttributeValue {
    AttributeValue::Size(Dim::Fixed(size))
}

/// Sizes as an attribute.
pub fn sizes(sizes: &[usize]) -> AttributeValue {
    AttributeValue::Sizes(dims(sizes))
}

/// Reals for an input.
pub fn real<'a, D: Dimension>(x: &'a ArrayView<'_, f32, D>) -> Feed<'a> {
    Feed::Real(x.view().into_dyn())
}

/// Whole numbers for an input.
pub fn index<'a, D: Dimension>(x: &'a ArrayView<'_, u32, D>) -> Feed<'a> {
    Feed::Index(x.view().into_dyn())
}

/// One of a network's gradients.
pub fn gradient_view<D: Dimension>(gradient: &Array<f32, D>) -> ArrayViewD<'_, f32> {
    gradient.view().into_dyn()
}

/// The next of the arrays that the engine made for a network.
///
/// # Panics
/// If it is not there or has another number of axes than declared: a bug of the engine.
pub fn next_array<D: Dimension>(arrays: &mut impl Iterator<Item = ArrayD<f32>>) -> Array<f32, D> {
    let array = arrays.next().expect("the engine makes every array of the network");
    array.into_dimensionality().expect("the engine makes arrays as declared")
}

/// The next of the views that the engine made for a network.
///
/// # Panics
/// If it is not there or has another number of axes than declared: a bug of the engine.
pub fn next_view<'a, D: Dimension>(
    views: &mut impl Iterator<Item = ArrayViewD<'a, f32>>,
) -> ArrayView<'a, f32, D> {
    let view = views.next().expect("the engine has a view of every parameter");
    view.into_dimensionality().expect("the engine's views are as declared")
}

/// The next of the views to write through that the engine made for a network.
///
/// # Panics
/// If it is not there or has another number of axes than declared: a bug of the engine.
pub fn next_view_mut<'a, D: Dimension>(
    views: &mut impl Iterator<Item = ArrayViewMutD<'a, f32>>,
) -> ArrayViewMut<'a, f32, D> {
    let view = views.next().expect("the engine has a view of every parameter");
    view.into_dimensionality().expect("the engine's views are as declared")
}

/// Stops the compiler of Rust where sizes that are constants do not fit.
///
/// # Panics
/// Always, with the message and the sizes.
#[track_caller]
pub const fn misfit(message: &str, sizes: &[(&str, usize)]) -> ! {
    let mut text = Text { bytes: [0; MESSAGE], length: 0 };
    text.push(message);
    let mut i = 0;
    while i < sizes.len() {
        text.push(if i == 0 { " (" } else { ", " });
        text.push(sizes[i].0);
        text.push(" is ");
        text.push_number(sizes[i].1);
        i += 1;
    }
    if !sizes.is_empty() {
        text.push(")");
    }
    let (text, _) = text.bytes.split_at(text.length);
    match std::str::from_utf8(text) {
        Ok(text) => panic!("{}", text),
        // Cut off inside a letter.
        Err(_) => panic!("{}", message),
    }
}

/// The longest message of [`misfit`]; what is longer is cut off.
const MESSAGE: usize = 1024;

/// Text that can be written while the compiler of Rust runs.
struct Text {
    bytes: [u8; MESSAGE],
    length: usize,
}

impl Text {
    const fn push(&mut self, text: &str) {
        let text = text.as_bytes();
        let mut i = 0;
        while i < text.len() && self.length < MESSAGE {
            self.bytes[self.length] = text[i];
            self.length += 1;
            i += 1;
        }
    }

    const fn push_number(&mut self, n: usize) {
        if n >= 10 {
            self.push_number(n / 10);
        }
        if self.length < MESSAGE {
            self.bytes[self.length] = b'0' + (n % 10) as u8;
            self.length += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    #[should_panic(expected = "`fc` takes N features (N is 120, `M + 1` is 7)")]
    fn a_misfit_shows_the_sizes() {
        super::misfit("`fc` takes N features", &[("N", 120), ("`M + 1`", 7)]);
    }
}
