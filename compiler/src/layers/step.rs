//! 1 where `x ≥ 0`, else 0, element by element and without gradient: the perceptron's.

use super::Layer;
use crate::error::Mistake;
use crate::graph::NodeId;
use crate::network::Scope;
use crate::ops::{Attribute, Attributes, step};
use crate::shape::Type;

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Step;

impl Layer for Step {
    const NAME: &'static str = "Step";
    const ATTRIBUTES: &'static [Attribute] = &[];

    fn from_call(_: &Attributes) -> Result<Step, Mistake> {
        Ok(Step)
    }

    fn apply(&self, scope: &mut Scope<'_>, x: (NodeId, &str)) -> Result<NodeId, Mistake> {
        scope.call(step::Step, &[x])
    }

    fn describe(&self, _: &Type) -> String {
        Self::NAME.into()
    }
}
