//! A graph as text, one node a line, for `BILRO_DUMP=graph` and as the input of
//! [`parse`](super::parse).

use std::fmt;

use super::{Graph, NodeId, Quantity, Root};

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "graph for batches of {}", self.batch())?;
        for id in self.ids() {
            write!(f, "{} : {:?}", Computation(self, id), self.ty(id))?;
            match &self.node(id).name {
                Some(name) => writeln!(f, "  // {}", Name(name))?,
                None => writeln!(f)?,
            }
        }
        for (root, id) in self.roots() {
            writeln!(f, "{root} = %{}", id.index())?;
        }
        Ok(())
    }
}

/// A node without its type and name: `%3 = matmul(%0, %2)`.
pub(crate) struct Computation<'g>(pub &'g Graph, pub NodeId);

impl fmt::Display for Computation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Computation(graph, id) = *self;
        write!(f, "%{} = {}", id.index(), graph.op(id).call_on(graph.operands(id)))
    }
}

/// A node's name: in quotes if it is empty, has control characters or spaces around it, or begins
/// with a quote.
struct Name<'a>(&'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0;
        let is_plain = !name.is_empty()
            && name.trim() == name
            && !name.starts_with('"')
            && !name.chars().any(char::is_control);
        if is_plain { f.write_str(name) } else { write!(f, "{name:?}") }
    }
}

/// A root's name: in quotes unless it is a word.
struct Word<'a>(&'a str);

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.0;
        let is_plain = !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || c == '_');
        if is_plain { f.write_str(word) } else { write!(f, "{word:?}") }
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Root::Output(name) => write!(f, "output {}", Word(name)),
            Root::Loss => f.write_str("loss"),
            Root::Metric(name) => write!(f, "metric {}", Word(name)),
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
            Quantity::Metric(index) => write!(f, "metric {index}"),
        }
    }
}
