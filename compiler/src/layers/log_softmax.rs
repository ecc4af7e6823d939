//! `x - ln Σ eˣ` over an axis, the last unless told.

use super::{Layer, printed};
use crate::error::Mistake;
use crate::graph::NodeId;
use crate::network::Scope;
use crate::ops::{Attribute, AttributeKind, Attributes, log_softmax};
use crate::shape::Shape;

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct LogSoftmax {
    axis: i64,
}

impl Layer for LogSoftmax {
    const NAME: &'static str = "LogSoftmax";
    const ATTRIBUTES: &'static [Attribute] =
        &[Attribute { name: "axis", kind: AttributeKind::Axis, default: Some("-1") }];
    const POSITIONAL: &'static [&'static [&'static str]] = &[&[], &["axis"]];

    fn from_call(attributes: &Attributes) -> Result<LogSoftmax, Mistake> {
        Ok(LogSoftmax { axis: attributes.axis("axis").unwrap_or(-1) })
    }

    fn apply(&self, scope: &mut Scope<'_>, x: (NodeId, &str)) -> Result<NodeId, Mistake> {
        scope.call(log_softmax::LogSoftmax { axis: self.axis }, &[x])
    }

    fn describe(&self, _: &Shape) -> String {
        format!("LogSoftmax(axis = {})", self.axis)
    }

    fn module(&self, _: &Shape) -> String {
        format!("LogSoftmax(dim={})", printed::dim(self.axis))
    }
}
