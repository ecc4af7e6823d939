//! The operation [`ComparePosition`].

use super::{Domain, Finiteness, Lowering, Operand, Operation, Reverse, Sample};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, DType, Facts, Shape, Type};

/// Compares integers with their index on the last axis: 1.0 where it holds, else 0.0. On indices
/// broadcast along that axis, equality yields one-hot vectors. Without gradient.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum ComparePosition {
    /// The position equals the integer.
    Equal,
    /// The position is less than the integer.
    Before,
}

super::notation::words!(ComparePosition: Equal = "equal", Before = "before");

#[cfg(feature = "eval")]
impl ComparePosition {
    fn holds(&self, position: usize, index: u32) -> bool {
        match self {
            ComparePosition::Equal => position as u64 == u64::from(index),
            ComparePosition::Before => (position as u64) < u64::from(index),
        }
    }
}

impl Operation for ComparePosition {
    const NAME: &'static str = "compare_position";
    const OPERANDS: Option<usize> = Some(1);
    const IS_POINTWISE: bool = true;

    fn shape(&self, x: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        match x[0].ty {
            Type { dtype: DType::Index { .. }, shape } if shape.rank() > 0 => {
                Ok(Type::real(shape.clone()))
            }
            _ => Err(Mistake::operand(0, "positions are compared with integers on an axis")),
        }
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        let sizes = at.sizes();
        let last = sizes[sizes.len() - 1];
        let holds = |(i, index): (usize, &u32)| match self.holds(i % last, *index) {
            true => T::one(),
            false => T::zero(),
        };
        Value::real(&sizes, x[0].indices().iter().enumerate().map(holds).collect())
    }

    fn gradient(&self, _: &mut Graph, _: &Reverse<'_>) -> Vec<Option<NodeId>> {
        vec![None]
    }

    fn finiteness(&self) -> Finiteness {
        Finiteness::BOUNDED.with_conditions(1)
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Elementwise(Box::new(|e, x| {
            let position = e.position();
            let mask = match self {
                ComparePosition::Equal => e.int_equal(x[0], position),
                ComparePosition::Before => e.int_greater(x[0], position),
            };
            e.indicator(mask)
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        [ComparePosition::Equal, ComparePosition::Before]
            .map(|op| {
                let ty = Type::index(size, Shape::batched([2, size]));
                Sample::new(op, [Operand::new(ty, Domain::Indices)])
            })
            .to_vec()
    }
}
