//! The operation [`Input`].

use super::leaf::{LeafOperation, leaf_operation};
use super::{Leaf, Lowering};
use crate::shape::Type;

/// An input or target of the network, passed with every batch.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Input {
    /// Its index among the network's inputs and targets.
    pub index: usize,
    /// Its type.
    pub ty: Type,
}

impl LeafOperation for Input {
    const NAME: &'static str = "input";

    fn ty(&self) -> Type {
        self.ty.clone()
    }

    fn lowering(&self) -> Lowering<'_> {
        Lowering::Leaf(Leaf::Input(self))
    }
}

leaf_operation!(Input);
