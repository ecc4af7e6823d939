//! Layers: parameters and the operations that they stand for, under a name.
//!
//! A layer is one file and one line below.

mod printed;

use crate::declaration::LayerScope;
use crate::error::Mistake;
use crate::graph::NodeId;
use crate::ops::{Attribute, Attributes, Operation};
use crate::shape::{Dim, Type};

/// What a layer is made of.
pub trait Layer: Clone + std::fmt::Debug {
    /// Its name in the language, PyTorch's.
    const NAME: &'static str;

    /// Its attributes.
    const ATTRIBUTES: &'static [Attribute];

    /// What arguments without a name mean, for each number of them that is
    /// allowed.
    const POSITIONAL: &'static [&'static [&'static str]] = &[&[]];

    /// The layer that attributes mean; they have been checked against
    /// [`Self::ATTRIBUTES`].
    fn from_call(attributes: &Attributes) -> Result<Self, Mistake>;

    /// Its operations on a value.
    fn apply(&self, scope: &mut LayerScope<'_>, x: (NodeId, &str)) -> Result<NodeId, Mistake>;

    /// What it is on values of this type, as `Linear(784, 128)`.
    fn describe(&self, input: &Type) -> String;

    /// What PyTorch prints of it on values of this type, as
    /// `Linear(in_features=784, out_features=128, bias=True)`.
    ///
    /// Unless told, [`Layer::describe`] as Python writes it: `ReLU()`,
    /// `Pool(size=2, ceil=True)`. That is PyTorch's form only where
    /// `describe` names every argument, and as PyTorch does.
    fn module(&self, input: &Type) -> String {
        printed::call(&self.describe(input))
    }
}

/// A layer's line in the registry, as data.
#[derive(Debug)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// Its attributes.
    pub attributes: &'static [Attribute],
    /// See [`Layer::POSITIONAL`].
    pub positional: &'static [&'static [&'static str]],
    /// The layer that attributes mean.
    pub from_call: fn(&Attributes) -> Result<AnyLayer, Mistake>,
}

impl Entry {
    /// The layer as it is shown to a user: `Linear(in_features = inferred, out_features, bias = true)`.
    pub fn show(&self) -> String {
        let attributes: Vec<_> = self
            .attributes
            .iter()
            .map(|a| match a.default {
                Some(default) => format!("{} = {default}", a.name),
                None => a.name.to_string(),
            })
            .collect();
        format!("{}({})", self.name, attributes.join(", "))
    }

    /// The names of this many arguments without a name.
    pub fn positional(&self, count: usize) -> Result<&'static [&'static str], Mistake> {
        let takes = self.positional.iter().find(|names| names.len() == count);
        takes.copied().ok_or_else(|| {
            let most = self.positional.iter().map(|names| names.len()).max().unwrap_or(0);
            let plural = if most == 1 { "" } else { "s" };
            let was = if count == 1 { "was" } else { "were" };
            let takes = if most == 0 { "no".into() } else { format!("at most {most}") };
            Mistake::call(format!(
                "`{}` takes {takes} argument{plural} without a name, but {count} {was} given: \
                 it is called as `{}`",
                self.name,
                self.show(),
            ))
        })
    }
}

macro_rules! layers {
    ($($module:ident :: $Variant:ident),* $(,)?) => {
        $(pub mod $module;)*

        /// Every layer there is.
        #[derive(Clone, Debug)]
        pub enum AnyLayer {
            $(#[doc = concat!("See [`", stringify!($module), "`].")] $Variant($module::$Variant),)*
        }

        /// The registry, in its order.
        pub const ALL: &[Entry] = &[$(Entry {
            name: <$module::$Variant as Layer>::NAME,
            attributes: <$module::$Variant as Layer>::ATTRIBUTES,
            positional: <$module::$Variant as Layer>::POSITIONAL,
            from_call: |a| <$module::$Variant as Layer>::from_call(a).map(AnyLayer::$Variant),
        }),*];

        impl AnyLayer {
            /// See [`Layer::apply`].
            pub fn apply(&self, scope: &mut LayerScope<'_>, x: (NodeId, &str)) -> Result<NodeId, Mistake> {
                match self {
                    $(AnyLayer::$Variant(layer) => layer.apply(scope, x),)*
                }
            }

            /// See [`Layer::describe`].
            pub fn describe(&self, input: &Type) -> String {
                match self {
                    $(AnyLayer::$Variant(layer) => layer.describe(input),)*
                }
            }

            /// See [`Layer::module`].
            pub fn module(&self, input: &Type) -> String {
                match self {
                    $(AnyLayer::$Variant(layer) => layer.module(input),)*
                }
            }
        }
    };
}

layers! {
    linear::Linear,
    embedding::Embedding,
    relu::ReLU,
    sigmoid::Sigmoid,
    tanh::Tanh,
    softmax::Softmax,
    log_softmax::LogSoftmax,
    dropout::Dropout,
    layer_norm::LayerNorm,
    batch_norm1d::BatchNorm1d,
    elu::ELU,
    selu::SELU,
    gelu::GELU,
    silu::SiLU,
    mish::Mish,
    softplus::Softplus,
    softsign::Softsign,
    leaky_relu::LeakyReLU,
    prelu::PReLU,
    hardtanh::Hardtanh,
    hardsigmoid::Hardsigmoid,
    logsigmoid::LogSigmoid,
    step::Step,
    identity::Identity,
    flatten::Flatten,
}

/// The size of the axis of `x` that a layer's features lie on, `axis` counted
/// from the end where negative; required to be `declared`, where it is.
fn features(
    scope: &mut LayerScope<'_>,
    x: (NodeId, &str),
    axis: i64,
    declared: Option<&Dim>,
) -> Result<Dim, Mistake> {
    let ty = scope.ty(x.0).clone();
    if !ty.is_real() {
        let message = format!("`{}` takes reals, but `{}` holds {ty}", scope.shown(), x.1);
        return Err(Mistake::operand(0, message));
    }
    let size = if axis < 0 { ty.shape.dims.last() } else { ty.shape.dims.first() };
    let Some(has) = size else {
        let message =
            format!("`{}` takes features, but `{}` is a single number", scope.shown(), x.1);
        return Err(Mistake::operand(0, message));
    };
    let takes = declared.unwrap_or(has).clone();
    let shown = scope.shown();
    let mistake =
        Mistake::call(format!("`{shown}` takes {takes} features, but `{}` has {has}", x.1));
    scope.same(&takes, has, mistake)?;
    Ok(takes)
}

/// The layer of this name.
pub fn find(name: &str) -> Option<&'static Entry> {
    ALL.iter().find(|e| e.name == name)
}

/// The names of all layers.
pub fn names() -> impl Iterator<Item = &'static str> + Clone {
    ALL.iter().map(|e| e.name)
}

/// The attributes of an operation, for the layer that is nothing else.
const fn attributes_of<F: Operation>() -> &'static [Attribute] {
    match F::CALL {
        Some(call) => call.attributes,
        None => &[],
    }
}
