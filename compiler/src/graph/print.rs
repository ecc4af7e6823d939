//! A graph as text, a node a line: what `BILRO_DUMP=graph` writes.

use std::fmt;

use super::{Graph, Quantity, Root};

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "graph for batches of {}", self.batch())?;
        for id in self.ids() {
            let node = self.node(id);
            let operands: Vec<_> =
                self.operands(id).iter().map(|x| format!("%{}", x.index())).collect();
            write!(f, "%{} = {}({})", id.index(), node.op.describe(), operands.join(", "))?;
            write!(f, " : {:?}", node.ty)?;
            match &node.name {
                Some(name) => writeln!(f, "  // {name}")?,
                None => writeln!(f)?,
            }
        }
        for (root, id) in self.roots() {
            writeln!(f, "{root} = %{}", id.index())?;
        }
        Ok(())
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Root::Output(name) => write!(f, "output {name}"),
            Root::Loss => f.write_str("loss"),
            Root::Metric(name) => write!(f, "metric {name}"),
            Root::Sum(quantity, term) => write!(f, "sum of term {term} of {quantity}"),
            Root::Weight(quantity, term) => write!(f, "weight of term {term} of {quantity}"),
            Root::Gradient(parameter) => write!(f, "gradient of parameter {parameter}"),
            Root::InputGradient(input) => write!(f, "gradient of input {input}"),
            Root::Assign(parameter) => write!(f, "next parameter {parameter}"),
            Root::Guard => f.write_str("guard"),
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Quantity::Loss => f.write_str("the loss"),
            Quantity::Metric(place) => write!(f, "metric {place}"),
        }
    }
}
