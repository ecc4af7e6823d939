//! The operation [`Constant`].

use super::{Lowering, Number, Operation, Reverse, Sample};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Facts, Shape, Type};

/// A number.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Constant(pub Number);

impl Operation for Constant {
    const NAME: &'static str = "constant";

    fn shape(&self, _: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        Ok(Type::real(Shape::scalar()))
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, _: &[&Value<T>], _: &Evaluation<'_>) -> Value<T> {
        Value::real(&[], vec![T::of(self.0.0)])
    }

    fn gradient(&self, _: &mut Graph, _: &Reverse<'_>) -> Vec<Option<NodeId>> {
        Vec::new()
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Constant(self.0.0)
    }

    fn samples(_: usize) -> Vec<Sample> {
        Vec::new()
    }
}
