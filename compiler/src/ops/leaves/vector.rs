//! The operation [`Vector`].

use std::sync::Arc;

use super::leaf::{LeafOperation, leaf_operation};
use super::{Lowering, Number};
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::shape::{Shape, Type};

/// A constant vector, as class weights.
///
/// It is stored in memory beside the code and loaded from there, at any length.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Vector {
    /// The numbers, at least one.
    pub elements: Arc<[Number]>,
}

impl LeafOperation for Vector {
    const NAME: &'static str = "vector";

    fn ty(&self) -> Type {
        Type::real(Shape::unbatched([self.elements.len()]))
    }

    #[cfg(feature = "eval")]
    fn value<T: Real>(&self, at: &Evaluation<'_>) -> Value<T> {
        Value::real(&at.sizes(), self.elements.iter().map(|x| T::of(x.0)).collect())
    }

    fn lowering(&self) -> Lowering<'_> {
        Lowering::Numbers(&self.elements)
    }

    fn variants(size: usize) -> Vec<Vector> {
        let numbers =
            |f: fn(usize) -> f32| Vector { elements: (0..size).map(|i| Number(f(i))).collect() };
        [numbers(|i| i as f32 - 2.5), numbers(|i| (i % 3) as f32), numbers(|_| 0.25)].to_vec()
    }
}

leaf_operation!(Vector);
