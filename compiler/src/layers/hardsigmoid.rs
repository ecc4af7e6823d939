//! `min(max(x + 3, 0), 6) / 6`, element by element.

use super::Layer;
use crate::error::Mistake;
use crate::graph::NodeId;
use crate::network::Scope;
use crate::ops::{Attribute, Attributes, hardsigmoid};
use crate::shape::Type;

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Hardsigmoid;

impl Layer for Hardsigmoid {
    const NAME: &'static str = "Hardsigmoid";
    const ATTRIBUTES: &'static [Attribute] = &[];

    fn from_call(_: &Attributes) -> Result<Hardsigmoid, Mistake> {
        Ok(Hardsigmoid)
    }

    fn apply(&self, scope: &mut Scope<'_>, x: (NodeId, &str)) -> Result<NodeId, Mistake> {
        scope.call(hardsigmoid::Hardsigmoid, &[x])
    }

    fn describe(&self, _: &Type) -> String {
        Self::NAME.into()
    }
}
