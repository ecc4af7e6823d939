//! `x·sigmoid(x)`, element by element.

use super::Layer;
use crate::error::Mistake;
use crate::graph::NodeId;
use crate::network::Scope;
use crate::ops::{Attribute, Attributes, silu};
use crate::shape::Type;

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct SiLU;

impl Layer for SiLU {
    const NAME: &'static str = "SiLU";
    const ATTRIBUTES: &'static [Attribute] = &[];

    fn from_call(_: &Attributes) -> Result<SiLU, Mistake> {
        Ok(SiLU)
    }

    fn apply(&self, scope: &mut Scope<'_>, x: (NodeId, &str)) -> Result<NodeId, Mistake> {
        scope.call(silu::Silu, &[x])
    }

    fn describe(&self, _: &Type) -> String {
        Self::NAME.into()
    }
}
