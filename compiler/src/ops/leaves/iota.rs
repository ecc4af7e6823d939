//! The operation [`Iota`].

use super::Lowering;
use super::leaf::{LeafOperation, leaf_operation};
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::shape::{Shape, Type};

/// The number of each element of a shape, counted row-major through the whole
/// value, the batch first. Numbers wrap at 2³².
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Iota {
    /// Whose elements are counted.
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
        // It is tried with what is drawn: the numbers themselves are no reals.
        Vec::new()
    }
}

leaf_operation!(Iota);
