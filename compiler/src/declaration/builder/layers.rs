//! Layers of a builder: declared once, applied any number of times.

use super::{Builder, LayerScope, Operand, check_sizes, multiply_adds, operand, wrong_count};
use crate::declaration::names::Order;
use crate::error::{Mistake, unknown};
use crate::graph::NodeId;
use crate::layers::{self, AnyLayer};
use crate::ops::{AttributeValue, Attributes};
use crate::pytorch;
use crate::shape::{Shape, Type};

/// Identifies a layer of a builder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LayerId(pub(super) usize);

#[derive(Debug)]
pub(super) struct DeclaredLayer {
    /// Its qualified name.
    pub name: String,
    /// Its name in messages: its declared name, or its kind.
    pub shown: String,
    /// Its position in declaration order, also for its parameters.
    pub order: Order,
    pub layer: AnyLayer,
    /// Its parameters by unqualified names, once it is used.
    pub parameters: Vec<(String, NodeId)>,
    pub first_use: Option<FirstUse>,
}

/// The first use of a layer: types of its inputs, shapes of its outputs, and its cost.
#[derive(Debug)]
pub(super) struct FirstUse {
    pub inputs: Vec<Type>,
    pub outputs: Vec<Shape>,
    pub multiply_adds: usize,
}

impl Builder {
    /// Declares a layer. Without a name, one is generated from its kind: `linear1`.
    pub fn layer<'a>(
        &mut self,
        name: impl Into<Option<&'a str>>,
        kind: &str,
        attributes: impl Into<Attributes>,
    ) -> Result<LayerId, Mistake> {
        self.new_layer(name.into(), kind, &attributes.into())
    }

    fn new_layer(
        &mut self,
        name: Option<&str>,
        kind: &str,
        attributes: &Attributes,
    ) -> Result<LayerId, Mistake> {
        let entry = find_layer(kind)?;
        let attributes = attributes.check(kind, entry.attributes, &entry.show())?;
        for (given, value) in attributes.iter() {
            if let AttributeValue::Size(size) = value {
                check_sizes([size]).map_err(|m| Mistake::attribute(given, m.message))?;
            }
        }
        let layer = (entry.from_call)(&attributes)?;
        if let Some(name) = name {
            let full = self.names.full(name);
            if self.layers.iter().any(|layer| layer.name == full) {
                return Err(Mistake::call(format!("layer `{full}` is declared twice")));
            }
        }
        let local = name.map_or_else(|| self.names.generate(kind), String::from);
        self.names.reserve(&local);
        self.layers.push(DeclaredLayer {
            name: self.names.full(&local),
            shown: name.unwrap_or(kind).into(),
            order: self.names.next_order(),
            layer,
            parameters: Vec::new(),
            first_use: None,
        });
        Ok(LayerId(self.layers.len() - 1))
    }

    /// The qualified name of a layer; empty for a layer of another network.
    pub fn layer_name(&self, layer: LayerId) -> &str {
        self.layers.get(layer.0).map_or("", |layer| &layer.name)
    }

    /// The number of inputs of a layer.
    pub fn takes(&self, layer: LayerId) -> usize {
        self.layers.get(layer.0).map_or(0, |layer| layer.layer.inputs())
    }

    /// The number of outputs of a layer.
    pub fn gives(&self, layer: LayerId) -> usize {
        self.layers.get(layer.0).map_or(0, |layer| layer.layer.outputs())
    }

    /// Applies a layer with one input and one output. Further uses share its parameters.
    pub fn apply<'a>(
        &mut self,
        layer: LayerId,
        x: impl Into<Operand<'a>> + Copy,
    ) -> Result<NodeId, Mistake> {
        match self.apply_to(layer, &[x])?[..] {
            [y] => Ok(y),
            ref all => {
                let shown = &self.layers[layer.0].shown;
                Err(Mistake::call(format!("`{shown}` returns {} values, not one", all.len())))
            }
        }
    }

    /// Applies a layer to its inputs; its outputs. Further uses share its parameters.
    pub fn apply_to<'a>(
        &mut self,
        layer: LayerId,
        x: &[impl Into<Operand<'a>> + Copy],
    ) -> Result<Vec<NodeId>, Mistake> {
        let x = self.texts(x)?;
        let parameters = self.layers.get(layer.0).map_or(0, |layer| layer.parameters.len());
        self.transaction(|b| b.apply_layer(layer, &operand::pairs(&x))).inspect_err(|_| {
            if let Some(layer) = self.layers.get_mut(layer.0) {
                layer.parameters.truncate(parameters);
            }
        })
    }

    fn apply_layer(
        &mut self,
        layer: LayerId,
        x: &[(NodeId, &str)],
    ) -> Result<Vec<NodeId>, Mistake> {
        let Some(declared) = self.layers.get(layer.0) else {
            return Err(Mistake::call("this layer belongs to another network"));
        };
        let takes = declared.layer.inputs();
        if x.len() != takes {
            let shown = layers::form(&declared.shown, takes);
            return Err(Mistake::call(wrong_count(&declared.shown, takes, x.len(), &shown)));
        }
        let inputs = x.iter().map(|(x, _)| self.graph.ty(*x).clone()).collect();
        let before = self.graph.len();
        let applied = declared.layer.clone();
        let outputs = applied.apply(&mut LayerScope { builder: self, layer }, x)?;
        let multiply_adds = (before..self.graph.len())
            .map(|i| multiply_adds(&self.graph, NodeId::new(i)))
            .fold(0, usize::saturating_add);
        let texts: Vec<&str> = x.iter().map(|(_, text)| *text).collect();
        let name = format!("{}({})", self.layers[layer.0].name, texts.join(", "));
        for (i, y) in outputs.iter().enumerate() {
            match outputs.len() {
                1 => self.graph.name(*y, &name),
                _ => self.graph.name(*y, &format!("{name}.{i}")),
            }
        }
        let shapes = outputs.iter().map(|y| self.graph.shape(*y).clone()).collect();
        let first_use = &mut self.layers[layer.0].first_use;
        first_use.get_or_insert(FirstUse { inputs, outputs: shapes, multiply_adds });
        Ok(outputs)
    }
}

/// The layer of this kind.
///
/// # Errors
/// For an unknown kind, with a hint, the nearest name or all names.
pub fn find_layer(name: &str) -> Result<&'static layers::Entry, Mistake> {
    layers::find(name).ok_or_else(|| {
        Mistake::call(match pytorch::layer(name) {
            Some(instead) => format!("there is no layer `{name}`: {instead}"),
            None => unknown("layer", name, layers::names()),
        })
    })
}
