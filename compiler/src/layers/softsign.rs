//! `x / (1 + |x|)`, element by element.

use super::Layer;
use crate::error::Mistake;
use crate::graph::NodeId;
use crate::network::Scope;
use crate::ops::{Attribute, Attributes, softsign};
use crate::shape::Type;

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Softsign;

impl Layer for Softsign {
    const NAME: &'static str = "Softsign";
    const ATTRIBUTES: &'static [Attribute] = &[];

    fn from_call(_: &Attributes) -> Result<Softsign, Mistake> {
        Ok(Softsign)
    }

    fn apply(&self, scope: &mut Scope<'_>, x: (NodeId, &str)) -> Result<NodeId, Mistake> {
        scope.call(softsign::Softsign, &[x])
    }

    fn describe(&self, _: &Type) -> String {
        Self::NAME.into()
    }
}
