//! Leaves: operations without operands.

use super::{Lowering, Operation, Sample};
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::shape::Type;

/// An operation without operands, defined by its type and lowering. [`leaf_operation`] implements
/// [`Operation`] for it, without gradients.
pub(in crate::ops) trait LeafOperation: Operation {
    /// See [`Operation::NAME`].
    const NAME: &'static str;

    /// The type of its value.
    fn ty(&self) -> Type;

    /// Its value, unless it is an input.
    #[cfg(feature = "eval")]
    fn value<T: Real>(&self, _: &Evaluation<'_>) -> Value<T> {
        unreachable!("inputs are not evaluated")
    }

    /// See [`Operation::lower`].
    fn lowering(&self) -> Lowering<'_>;

    /// Test cases: none for inputs.
    fn variants(_size: usize) -> Vec<Self> {
        Vec::new()
    }

    /// See [`Operation::samples`].
    fn all_samples(size: usize) -> Vec<Sample>
    where
        super::Op: From<Self>,
    {
        Self::variants(size).into_iter().map(|op| Sample::new(op, [])).collect()
    }
}

/// Implements [`Operation`] for a [`LeafOperation`].
macro_rules! leaf_operation {
    ($Leaf:ty) => {
        impl $crate::ops::Operation for $Leaf {
            const NAME: &'static str = <$Leaf as $crate::ops::leaf::LeafOperation>::NAME;

            fn shape(
                &self,
                _: &[$crate::shape::Argument<'_>],
                _: &mut $crate::shape::Facts,
            ) -> Result<$crate::shape::Type, $crate::error::Mistake> {
                Ok($crate::ops::leaf::LeafOperation::ty(self))
            }

            #[cfg(feature = "eval")]
            fn eval<T: $crate::eval::Real>(
                &self,
                _: &[&$crate::eval::Value<T>],
                at: &$crate::eval::Evaluation<'_>,
            ) -> $crate::eval::Value<T> {
                $crate::ops::leaf::LeafOperation::value(self, at)
            }

            fn gradient(
                &self,
                _: &mut $crate::graph::Graph,
                _: &$crate::ops::Reverse<'_>,
            ) -> Vec<Option<$crate::graph::NodeId>> {
                Vec::new()
            }

            fn lower(&self) -> $crate::ops::Lowering<'_> {
                $crate::ops::leaf::LeafOperation::lowering(self)
            }

            fn samples(size: usize) -> Vec<$crate::ops::Sample> {
                <$Leaf as $crate::ops::leaf::LeafOperation>::all_samples(size)
            }
        }
    };
}

pub(in crate::ops) use leaf_operation;
