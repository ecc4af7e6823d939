//! `max(0, x)`, element by element.

use super::Layer;
use crate::error::Mistake;
use crate::graph::NodeId;
use crate::network::Scope;
use crate::ops::{Attribute, Attributes, relu};
use crate::shape::Type;

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct ReLU;

impl Layer for ReLU {
    const NAME: &'static str = "ReLU";
    const ATTRIBUTES: &'static [Attribute] = &[];

    fn from_call(_: &Attributes) -> Result<ReLU, Mistake> {
        Ok(ReLU)
    }

    fn apply(&self, scope: &mut Scope<'_>, x: (NodeId, &str)) -> Result<NodeId, Mistake> {
        scope.call(relu::Relu, &[x])
    }

    fn describe(&self, _: &Type) -> String {
        Self::NAME.into()
    }
}
