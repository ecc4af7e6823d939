//! The operation [`Iota`].

use super::Lowering;
use super::leaf::{LeafOperation, leaf_operation};
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::shape::{Shape, Type};

/// The row-major index of each element, over all axes with the batch outermost. Indices wrap at 2³².
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Iota {
    /// The shape of the result.
    pub shape: Shape,
}

impl LeafOperation for Iota {
    const NAME: &'static str = "iota";

    fn ty(&self) -> Type {
        Type::index(1usize << 32, self.shape.clone())
    }

    #[cfg(feature = "eval")]
    fn value<T: Real>(&self, at: &Evaluation<'_>) -> Value<T> {
        let sizes = at.sizes();
        let count = sizes.iter().product::<usize>();
        Value::index(&sizes, (0..count).map(|i| i as u32).collect())
    }

    fn lowering(&self) -> Lowering<'_> {
        Lowering::Iota
    }

    fn variants(_: usize) -> Vec<Iota> {
        // Tested by `random`: integers are not compared as reals.
        Vec::new()
    }
}

leaf_operation!(Iota);
