//! `x·Φ(x)` with the normal distribution's `Φ`, element by element.

use super::{Layer, attributes_of};
use crate::error::Mistake;
use crate::graph::NodeId;
use crate::network::Scope;
use crate::ops::gelu::Gelu;
use crate::ops::{Attribute, Attributes, Elementwise};
use crate::shape::Type;

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct GELU {
    function: Gelu,
}

impl Layer for GELU {
    const NAME: &'static str = "GELU";
    const ATTRIBUTES: &'static [Attribute] = attributes_of::<Gelu>();
    const POSITIONAL: &'static [&'static [&'static str]] = &[&[], &["approximate"]];

    fn from_call(attributes: &Attributes) -> Result<GELU, Mistake> {
        Ok(Self { function: <Gelu as Elementwise>::from_call(attributes)? })
    }

    fn apply(&self, scope: &mut Scope<'_>, x: (NodeId, &str)) -> Result<NodeId, Mistake> {
        scope.call(self.function.clone(), &[x])
    }

    fn describe(&self, _: &Type) -> String {
        format!("GELU(approximate = {})", self.function.approximate.word())
    }

    fn module(&self, _: &Type) -> String {
        format!("GELU(approximate='{}')", self.function.approximate.word())
    }
}
