//! Layers: named parameters with the operations on them, and their registry.
//!
//! A layer is one file and one line of the registry; a layer without parameters that applies one
//! operation is one entry of the table in [`functions`].

pub mod batch_norm1d;
pub mod bilinear;
pub mod dropout;
pub mod embedding;
pub mod flatten;
pub mod functions;
pub mod hardtanh;
pub mod identity;
pub mod layer_norm;
pub mod linear;
pub mod prelu;
mod printed;
#[cfg(any(test, feature = "__test-layers"))]
mod sum_and_difference;

use std::fmt;
use std::sync::Arc;

use crate::declaration::{LayerScope, wrong_count};
use crate::error::Mistake;
use crate::graph::NodeId;
use crate::ops::{Attribute, Attributes};
use crate::shape::{Dim, Type};

/// The definition of a layer with `INPUTS` inputs and `OUTPUTS` outputs.
pub trait Layer<const INPUTS: usize = 1, const OUTPUTS: usize = 1>:
    fmt::Debug + Send + Sync + Sized + 'static
{
    /// Its name in the language, PyTorch's.
    const NAME: &'static str;

    /// Its attributes.
    const ATTRIBUTES: &'static [Attribute];

    /// The names of positional arguments, for each allowed number of them.
    const POSITIONAL: &'static [&'static [&'static str]] = &[&[]];

    /// The layer of a call with these attributes, which are checked against [`Self::ATTRIBUTES`].
    fn from_call(attributes: &Attributes) -> Result<Self, Mistake>;

    /// Applies it to values, each with its text for messages.
    fn apply(
        &self,
        scope: &mut LayerScope<'_>,
        x: [(NodeId, &str); INPUTS],
    ) -> Result<[NodeId; OUTPUTS], Mistake>;

    /// Its description for inputs of these types, as `Linear(784, 128)`.
    fn describe(&self, inputs: &[Type; INPUTS]) -> String;

    /// Its description in PyTorch's form for inputs of these types, as
    /// `Linear(in_features=784, out_features=128, bias=True)`.
    ///
    /// Default: [`Layer::describe`] in Python's syntax, `ReLU()`, `Pool(size=2, ceil=True)`, which is
    /// PyTorch's form if `describe` names all arguments as PyTorch does.
    fn module(&self, inputs: &[Type; INPUTS]) -> String {
        printed::call(&self.describe(inputs))
    }
}

/// A layer's line in the registry, as data.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// Its attributes.
    pub attributes: &'static [Attribute],
    /// See [`Layer::POSITIONAL`].
    pub positional: &'static [&'static [&'static str]],
    /// The number of inputs.
    pub inputs: usize,
    /// The number of outputs.
    pub outputs: usize,
    /// See [`Layer::from_call`].
    pub from_call: fn(&Attributes) -> Result<AnyLayer, Mistake>,
}

impl Entry {
    /// Its signature in messages: `Linear(in_features = inferred, out_features, bias = true)`.
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

    /// The names of this number of positional arguments.
    pub fn positional(&self, count: usize) -> Result<&'static [&'static str], Mistake> {
        let names = self.positional.iter().find(|names| names.len() == count);
        names.copied().ok_or_else(|| {
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

const fn entry<L, const INPUTS: usize, const OUTPUTS: usize>() -> Entry
where
    L: Layer<INPUTS, OUTPUTS>,
{
    Entry {
        name: L::NAME,
        attributes: L::ATTRIBUTES,
        positional: L::POSITIONAL,
        inputs: INPUTS,
        outputs: OUTPUTS,
        from_call: |attributes| {
            let layer = L::from_call(attributes)?;
            Ok(AnyLayer(Arc::new(WithArity::<L, INPUTS, OUTPUTS>(layer))))
        },
    }
}

/// A layer of any kind.
#[derive(Clone, Debug)]
pub struct AnyLayer(Arc<dyn DynLayer>);

impl AnyLayer {
    /// The number of inputs.
    pub fn inputs(&self) -> usize {
        self.0.inputs()
    }

    /// The number of outputs.
    pub fn outputs(&self) -> usize {
        self.0.outputs()
    }

    /// See [`Layer::apply`].
    ///
    /// # Errors
    /// Also for a wrong number of inputs.
    pub fn apply(
        &self,
        scope: &mut LayerScope<'_>,
        x: &[(NodeId, &str)],
    ) -> Result<Vec<NodeId>, Mistake> {
        self.0.apply(scope, x)
    }

    /// See [`Layer::describe`]; empty for a wrong number of inputs.
    pub fn describe(&self, inputs: &[Type]) -> String {
        self.0.describe(inputs)
    }

    /// See [`Layer::module`]; empty for a wrong number of inputs.
    pub fn module(&self, inputs: &[Type]) -> String {
        self.0.module(inputs)
    }
}

/// The object-safe form of [`Layer`], without the numbers of inputs and outputs in the type.
trait DynLayer: fmt::Debug + Send + Sync {
    fn inputs(&self) -> usize;
    fn outputs(&self) -> usize;
    fn apply(
        &self,
        scope: &mut LayerScope<'_>,
        x: &[(NodeId, &str)],
    ) -> Result<Vec<NodeId>, Mistake>;
    fn describe(&self, inputs: &[Type]) -> String;
    fn module(&self, inputs: &[Type]) -> String;
}

/// A layer with its numbers of inputs and outputs.
#[derive(Debug)]
struct WithArity<L, const INPUTS: usize, const OUTPUTS: usize>(L);

impl<L, const INPUTS: usize, const OUTPUTS: usize> DynLayer for WithArity<L, INPUTS, OUTPUTS>
where
    L: Layer<INPUTS, OUTPUTS>,
{
    fn inputs(&self) -> usize {
        INPUTS
    }

    fn outputs(&self) -> usize {
        OUTPUTS
    }

    fn apply(
        &self,
        scope: &mut LayerScope<'_>,
        x: &[(NodeId, &str)],
    ) -> Result<Vec<NodeId>, Mistake> {
        match x.try_into() {
            Ok(x) => self.0.apply(scope, x).map(Vec::from),
            Err(_) => {
                let shown = form(scope.shown(), INPUTS);
                Err(Mistake::call(wrong_count(scope.shown(), INPUTS, x.len(), &shown)))
            }
        }
    }

    fn describe(&self, inputs: &[Type]) -> String {
        inputs.try_into().map_or_else(|_| String::new(), |inputs| self.0.describe(inputs))
    }

    fn module(&self, inputs: &[Type]) -> String {
        inputs.try_into().map_or_else(|_| String::new(), |inputs| self.0.module(inputs))
    }
}

/// The form of a layer's call in messages: `fc(x)`, `both(x1, x2)`.
pub fn form(name: &str, inputs: usize) -> String {
    let inputs: Vec<String> = match inputs {
        1 => vec!["x".into()],
        _ => (1..=inputs).map(|i| format!("x{i}")).collect(),
    };
    format!("{name}({})", inputs.join(", "))
}

/// The layers with a separate file.
const FILES: [Entry; 10] = [
    entry::<linear::Linear, _, _>(),
    entry::<bilinear::Bilinear, _, _>(),
    entry::<embedding::Embedding, _, _>(),
    entry::<dropout::Dropout, _, _>(),
    entry::<layer_norm::LayerNorm, _, _>(),
    entry::<batch_norm1d::BatchNorm1d, _, _>(),
    entry::<prelu::PReLU, _, _>(),
    entry::<hardtanh::Hardtanh, _, _>(),
    entry::<identity::Identity, _, _>(),
    entry::<flatten::Flatten, _, _>(),
];

/// All layers: those with a separate file, then the [`functions`].
pub const ALL: &[Entry] = &{
    let mut all = [FILES[0]; FILES.len() + functions::ALL.len()];
    let mut i = 0;
    while i < all.len() {
        all[i] = if i < FILES.len() { FILES[i] } else { functions::ALL[i - FILES.len()] };
        i += 1;
    }
    all
};

/// The number of features of a layer: the size of the last or first axis of `x`, which must equal
/// `declared`, or the first axis of the layer's `parameter` if an earlier use has inferred it.
fn features(
    scope: &mut LayerScope<'_>,
    x: (NodeId, &str),
    axis: Axis,
    declared: Option<&Dim>,
    parameter: &str,
) -> Result<Dim, Mistake> {
    let size = size_along(scope, 0, x, axis)?;
    let expected = declared.cloned().or_else(|| inferred(scope, parameter));
    let expected = expected.unwrap_or_else(|| size.clone());
    matches_features(scope, x.1, &expected, &size)?;
    Ok(expected)
}

/// The size of the first or last axis of `x`, the operand at `index`.
fn size_along(
    scope: &LayerScope<'_>,
    index: usize,
    x: (NodeId, &str),
    axis: Axis,
) -> Result<Dim, Mistake> {
    let dims = &real(scope, index, x)?.shape.dims;
    let size = match axis {
        Axis::First => dims.first(),
        Axis::Last => dims.last(),
    };
    size.cloned().ok_or_else(|| {
        let message =
            format!("`{}` takes features, but `{}` is a single number", scope.shown(), x.1);
        Mistake::operand(index, message)
    })
}

/// Requires the number of features of a value, shown as `text`, to be `expected`.
fn matches_features(
    scope: &mut LayerScope<'_>,
    text: &str,
    expected: &Dim,
    found: &Dim,
) -> Result<(), Mistake> {
    let shown = scope.shown();
    let mistake =
        Mistake::call(format!("`{shown}` takes {expected} features, but `{text}` has {found}"));
    scope.same(expected, found, mistake)
}

/// The axis of features.
#[derive(Clone, Copy)]
enum Axis {
    First,
    Last,
}

/// The size of the first axis of a parameter that an earlier use has declared.
fn inferred(scope: &LayerScope<'_>, parameter: &str) -> Option<Dim> {
    scope.declared(parameter).map(|id| scope.ty(id).shape.dims[0].clone())
}

/// The type of the operand at `index`, which must be real.
fn real<'a>(
    scope: &'a LayerScope<'_>,
    index: usize,
    x: (NodeId, &str),
) -> Result<&'a Type, Mistake> {
    let ty = scope.ty(x.0);
    match ty.is_real() {
        true => Ok(ty),
        false => {
            let message = format!("`{}` takes reals, but `{}` holds {ty}", scope.shown(), x.1);
            Err(Mistake::operand(index, message))
        }
    }
}

/// Layers for tests, which are found by name but not listed.
#[cfg(any(test, feature = "__test-layers"))]
const TEST_LAYERS: &[Entry] = &[entry::<sum_and_difference::SumAndDifference, _, _>()];
#[cfg(not(any(test, feature = "__test-layers")))]
const TEST_LAYERS: &[Entry] = &[];

/// The layer of this name.
pub fn find(name: &str) -> Option<&'static Entry> {
    ALL.iter().chain(TEST_LAYERS).find(|e| e.name == name)
}

/// The names of all layers.
pub fn names() -> impl Iterator<Item = &'static str> + Clone {
    ALL.iter().map(|e| e.name)
}
