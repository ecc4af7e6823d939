//! A number that is given with every step and may change between steps without
//! compiling again: the learning rate.

use super::{Attributes, Lowering, Operation, Reverse, Sample, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Facts, Shape, Type};

/// See the [module](self).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Setting {
    /// What the user calls it.
    pub name: &'static str,
}

impl Operation for Setting {
    const NAME: &'static str = "setting";
    const CALL: Option<Signature> = None;

    fn from_call(_: &Attributes) -> Result<Setting, Mistake> {
        Err(super::internal(Self::NAME))
    }

    fn shape(&self, _: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        Ok(Type::real(Shape::scalar()))
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
