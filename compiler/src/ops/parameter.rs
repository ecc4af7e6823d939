//! The operation [`Parameter`].

use super::{Lowering, Operation, Reverse, Sample};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Facts, Shape, Type};

/// What is kept from call to call: a parameter of the network, and behind the
/// parameters what an optimizer keeps.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Parameter {
    /// Its place among the network's parameters, or behind them.
    pub index: usize,
    /// Its shape.
    pub shape: Shape,
}

impl Operation for Parameter {
    const NAME: &'static str = "parameter";

    fn shape(&self, _: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        Ok(Type::real(self.shape.clone()))
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, _: &[&Value<T>], _: &Evaluation<'_>) -> Value<T> {
        unreachable!("leaves are given, not evaluated")
    }

    fn gradient(&self, _: &mut Graph, _: &Reverse<'_>) -> Vec<Option<NodeId>> {
        Vec::new()
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Leaf
    }

    fn samples(_: usize) -> Vec<Sample> {
        Vec::new()
    }
}
