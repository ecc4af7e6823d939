//! The operation [`Input`].

use super::{Lowering, Operation, Reverse, Sample};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Facts, Type};

/// An input of the network: given with every batch.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Input {
    /// Its place among the network's inputs and targets.
    pub index: usize,
    /// Its type.
    pub ty: Type,
}

impl Operation for Input {
    const NAME: &'static str = "input";

    fn shape(&self, _: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        Ok(self.ty.clone())
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
