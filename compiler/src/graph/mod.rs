//! The graph of a network: nodes hold an operation and its operands; edges lead in the opposite
//! direction, from a node to its users, for `petgraph`'s traversals. Forward values,
//! gradients and optimizer updates are in one graph.
//!
//! Guarantees, checked by [`Graph::verify`]:
//! - nodes are only appended, after their operands: the order of their numbers
//!   is a topological order;
//! - no computation appears twice: adding an operation on operands that it
//!   already has returns the existing node (common subexpression elimination);
//! - every node has the type that its operation's shape function returns.

mod build;
mod dot;
#[cfg(any(test, feature = "eval"))]
mod parse;
mod print;
mod verify;

use std::sync::Arc;

use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use rustc_hash::FxHashMap;

use crate::error::Mistake;
use crate::ops::Op;
use crate::shape::{Argument, Facts, Shape, Type};

pub use dot::dot;
#[cfg(any(test, feature = "eval"))]
pub use parse::ParseError;
pub(crate) use print::Computation;

/// The number of a node in its graph.
pub type NodeId = NodeIndex<u32>;

/// One computation.
#[derive(Clone, PartialEq, Debug)]
pub struct Node {
    /// Its operation.
    pub op: Op,
    /// Its operands, in order; shared with the node's key in the table of known computations.
    operands: Arc<[NodeId]>,
    /// The type of its value.
    pub ty: Type,
    /// The user's name for it, or the expression that it came from.
    pub name: Option<Arc<str>>,
}

/// A purpose for which a node is computed.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Root {
    /// An output of the network, by name.
    Output(String),
    /// The loss, a single number.
    Loss,
    /// A metric, a single number.
    Metric(String),
    /// The sum of a batch's elements for one term of the loss or of a metric, times the term's factor:
    /// a single number that adds up over batches. See [`Measure`](crate::declaration::Measure).
    Sum(Quantity, usize),
    /// The weight of a batch's targets in the same term.
    Weight(Quantity, usize),
    /// The gradient of the loss with respect to a parameter.
    Gradient(usize),
    /// The gradient of the loss with respect to an input.
    InputGradient(usize),
    /// The next value of a parameter, or of optimizer state, which is
    /// overwritten.
    Assign(usize),
    /// A single number, 0 if the step may overwrite its variables ([`Root::Assign`]). It is
    /// computed before anything is overwritten; if it is not 0, nothing is overwritten.
    Guard,
}

/// A quantity that is measured on examples.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Quantity {
    /// The loss.
    Loss,
    /// A metric, by its index.
    Metric(usize),
}

/// The graph of a network: forward values, gradients and updates, each node after
/// its operands. See the [module](self) for its guarantees.
#[derive(Clone, Debug)]
pub struct Graph {
    nodes: DiGraph<Node, u32>,
    batch: usize,
    roots: Vec<(Root, NodeId)>,
    known: FxHashMap<(Op, Arc<[NodeId]>), NodeId>,
}

/// Equality of nodes by number, names included, of roots and of batch sizes.
impl PartialEq for Graph {
    fn eq(&self, other: &Graph) -> bool {
        let same = |id| self.node(id) == other.node(id) && self.operands(id) == other.operands(id);
        self.batch == other.batch
            && self.roots == other.roots
            && self.len() == other.len()
            && self.ids().all(same)
    }
}

impl Graph {
    /// An empty graph for batches of `batch` examples.
    pub fn new(batch: usize) -> Graph {
        Graph { nodes: DiGraph::default(), batch, roots: Vec::new(), known: FxHashMap::default() }
    }

    /// The same graph for another number of examples.
    pub fn with_batch(&self, batch: usize) -> Graph {
        Graph { batch, ..self.clone() }
    }

