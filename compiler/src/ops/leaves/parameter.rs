//! The operation [`Parameter`].

use super::leaf::{LeafOperation, leaf_operation};
use super::{Leaf, Lowering};
use crate::shape::{Shape, Type};

/// A variable, persistent between calls: a parameter of the network, or optimizer state, whose
/// indices follow those of the parameters.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Parameter {
    /// Its index among the parameters and the optimizer state.
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
