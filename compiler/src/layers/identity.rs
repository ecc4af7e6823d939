//! What it is given.

use super::Layer;
use crate::error::Mistake;
use crate::graph::NodeId;
use crate::network::Scope;
use crate::ops::{Attribute, Attributes};
use crate::shape::Type;

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Identity;

impl Layer for Identity {
    const NAME: &'static str = "Identity";
    const ATTRIBUTES: &'static [Attribute] = &[];

    fn from_call(_: &Attributes) -> Result<Identity, Mistake> {
        Ok(Identity)
    }

    fn apply(&self, _: &mut Scope<'_>, x: (NodeId, &str)) -> Result<NodeId, Mistake> {
        Ok(x.0)
    }

    fn describe(&self, _: &Type) -> String {
        Self::NAME.into()
    }
}
