//! The operation [`Parameter`].

use super::leaf::{LeafOperation, leaf_operation};
use super::{Leaf, Lowering};
use crate::shape::{Shape, Type};

/// What is kept from call to call: a parameter of the network, and behind the
/// parameters what an optimizer keeps.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Parameter {
    /// Its place among the network's parameters, or behind them.
    pub index: usize,
    /// Its shape.
    pub shape: Shape,
}

impl LeafOperation for Parameter {
    const NAME: &'static str = "parameter";

    fn ty(&self) -> Type {
        Type::real(self.shape.clone())
    }

    fn lowering(&self) -> Lowering<'_> {
        Lowering::Leaf(Leaf::Parameter(self))
    }
}

leaf_operation!(Parameter);
