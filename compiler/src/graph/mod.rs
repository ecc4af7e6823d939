//! The graph of a network: nodes hold an operation and its operands, and edges say the same
//! the other way round, from a node to its users, for `petgraph`'s traversals. Forward values,
//! gradients and optimizer updates live in one graph.
//!
//! Guarantees, checked by [`Graph::verify`]:
//! - nodes are only appended, after their operands: the order of their numbers
//!   is a topological order;
//! - no computation is there twice: adding an operation on operands that it
//!   already has gives the node that is there (common subexpressions);
//! - every node has the type that its operation's shape function says.

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

/// Names a node of one graph.
pub type NodeId = NodeIndex<u32>;

/// One computation.
#[derive(Clone, PartialEq, Debug)]
pub struct Node {
    /// What it computes.
    pub op: Op,
    /// On which nodes, in their places; shared with the key that finds this node again.
    operands: Arc<[NodeId]>,
    /// Of which type.
    pub ty: Type,
    /// What the user called it, or the expression that it came from.
    pub name: Option<Arc<str>>,
}

/// What a node is computed for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Root {
    /// What the network returns under this name.
    Output(String),
    /// The loss, a single number.
    Loss,
    /// A metric, a single number.
    Metric(String),
    /// The sum of a batch's elements for one term of the loss or of a metric, times the term's factor:
    /// a single number that adds up over batches. See [`Measure`](crate::declaration::Measure).
    Sum(Quantity, usize),
    /// What the targets of a batch weigh in the same term.
    Weight(Quantity, usize),
    /// The gradient of the loss with respect to a parameter.
    Gradient(usize),
    /// The same with respect to an input.
    InputGradient(usize),
    /// The next value of a parameter, or of what an optimizer keeps: it is
    /// overwritten.
    Assign(usize),
    /// A single number, 0 where what is under [`Root::Assign`] may be kept. It is
    /// known before anything is overwritten; otherwise nothing is.
    Guard,
}

/// What is measured on examples.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Quantity {
    /// The loss.
    Loss,
    /// A metric, by its place.
    Metric(usize),
}

/// The graph of a network: forward values, gradients and updates, each node after
/// its operands. The [module](self) says what it guarantees.
#[derive(Clone, Debug)]
pub struct Graph {
    nodes: DiGraph<Node, u32>,
    batch: usize,
    roots: Vec<(Root, NodeId)>,
    known: FxHashMap<(Op, Arc<[NodeId]>), NodeId>,
}

/// Whether they have the same nodes by the same numbers, names included, the same
/// roots and batch size.
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

    /// How many examples a batched value holds.
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

    /// A node's operands, in their places.
    pub fn operands(&self, id: NodeId) -> &[NodeId] {
        &self.nodes[id].operands
    }

    /// The types of a node's operands, in their places.
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

    /// Keeps the roots that `keep` accepts.
    pub fn retain_roots(&mut self, keep: impl Fn(&Root) -> bool) {
        self.roots.retain(|(root, _)| keep(root));
    }

    /// Gives every root another name.
    pub fn rename_roots(&mut self, rename: impl Fn(Root) -> Root) {
        self.roots = self.roots.drain(..).map(|(root, id)| (rename(root), id)).collect();
    }

    /// What the user calls a node, or its operation and number.
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
    /// are broadcast first where the operation asks for it. What sizes leave
    /// undecided goes into `facts`.
    pub fn call(
        &mut self,
        op: Op,
        operands: &[NodeId],
        names: &[&str],
        facts: &mut Facts,
    ) -> Result<NodeId, Mistake> {
        let stretched = self.stretch(&op, operands, names, facts)?;
        let arguments: Vec<_> = stretched
            .iter()
            .zip(names)
            .map(|(id, name)| Argument { name, ty: self.ty(*id) })
            .collect();
        let ty = op.shape(&arguments, facts)?;
        ty.shape.check_count()?;
        // Losses do not broadcast, but a parameter may be compared with a batch.
        let operands = if stretched.len() > 1 && op.is_pointwise() {
            stretched.iter().map(|x| self.broadcast(*x, &ty.shape)).collect()
        } else {
            stretched
        };
        Ok(self.insert(op, operands.into(), ty))
    }

    fn stretch(
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
    /// Where they do not fit: a bug in the pass.
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

    /// The type that an operation has on operands of this graph, which a
    /// mistake does not name: passes make none.
    fn infer(&self, op: &Op, operands: &[NodeId]) -> Result<Type, Mistake> {
        if !op.takes(operands.len()) {
            let (name, count) = (op.name(), operands.len());
            return Err(Mistake::call(format!("`{name}` does not take {count} operands")));
        }
        let arguments: Vec<_> =
            operands.iter().map(|x| Argument { name: "operand", ty: self.ty(*x) }).collect();
        // A bound graph has no symbols; one with symbols has had its facts
        // recorded when the call was made.
        op.shape(&arguments, &mut Facts::default())
    }

    fn insert(&mut self, op: Op, operands: Arc<[NodeId]>, ty: Type) -> NodeId {
        let key = (op, operands);
        if let Some(id) = self.known.get(&key) {
            return *id;
        }
        let node = Node { op: key.0.clone(), operands: key.1.clone(), ty, name: None };
        let id = self.nodes.add_node(node);
        for (place, operand) in key.1.iter().enumerate() {
            self.nodes.add_edge(*operand, id, place as u32);
        }
        self.known.insert(key, id);
        id
    }

    /// Takes back what was added last: so many nodes and roots are left.
    pub(crate) fn truncate(&mut self, nodes: usize, roots: usize) {
        self.roots.truncate(roots);
        while self.len() > nodes {
            let last = NodeId::new(self.len() - 1);
            if let Some(Node { op, operands, .. }) = self.nodes.remove_node(last) {
                self.known.remove(&(op, operands));
            }
        }
    }

    /// Builds a graph with the same roots by handing every node that they need
    /// to `rewrite`, operands first and already rewritten. What no root needs
    /// is left out.
    pub fn rebuild(&self, mut rewrite: impl FnMut(&mut Graph, &Op, &[NodeId]) -> NodeId) -> Graph {
        let mut graph = Graph::new(self.batch);
        let mut new = vec![None; self.len()];
        let needed = self.needed();
        let mut operands = Vec::new();
        for id in self.ids().filter(|id| needed[id.index()]) {
            operands.clear();
            let images = self.operands(id).iter().map(|x| new[x.index()]);
            operands.extend(images.map(|x| x.expect("operands come first")));
            let image = rewrite(&mut graph, self.op(id), &operands);
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
