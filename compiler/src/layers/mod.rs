//! Layers: parameters and the operations that they stand for, under a name.
//!
//! A layer is one file and one line of [`ALL`]; one that is a function and nothing else is one entry
//! of the table in [`functions`].

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
#[cfg(debug_assertions)]
mod sum_and_difference;

use std::fmt;
use std::sync::Arc;

use crate::declaration::{LayerScope, wrong_count};
use crate::error::Mistake;
use crate::graph::NodeId;
use crate::ops::{Attribute, Attributes};
use crate::shape::{Dim, Type};

/// What a layer is made of; it takes so many values, and gives so many.
pub trait Layer<const INPUTS: usize = 1, const OUTPUTS: usize = 1>:
    fmt::Debug + Send + Sync + Sized + 'static
{
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

    /// Its operations on values, each with the text that messages show for it.
    fn apply(
        &self,
        scope: &mut LayerScope<'_>,
        x: [(NodeId, &str); INPUTS],
    ) -> Result<[NodeId; OUTPUTS], Mistake>;

    /// What it is on values of these types, as `Linear(784, 128)`.
    fn describe(&self, inputs: &[Type; INPUTS]) -> String;

    /// What PyTorch prints of it on values of these types, as
    /// `Linear(in_features=784, out_features=128, bias=True)`.
    ///
    /// Unless stated, [`Layer::describe`] as Python writes it: `ReLU()`,
    /// `Pool(size=2, ceil=True)`. That is PyTorch's form only where
    /// `describe` names every argument, and as PyTorch does.
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
    /// How many values it takes.
    pub inputs: usize,
    /// How many values it gives.
    pub outputs: usize,
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
            Ok(AnyLayer(Arc::new(Applicable::<L, INPUTS, OUTPUTS>(layer))))
        },
    }
}

/// A layer of any kind.
#[derive(Clone, Debug)]
pub struct AnyLayer(Arc<dyn Any>);

impl AnyLayer {
    /// How many values it takes.
    pub fn inputs(&self) -> usize {
        self.0.inputs()
    }

    /// How many values it gives.
    pub fn outputs(&self) -> usize {
        self.0.outputs()
    }

    /// See [`Layer::apply`].
    ///
    /// # Errors
    /// Also where it takes another number of values.
    pub fn apply(
        &self,
        scope: &mut LayerScope<'_>,
        x: &[(NodeId, &str)],
    ) -> Result<Vec<NodeId>, Mistake> {
        self.0.apply(scope, x)
    }

    /// See [`Layer::describe`]; nothing for another number of values than it takes.
    pub fn describe(&self, inputs: &[Type]) -> String {
        self.0.describe(inputs)
    }

    /// See [`Layer::module`]; nothing for another number of values than it takes.
    pub fn module(&self, inputs: &[Type]) -> String {
        self.0.module(inputs)
    }
}

/// [`Layer`] without its numbers of values in the type.
trait Any: fmt::Debug + Send + Sync {
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

#[derive(Debug)]
struct Applicable<L, const INPUTS: usize, const OUTPUTS: usize>(L);

impl<L, const INPUTS: usize, const OUTPUTS: usize> Any for Applicable<L, INPUTS, OUTPUTS>
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

/// How a layer is called by its name: `fc(x)`, `both(x1, x2)`.
pub fn form(name: &str, inputs: usize) -> String {
    let inputs: Vec<String> = match inputs {
        1 => vec!["x".into()],
        _ => (1..=inputs).map(|i| format!("x{i}")).collect(),
    };
    format!("{name}({})", inputs.join(", "))
}

/// Those with a file of their own.
const OWN: [Entry; 10] = [
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

/// Every layer there is: those with a file of their own, then the [`functions`].
pub const ALL: &[Entry] = &{
    let mut all = [OWN[0]; OWN.len() + functions::ALL.len()];
    let mut i = 0;
    while i < all.len() {
        all[i] = if i < OWN.len() { OWN[i] } else { functions::ALL[i - OWN.len()] };
        i += 1;
    }
    all
};

/// How many features a layer takes: those on the last or the first axis of `x`, which must be as many
/// as `declared`, or else as the first axis of the layer's `parameter` where an earlier use has
/// inferred them.
fn features(
    scope: &mut LayerScope<'_>,
    x: (NodeId, &str),
    axis: Axis,
    declared: Option<&Dim>,
    parameter: &str,
) -> Result<Dim, Mistake> {
    let has = size_along(scope, 0, x, axis)?;
    let takes = declared.cloned().or_else(|| inferred(scope, parameter));
    let takes = takes.unwrap_or_else(|| has.clone());
    matches_features(scope, x.1, &takes, &has)?;
    Ok(takes)
}

/// The size of the first or the last axis of `x`, the operand at `place`.
fn size_along(
    scope: &LayerScope<'_>,
    place: usize,
    x: (NodeId, &str),
    axis: Axis,
) -> Result<Dim, Mistake> {
    let dims = &real(scope, place, x)?.shape.dims;
    let size = match axis {
        Axis::First => dims.first(),
        Axis::Last => dims.last(),
    };
    size.cloned().ok_or_else(|| {
        let message =
            format!("`{}` takes features, but `{}` is a single number", scope.shown(), x.1);
        Mistake::operand(place, message)
    })
}

/// Requires the features of a value, shown as `text`, to be as many as the layer takes.
fn matches_features(
    scope: &mut LayerScope<'_>,
    text: &str,
    takes: &Dim,
    has: &Dim,
) -> Result<(), Mistake> {
    let shown = scope.shown();
    let mistake =
        Mistake::call(format!("`{shown}` takes {takes} features, but `{text}` has {has}"));
    scope.same(takes, has, mistake)
}

/// Where features lie.
#[derive(Clone, Copy)]
enum Axis {
    First,
    Last,
}

/// The size of the first axis of a parameter, where an earlier use has declared it.
fn inferred(scope: &LayerScope<'_>, parameter: &str) -> Option<Dim> {
    scope.declared(parameter).map(|id| scope.ty(id).shape.dims[0].clone())
}

/// The type of the operand at `place`, which must be real.
fn real<'a>(
    scope: &'a LayerScope<'_>,
    place: usize,
    x: (NodeId, &str),
) -> Result<&'a Type, Mistake> {
    let ty = scope.ty(x.0);
    match ty.is_real() {
        true => Ok(ty),
        false => {
            let message = format!("`{}` takes reals, but `{}` holds {ty}", scope.shown(), x.1);
            Err(Mistake::operand(place, message))
        }
    }
}

/// Layers for tests of the language, which no list names.
#[cfg(debug_assertions)]
const UNLISTED: &[Entry] = &[entry::<sum_and_difference::SumAndDifference, _, _>()];
#[cfg(not(debug_assertions))]
const UNLISTED: &[Entry] = &[];

/// The layer of this name.
pub fn find(name: &str) -> Option<&'static Entry> {
    ALL.iter().chain(UNLISTED).find(|e| e.name == name)
}

/// The names of all layers.
pub fn names() -> impl Iterator<Item = &'static str> + Clone {
    ALL.iter().map(|e| e.name)
}
