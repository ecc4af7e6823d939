//! `ln(sigmoid(x))`, element by element.

use super::Layer;
use crate::error::Mistake;
use crate::graph::NodeId;
use crate::network::Scope;
use crate::ops::{Attribute, Attributes, logsigmoid};
use crate::shape::Type;

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct LogSigmoid;

impl Layer for LogSigmoid {
    const NAME: &'static str = "LogSigmoid";
    const ATTRIBUTES: &'static [Attribute] = &[];

    fn from_call(_: &Attributes) -> Result<LogSigmoid, Mistake> {
        Ok(LogSigmoid)
    }

    fn apply(&self, scope: &mut Scope<'_>, x: (NodeId, &str)) -> Result<NodeId, Mistake> {
        scope.call(logsigmoid::LogSigmoid, &[x])
    }

    fn describe(&self, _: &Type) -> String {
        Self::NAME.into()
    }
}
