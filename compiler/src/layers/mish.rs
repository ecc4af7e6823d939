//! `x·tanh(ln(1 + eˣ))`, element by element.

use super::Layer;
use crate::error::Mistake;
use crate::graph::NodeId;
use crate::network::Scope;
use crate::ops::{Attribute, Attributes, mish};
use crate::shape::Type;

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Mish;

impl Layer for Mish {
    const NAME: &'static str = "Mish";
    const ATTRIBUTES: &'static [Attribute] = &[];

    fn from_call(_: &Attributes) -> Result<Mish, Mistake> {
        Ok(Mish)
    }

    fn apply(&self, scope: &mut Scope<'_>, x: (NodeId, &str)) -> Result<NodeId, Mistake> {
        scope.call(mish::Mish, &[x])
    }

    fn describe(&self, _: &Type) -> String {
        Self::NAME.into()
    }
}
