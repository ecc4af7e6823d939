//! `x - ln Σ eˣ` over an axis, the last unless told.

use super::{Layer, attributes_of, printed};
use crate::error::Mistake;
use crate::graph::NodeId;
use crate::network::Scope;
use crate::ops::{Attribute, Attributes, Operation, log_softmax};
use crate::shape::Type;

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct LogSoftmax {
    function: log_softmax::LogSoftmax,
}

impl Layer for LogSoftmax {
    const NAME: &'static str = "LogSoftmax";
    const ATTRIBUTES: &'static [Attribute] = attributes_of::<log_softmax::LogSoftmax>();
    const POSITIONAL: &'static [&'static [&'static str]] = &[&[], &["axis"]];

    fn from_call(attributes: &Attributes) -> Result<LogSoftmax, Mistake> {
        Ok(LogSoftmax { function: log_softmax::LogSoftmax::from_call(attributes)? })
    }

    fn apply(&self, scope: &mut Scope<'_>, x: (NodeId, &str)) -> Result<NodeId, Mistake> {
        scope.call(self.function.clone(), &[x])
    }

    fn describe(&self, _: &Type) -> String {
        format!("LogSoftmax(axis = {})", self.function.axis)
    }

    fn module(&self, _: &Type) -> String {
        format!("LogSoftmax(dim={})", printed::dim(self.function.axis))
    }
}
