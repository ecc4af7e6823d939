//! Layers of a builder: declared once, applied any number of times.

use super::{Builder, LayerScope, Operand, check_sizes, multiply_adds, operand, wrong_count};
use crate::declaration::names::Order;
use crate::error::{Mistake, unknown};
use crate::graph::NodeId;
use crate::layers::{self, AnyLayer};
use crate::ops::{AttributeValue, Attributes};
use crate::pytorch;
use crate::shape::{Shape, Type};

/// Names a layer of one builder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LayerId(pub(super) usize);

#[derive(Debug)]
pub(super) struct DeclaredLayer {
    /// With those of the modules around it.
    pub name: String,
    /// How messages call it: its name, or its kind where it has none.
    pub shown: String,
    /// Parameters that are made at its first use belong here.
    pub place: Order,
    pub layer: AnyLayer,
    /// Its parameters, by their own names, once it has been used.
    pub parameters: Vec<(String, NodeId)>,
    pub used: Option<FirstUse>,
}

/// What a layer was first used on, and what came of it.
#[derive(Debug)]
pub(super) struct FirstUse {
    pub inputs: Vec<Type>,
    pub outputs: Vec<Shape>,
    pub multiply_adds: usize,
}

impl Builder {
    /// A layer. Without a name it gets one from its kind: `linear1`.
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
        let chosen = name.map_or_else(|| self.names.free(kind), String::from);
        self.names.take(&chosen);
        self.layers.push(DeclaredLayer {
            name: self.names.full(&chosen),
            shown: name.unwrap_or(kind).into(),
            place: self.names.order(),
            layer,
            parameters: Vec::new(),
            used: None,
        });
        Ok(LayerId(self.layers.len() - 1))
    }

    /// A layer's name, with those of the modules around it; empty where it is of another network.
    pub fn layer_name(&self, layer: LayerId) -> &str {
        self.layers.get(layer.0).map_or("", |layer| &layer.name)
    }

    /// How many values a layer takes.
    pub fn takes(&self, layer: LayerId) -> usize {
        self.layers.get(layer.0).map_or(0, |layer| layer.layer.inputs())
    }

    /// How many values a layer gives.
    pub fn gives(&self, layer: LayerId) -> usize {
        self.layers.get(layer.0).map_or(0, |layer| layer.layer.outputs())
    }

    /// A layer of one result on a value. Used again, it has the same parameters.
    pub fn apply<'a>(
        &mut self,
        layer: LayerId,
        x: impl Into<Operand<'a>> + Copy,
    ) -> Result<NodeId, Mistake> {
        match self.apply_to(layer, &[x])?[..] {
            [y] => Ok(y),
            ref all => {
                let shown = &self.layers[layer.0].shown;
                Err(Mistake::call(format!("`{shown}` gives {} values, not one", all.len())))
            }
        }
    }

    /// A layer on as many values as it takes; as many as it gives. Used again, it has the same
    /// parameters.
    pub fn apply_to<'a>(
        &mut self,
        layer: LayerId,
        x: &[impl Into<Operand<'a>> + Copy],
    ) -> Result<Vec<NodeId>, Mistake> {
        let x = self.texts(x)?;
        let parameters = self.layers.get(layer.0).map_or(0, |layer| layer.parameters.len());
        self.whole(|b| b.apply_layer(layer, &operand::pairs(&x))).inspect_err(|_| {
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
            return Err(Mistake::call("this layer is of another network"));
        };
        let takes = declared.layer.inputs();
        if x.len() != takes {
            let shown = layers::form(&declared.shown, takes);
            return Err(Mistake::call(wrong_count(&declared.shown, takes, x.len(), &shown)));
        }
        let inputs = x.iter().map(|(x, _)| self.graph.ty(*x).clone()).collect();
        let before = self.graph.len();
        let any = declared.layer.clone();
        let made = any.apply(&mut LayerScope { builder: self, layer }, x)?;
        let multiply_adds = (before..self.graph.len())
            .map(|i| multiply_adds(&self.graph, NodeId::new(i)))
            .fold(0, usize::saturating_add);
        let texts: Vec<&str> = x.iter().map(|(_, text)| *text).collect();
        let name = format!("{}({})", self.layers[layer.0].name, texts.join(", "));
        for (place, y) in made.iter().enumerate() {
            match made.len() {
                1 => self.graph.name(*y, &name),
                _ => self.graph.name(*y, &format!("{name}.{place}")),
            }
        }
        let outputs = made.iter().map(|y| self.graph.shape(*y).clone()).collect();
        let used = &mut self.layers[layer.0].used;
        used.get_or_insert(FirstUse { inputs, outputs, multiply_adds });
        Ok(made)
    }
}

/// The layer of this kind; otherwise what is wrong, with the nearest name or
/// all there are.
pub fn find_layer(name: &str) -> Result<&'static layers::Entry, Mistake> {
    layers::find(name).ok_or_else(|| {
        Mistake::call(match pytorch::layer(name) {
            Some(instead) => format!("there is no layer `{name}`: {instead}"),
            None => unknown("layer", name, layers::names()),
        })
    })
}
