//! `1 / (1 + e⁻ˣ)`, element by element.

use super::Layer;
use crate::error::Mistake;
use crate::graph::NodeId;
use crate::network::Scope;
use crate::ops::{Attribute, Attributes, sigmoid};
use crate::shape::Type;

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Sigmoid;

impl Layer for Sigmoid {
    const NAME: &'static str = "Sigmoid";
    const ATTRIBUTES: &'static [Attribute] = &[];

    fn from_call(_: &Attributes) -> Result<Sigmoid, Mistake> {
        Ok(Sigmoid)
    }

    fn apply(&self, scope: &mut Scope<'_>, x: (NodeId, &str)) -> Result<NodeId, Mistake> {
        scope.call(sigmoid::Sigmoid, &[x])
    }

    fn describe(&self, _: &Type) -> String {
        Self::NAME.into()
    }
}
