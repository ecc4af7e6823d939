//! The hyperbolic tangent, element by element.

use super::Layer;
use crate::error::Mistake;
use crate::graph::NodeId;
use crate::network::Scope;
use crate::ops::{Attribute, Attributes, tanh};
use crate::shape::Type;

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Tanh;

impl Layer for Tanh {
    const NAME: &'static str = "Tanh";
    const ATTRIBUTES: &'static [Attribute] = &[];

    fn from_call(_: &Attributes) -> Result<Tanh, Mistake> {
        Ok(Tanh)
    }

    fn apply(&self, scope: &mut Scope<'_>, x: (NodeId, &str)) -> Result<NodeId, Mistake> {
        scope.call(tanh::Tanh, &[x])
    }

    fn describe(&self, _: &Type) -> String {
        Self::NAME.into()
    }
}
