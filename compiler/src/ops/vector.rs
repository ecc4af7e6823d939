//! The operation [`Vector`].

use std::sync::Arc;

use super::{Lowering, Number, Operation, Reverse, Sample};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Facts, Shape, Type};

/// A row of numbers that the declaration gives, as the weights of classes.
///
/// It lies in memory beside the code, however many numbers there are, and is read from there.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Vector {
    /// The numbers, at least one.
    pub elements: Arc<[Number]>,
}

impl Operation for Vector {
    const NAME: &'static str = "vector";

    fn shape(&self, _: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        Ok(Type::real(Shape::unbatched([self.elements.len()])))
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, _: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        Value::real(&at.sizes(), self.elements.iter().map(|x| T::of(x.0)).collect())
    }

    fn gradient(&self, _: &mut Graph, _: &Reverse<'_>) -> Vec<Option<NodeId>> {
        Vec::new()
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Numbers(&self.elements)
    }

    fn samples(size: usize) -> Vec<Sample> {
        let numbers =
            |f: fn(usize) -> f32| Vector { elements: (0..size).map(|i| Number(f(i))).collect() };
        [numbers(|i| i as f32 - 2.5), numbers(|i| (i % 3) as f32), numbers(|_| 0.25)]
            .map(|op| Sample::new(op, []))
            .to_vec()
    }
}
