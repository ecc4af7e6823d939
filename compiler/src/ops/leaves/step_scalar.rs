//! The operation [`StepScalar`].

use super::leaf::{LeafOperation, leaf_operation};
use super::{Leaf, Lowering};
use crate::shape::{Shape, Type};

/// The key of the random generator, as two integers.
pub const RANDOM_KEY: [&str; 2] = ["random key 0", "random key 1"];
/// The number of the training batch, for the random generator.
pub const RANDOM_BATCH: &str = "random batch";

/// A scalar that is passed with every step and may change between steps without recompilation: the
/// learning rate, the key of the random generator.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct StepScalar {
    /// Its name.
    pub name: &'static str,
    /// Whether it is an integer below 2³² rather than a real.
    pub is_integer: bool,
}

impl StepScalar {
    /// A real step scalar.
    pub fn real(name: &'static str) -> StepScalar {
        StepScalar { name, is_integer: false }
    }

    /// An integer step scalar.
    pub fn integer(name: &'static str) -> StepScalar {
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
