//! The operation [`Positions`].

use super::{Lowering, Operation, Reverse, Sample};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Facts, Shape, Type};

/// The number of each element of a shape, counted row-major through the whole
/// value, the batch first. Numbers wrap at 2³².
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Positions {
    /// Whose elements are counted.
    pub shape: Shape,
}

impl Operation for Positions {
    const NAME: &'static str = "positions";

    fn shape(&self, _: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        Ok(Type::index(1usize << 32, self.shape.clone()))
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, _: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        let sizes = at.sizes();
        let count = sizes.iter().product::<usize>();
        Value::index(&sizes, (0..count).map(|i| i as u32).collect())
    }

    fn gradient(&self, _: &mut Graph, _: &Reverse<'_>) -> Vec<Option<NodeId>> {
        Vec::new()
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Positions
    }

    fn samples(_: usize) -> Vec<Sample> {
        // It is tried with what is drawn: the numbers themselves are no reals.
        Vec::new()
    }
}
