//! `scale·x` above 0, else `scale·alpha·(eˣ - 1)`, element by element.

use super::Layer;
use crate::error::Mistake;
use crate::graph::NodeId;
use crate::network::Scope;
use crate::ops::{Attribute, Attributes, selu};
use crate::shape::Type;

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct SELU;

impl Layer for SELU {
    const NAME: &'static str = "SELU";
    const ATTRIBUTES: &'static [Attribute] = &[];

    fn from_call(_: &Attributes) -> Result<SELU, Mistake> {
        Ok(SELU)
    }

    fn apply(&self, scope: &mut Scope<'_>, x: (NodeId, &str)) -> Result<NodeId, Mistake> {
        scope.call(selu::Selu, &[x])
    }

    fn describe(&self, _: &Type) -> String {
        Self::NAME.into()
    }
}
