//! A graph for Graphviz, for `BILRO_DUMP=dot`.

use petgraph::dot::{Config, Dot};

use super::Graph;

/// The graph in the DOT language.
pub fn dot(graph: &Graph) -> String {
    let label = |_, (id, node): (super::NodeId, &super::Node)| {
        format!("label=\"{}\\n{}\"", graph.label(id).replace('"', "'"), node.ty)
    };
    let none = |_, _| String::new();
    let config = [Config::NodeNoLabel, Config::EdgeNoLabel];
    format!("{:?}", Dot::with_attr_getters(&graph.nodes, &config, &none, &label))
}
