//! The operation [`Constant`].

use super::leaf::{LeafOperation, leaf_operation};
use super::{Lowering, Number};
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::shape::{Shape, Type};

/// A constant scalar.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Constant(pub Number);

impl LeafOperation for Constant {
    const NAME: &'static str = "constant";

    fn ty(&self) -> Type {
        Type::real(Shape::scalar())
    }

    #[cfg(feature = "eval")]
    fn value<T: Real>(&self, _: &Evaluation<'_>) -> Value<T> {
        Value::real(&[], vec![T::of(self.0.0)])
    }

    fn lowering(&self) -> Lowering<'_> {
        Lowering::Constant(self.0.0)
    }
}

leaf_operation!(Constant);
