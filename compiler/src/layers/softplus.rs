//! `ln(1 + e^(beta·x)) / beta`, and `x` where `beta·x` is above `threshold`, element by element.

use super::{Layer, attributes_of};
use crate::error::Mistake;
use crate::graph::NodeId;
use crate::network::Scope;
use crate::ops::{Attribute, Attributes, Elementwise, softplus};
use crate::shape::Type;

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Softplus {
    function: softplus::Softplus,
}

impl Layer for Softplus {
    const NAME: &'static str = "Softplus";
    const ATTRIBUTES: &'static [Attribute] = attributes_of::<softplus::Softplus>();
    const POSITIONAL: &'static [&'static [&'static str]] =
        &[&[], &["beta"], &["beta", "threshold"]];

    fn from_call(attributes: &Attributes) -> Result<Softplus, Mistake> {
        Ok(Self { function: <softplus::Softplus as Elementwise>::from_call(attributes)? })
    }

    fn apply(&self, scope: &mut Scope<'_>, x: (NodeId, &str)) -> Result<NodeId, Mistake> {
        scope.call(self.function.clone(), &[x])
    }

    fn describe(&self, _: &Type) -> String {
        let softplus::Softplus { beta, threshold } = &self.function;
        format!("Softplus(beta = {beta:?}, threshold = {threshold:?})")
    }
}
