//! The operation [`Materialize`].

use super::{
    Domain, Finiteness, Linearity, Lowering, MemoryOrder, Operand, Operation, Reverse, Sample, Sign,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Facts, Shape, Type};

/// A copy of a value in a buffer. The compiler inserts it where a product needs the elements of a view
/// contiguously, and for roots that would have no buffer otherwise.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Materialize {
    /// Whether the batch axis is innermost; otherwise the order is row-major.
    pub batch_last: bool,
}

impl Materialize {
    /// In row-major order.
    pub const ROWS: Materialize = Materialize { batch_last: false };
    /// With the batch axis innermost.
    pub const BATCH_LAST: Materialize = Materialize { batch_last: true };
}

impl Operation for Materialize {
    const NAME: &'static str = "materialize";
    const OPERANDS: Option<usize> = Some(1);
    const IS_POINTWISE: bool = true;

    fn shape(&self, x: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        Ok(x[0].ty.clone())
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], _: &Evaluation<'_>) -> Value<T> {
        x[0].clone()
    }

    fn gradient(&self, _: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        vec![Some(at.dy)]
    }

    fn linearity(&self) -> Linearity {
        Linearity::Sum(&[Sign::Plus])
    }

    fn finiteness(&self) -> Finiteness {
        Finiteness::EXACT
    }

    fn memory_order(&self) -> Option<MemoryOrder> {
        Some(match self.batch_last {
            true => MemoryOrder::BatchLast,
            false => MemoryOrder::RowMajor,
        })
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Elementwise(Box::new(|_, x| x[0]))
    }

    fn samples(size: usize) -> Vec<Sample> {
        let ty = Type::real(Shape::batched([3, size]));
        let sample = |op| Sample::new(op, [Operand::new(ty.clone(), Domain::Normal(1.0))]);
        vec![sample(Materialize::ROWS), sample(Materialize::BATCH_LAST)]
    }
}
