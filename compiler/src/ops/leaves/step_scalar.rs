//! The operation [`StepScalar`].

use super::leaf::{LeafOperation, leaf_operation};
use super::{Leaf, Lowering};
use crate::shape::{Shape, Type};

/// The key of everything that is drawn at random, in two integers.
pub const RANDOM_KEY: [&str; 2] = ["random key 0", "random key 1"];
/// The number of the batch that is trained on, for what is drawn at random.
pub const RANDOM_BATCH: &str = "random batch";

/// A number that is given with every step and may change between steps without
/// compiling again: the learning rate, the key of what is drawn at random.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct StepScalar {
    /// What the user calls it.
    pub name: &'static str,
    /// Whether it is an integer below 2³² rather than a real.
    pub is_integer: bool,
}

impl StepScalar {
    /// A real.
    pub fn real(name: &'static str) -> StepScalar {
        StepScalar { name, is_integer: false }
    }

    /// An integer.
    pub fn whole(name: &'static str) -> StepScalar {
        StepScalar { name, is_integer: true }
    }
}

impl LeafOperation for StepScalar {
    const NAME: &'static str = "step_scalar";

    fn ty(&self) -> Type {
        match self.is_integer {
            true => Type::index(1usize << 32, Shape::scalar()),
            false => Type::real(Shape::scalar()),
        }
    }

    fn lowering(&self) -> Lowering<'_> {
        Lowering::Leaf(Leaf::StepScalar(self))
    }
}

leaf_operation!(StepScalar);