    /// The number of examples of a batched value.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.nodes.node_count()
    }

    /// Whether there are no nodes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All nodes, operands before their users.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = NodeId> + use<> {
        (0..self.len() as u32).map(|i| NodeId::new(i as usize))
    }

    /// A node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id]
    }

    /// A node's operation.
    pub fn op(&self, id: NodeId) -> &Op {
        &self.nodes[id].op
    }

    /// A node's type.
    pub fn ty(&self, id: NodeId) -> &Type {
        &self.nodes[id].ty
    }

    /// A node's shape.
    pub fn shape(&self, id: NodeId) -> &Shape {
        &self.nodes[id].ty.shape
    }

    /// A node's sizes, the batch first where it has one.
    pub fn sizes(&self, id: NodeId) -> Vec<usize> {
        self.shape(id).full_sizes(self.batch)
    }

    /// A node's operands, in order.
    pub fn operands(&self, id: NodeId) -> &[NodeId] {
        &self.nodes[id].operands
    }

    /// The types of a node's operands, in order.
    pub fn operand_types(&self, id: NodeId) -> Vec<&Type> {
        self.operands(id).iter().map(|x| self.ty(*x)).collect()
    }

    /// The nodes that have this one as an operand, each once, in order.
    pub fn users(&self, id: NodeId) -> Vec<NodeId> {
        let mut users: Vec<_> = self.nodes.neighbors_directed(id, Direction::Outgoing).collect();
        users.sort_unstable();
        users.dedup();
        users
    }

    /// The roots, in the order in which they were added.
    pub fn roots(&self) -> &[(Root, NodeId)] {
        &self.roots
    }

    /// The node of a root.
    pub fn root(&self, root: &Root) -> Option<NodeId> {
        self.roots.iter().find(|(r, _)| r == root).map(|(_, id)| *id)
    }

    /// Adds a root.
    pub fn add_root(&mut self, root: Root, id: NodeId) {
        self.roots.push((root, id));
    }

    /// Removes the roots for which `predicate` is false.
    pub fn retain_roots(&mut self, predicate: impl Fn(&Root) -> bool) {
        self.roots.retain(|(root, _)| predicate(root));
    }

    /// Gives every root another name.
    pub fn rename_roots(&mut self, rename: impl Fn(Root) -> Root) {
        self.roots = self.roots.drain(..).map(|(root, id)| (rename(root), id)).collect();
    }

    /// The user's name for a node, or its operation and number.
    pub fn label(&self, id: NodeId) -> String {
        match &self.node(id).name {
            Some(name) => name.to_string(),
            None => format!("{} %{}", self.op(id).name(), id.index()),
        }
    }

    /// Names a node that has no name yet.
    pub fn name(&mut self, id: NodeId, name: &str) {
        let node = &mut self.nodes[id];
        if node.name.is_none() {
            node.name = Some(name.into());
        }
    }

    /// Adds an operation on operands that a user wrote as `names`. Operands
    /// are broadcast first if the operation does that. Comparisons of sizes that are
    /// undecided go into `facts`.
    pub fn call(
        &mut self,
        op: Op,
        operands: &[NodeId],
        names: &[&str],
        facts: &mut Facts,
    ) -> Result<NodeId, Mistake> {
        let operands = self.broadcast_operands(&op, operands, names, facts)?;
        let arguments: Vec<_> = operands
            .iter()
            .zip(names)
            .map(|(id, name)| Argument { name, ty: self.ty(*id) })
            .collect();
        let ty = op.shape(&arguments, facts)?;
        ty.shape.check_count()?;
        // Losses do not broadcast, but a parameter may be compared with a batch.
        let operands = if operands.len() > 1 && op.is_pointwise() {
            operands.iter().map(|x| self.broadcast(*x, &ty.shape)).collect()
        } else {
            operands
        };
        Ok(self.insert(op, operands.into(), ty))
    }

    fn broadcast_operands(
        &mut self,
        op: &Op,
        operands: &[NodeId],
        names: &[&str],
        facts: &mut Facts,
    ) -> Result<Vec<NodeId>, Mistake> {
        if !op.broadcasts() || operands.len() < 2 || !operands.iter().all(|x| self.ty(*x).is_real())
        {
            return Ok(operands.to_vec());
        }
        let mut shape = self.shape(operands[0]).clone();
        for (i, other) in operands.iter().enumerate().skip(1) {
            let mistake = || {
                Mistake::call(format!(
                    "`{}` of shape {} and `{}` of shape {} do not broadcast: \
                     axes are matched from the last, and sizes must be equal or 1",
                    names[0],
                    self.shape(operands[0]),
                    names[i],
                    self.shape(*other),
                ))
            };
            shape = facts.broadcast(&shape, self.shape(*other), mistake)?;
        }
        Ok(operands.iter().map(|x| self.broadcast(*x, &shape)).collect())
    }

    /// Adds an operation on operands that fit it: for passes of the compiler.
    ///
    /// # Panics
    /// If they do not fit: a bug in the pass.
    pub fn apply(&mut self, op: impl Into<Op>, operands: &[NodeId]) -> NodeId {
        let op = op.into();
        let ty = match self.infer(&op, operands) {
            Ok(ty) => ty,
            Err(mistake) => {
                let labels: Vec<_> = operands.iter().map(|x| self.label(*x)).collect();
                let x = labels.join(", ");
                panic!("a pass of the compiler built a wrong node on {x}: {mistake}")
            }
        };
        self.insert(op, operands.into(), ty)
    }

    /// The result type of an operation on operands of this graph. A mistake does not name the
    /// operands: passes make no mistakes.
    fn infer(&self, op: &Op, operands: &[NodeId]) -> Result<Type, Mistake> {
        if !op.takes(operands.len()) {
            let (name, count) = (op.name(), operands.len());
            return Err(Mistake::call(format!("`{name}` does not take {count} operands")));
        }
        let arguments: Vec<_> =
            operands.iter().map(|x| Argument { name: "operand", ty: self.ty(*x) }).collect();
        // Either sizes are numbers, or the facts were recorded when the call was
        // made.
        op.shape(&arguments, &mut Facts::default())
    }

    fn insert(&mut self, op: Op, operands: Arc<[NodeId]>, ty: Type) -> NodeId {
        let key = (op, operands);
        if let Some(id) = self.known.get(&key) {
            return *id;
        }
        let node = Node { op: key.0.clone(), operands: key.1.clone(), ty, name: None };
        let id = self.nodes.add_node(node);
        for (index, operand) in key.1.iter().enumerate() {
            self.nodes.add_edge(*operand, id, index as u32);
        }
        self.known.insert(key, id);
        id
    }

    /// Removes the nodes and roots that were added last, down to these numbers.
    pub(crate) fn truncate(&mut self, nodes: usize, roots: usize) {
        self.roots.truncate(roots);
        while self.len() > nodes {
            let last = NodeId::new(self.len() - 1);
            if let Some(Node { op, operands, .. }) = self.nodes.remove_node(last) {
                self.known.remove(&(op, operands));
            }
        }
    }

    /// Builds a graph with the same roots by passing every node that they need
    /// to `rewrite`, operands first and already rewritten. Dead nodes are dropped.
    pub fn rebuild(&self, mut rewrite: impl FnMut(&mut Graph, &Op, &[NodeId]) -> NodeId) -> Graph {
        self.rebuild_nodes(|graph, _, op, operands| rewrite(graph, op, operands))
    }

    /// [`Self::rebuild`], which also passes the node's number in this graph.
    pub fn rebuild_nodes(
        &self,
        mut rewrite: impl FnMut(&mut Graph, NodeId, &Op, &[NodeId]) -> NodeId,
    ) -> Graph {
        let mut graph = Graph::new(self.batch);
        let mut new = vec![None; self.len()];
        let needed = self.needed();
        let mut operands = Vec::new();
        for id in self.ids().filter(|id| needed[id.index()]) {
            operands.clear();
            let images = self.operands(id).iter().map(|x| new[x.index()]);
            operands.extend(images.map(|x| x.expect("operands come first")));
            let image = rewrite(&mut graph, id, self.op(id), &operands);
            debug_assert_eq!(graph.ty(image), self.ty(id), "{} changed its type", self.label(id));
            if let Some(name) = &self.node(id).name {
                graph.name(image, name);
            }
            new[id.index()] = Some(image);
        }
        for (root, id) in &self.roots {
            graph.add_root(root.clone(), new[id.index()].expect("roots are needed"));
        }
        graph
    }

    /// For every node, whether a root needs it.
    pub fn needed(&self) -> Vec<bool> {
        let mut needed = vec![false; self.len()];
        for (_, id) in &self.roots {
            needed[id.index()] = true;
        }
        for id in self.ids().rev() {
            if needed[id.index()] {
                for x in self.operands(id) {
                    needed[x.index()] = true;
                }
            }
        }
        needed
    }
}
