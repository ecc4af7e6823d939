//! `eˣ / Σ eˣ` over an axis, the last unless told.

use super::{Layer, attributes_of, printed};
use crate::error::Mistake;
use crate::graph::NodeId;
use crate::network::Scope;
use crate::ops::{Attribute, Attributes, Operation, softmax};
use crate::shape::Type;

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Softmax {
    function: softmax::Softmax,
}

impl Layer for Softmax {
    const NAME: &'static str = "Softmax";
    const ATTRIBUTES: &'static [Attribute] = attributes_of::<softmax::Softmax>();
    const POSITIONAL: &'static [&'static [&'static str]] = &[&[], &["axis"]];

    fn from_call(attributes: &Attributes) -> Result<Softmax, Mistake> {
        Ok(Softmax { function: softmax::Softmax::from_call(attributes)? })
    }

    fn apply(&self, scope: &mut Scope<'_>, x: (NodeId, &str)) -> Result<NodeId, Mistake> {
        scope.call(self.function.clone(), &[x])
    }

    fn describe(&self, _: &Type) -> String {
        format!("Softmax(axis = {})", self.function.axis)
    }

    fn module(&self, _: &Type) -> String {
        format!("Softmax(dim={})", printed::dim(self.function.axis))
    }
}
