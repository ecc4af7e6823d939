//! The interface of the builder for layers: parameters, untrained state, operations.

use super::{Builder, LayerId};
use crate::declaration::{Init, Parameter};
use crate::error::Mistake;
use crate::graph::{Graph, NodeId, Root};
use crate::ops::switch::Selector;
use crate::ops::{Leaf, Op};
use crate::shape::{Dim, Shape, Type};

/// The builder's interface for a layer that is applied.
pub struct LayerScope<'a> {
    pub(super) builder: &'a mut Builder,
    pub(super) layer: LayerId,
}

impl LayerScope<'_> {
    /// The layer's name in messages.
    pub fn shown(&self) -> &str {
        &self.builder.layers[self.layer.0].shown
    }

    /// The type of a value.
    pub fn ty(&self, x: NodeId) -> &Type {
        self.builder.graph.ty(x)
    }

    /// Requires two sizes to be equal.
    pub fn same(&mut self, a: &Dim, b: &Dim, mistake: Mistake) -> Result<(), Mistake> {
        self.builder.facts.same(a, b, || mistake)
    }

    /// A parameter of the layer: created at its first use, shared by further ones.
    pub fn parameter(&mut self, name: &str, dims: Vec<Dim>, init: Init) -> Result<NodeId, Mistake> {
        self.declare(Parameter::new(name, Shape::unbatched(dims), init))
    }

    /// Untrained state of the layer, as running statistics: created at its first use, shared by further
    /// ones.
    pub fn untrained(&mut self, name: &str, dims: Vec<Dim>, init: Init) -> Result<NodeId, Mistake> {
        self.declare(Parameter::untrained(name, Shape::unbatched(dims), init))
    }

    /// A parameter of the layer, by its unqualified name, with file axes or fans.
    pub fn declare(&mut self, mut parameter: Parameter) -> Result<NodeId, Mistake> {
        if let Some(id) = self.declared(&parameter.name) {
            return Ok(id);
        }
        let layer = &self.builder.layers[self.layer.0];
        let order = layer.order.clone();
        let full = format!("{}.{}", layer.name, parameter.name);
        let name = std::mem::replace(&mut parameter.name, full);
        let id = self.builder.new_parameter(order, parameter)?;
        self.builder.layers[self.layer.0].parameters.push((name, id));
        Ok(id)
    }

    /// A parameter or buffer that an earlier use of the layer has declared.
    pub fn declared(&self, name: &str) -> Option<NodeId> {
        let layer = &self.builder.layers[self.layer.0];
        layer.parameters.iter().find(|(n, _)| n == name).map(|(_, id)| *id)
    }

    /// Sets the next value of a buffer, assigned with every step. Only the first use of a layer assigns.
    pub fn update(&mut self, buffer: NodeId, next: NodeId) {
        let graph = &mut self.builder.graph;
        let Some(Leaf::Parameter(op)) = graph.op(buffer).leaf() else {
            unreachable!("buffers are declared by `untrained`")
        };
        let root = Root::Assign(op.index);
        if graph.root(&root).is_none() {
            graph.add_root(root, next);
        }
    }

    /// One of two values: for training or for inference.
    pub fn by_purpose(
        &mut self,
        training: (NodeId, &str),
        inference: (NodeId, &str),
    ) -> Result<NodeId, Mistake> {
        self.builder.switch(Selector::Training, &[training, inference])
    }

    /// A random stream that no other use of a layer has.
    pub fn stream(&mut self) -> u32 {
        self.builder.streams += 1;
        self.builder.streams
    }

    /// The graph, for operations whose operands are known to be valid.
    pub fn graph(&mut self) -> &mut Graph {
        &mut self.builder.graph
    }

    /// Applies an operation to operands, each with its text.
    pub fn call(
        &mut self,
        op: impl Into<Op>,
        operands: &[(NodeId, &str)],
    ) -> Result<NodeId, Mistake> {
        let (ids, names): (Vec<NodeId>, Vec<&str>) = operands.iter().copied().unzip();
        self.builder.graph.call(op.into(), &ids, &names, &mut self.builder.facts)
    }
}
