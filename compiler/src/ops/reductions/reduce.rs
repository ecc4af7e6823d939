//! The operation [`Reduce`].

use super::{Domain, Lowering, Operand, Operation, Reverse, Sample};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Total, Value};
pub use crate::expr::scalar::Reduction;
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Facts, Shape, Type};

/// Reduces one axis to size 1, or removes the batch axis, by sum or maximum: the primitive reduction.
///
/// The maximum is NaN if an element is NaN. Equal largest elements share the gradient evenly, as in
/// PyTorch.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Reduce {
    /// Sum or maximum.
    pub reduction: Reduction,
    /// The reduced axis.
    pub axis: Axis,
}

/// An axis of the example, or the batch axis.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Axis {
    /// The batch axis.
    Batch,
    /// An axis of the example.
    Example(usize),
}

super::notation::words!(Reduction: Sum = "sum", Max = "max");

#[cfg(feature = "eval")]
impl Reduction {
    /// Reduces numbers, for the interpreter.
    pub(in crate::ops) fn of<T: Real>(self, x: impl Iterator<Item = T>) -> T {
        match self {
            Reduction::Sum => x.total(),
            Reduction::Max => T::largest_of(x),
        }
    }
}

impl Operation for Reduce {
    const NAME: &'static str = "reduce";
    const OPERANDS: Option<usize> = Some(1);

    fn shape(&self, x: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        super::elementwise::require_real(Self::NAME, 0, x[0])?;
        let shape = &x[0].ty.shape;
        Ok(Type::real(match self.axis {
            Axis::Batch if shape.batched => Shape { batched: false, ..shape.clone() },
            Axis::Example(axis) if axis < shape.rank() => shape.with(axis, 1),
            _ => return Err(Mistake::call("there is no such axis to reduce")),
        }))
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        let axis = match self.axis {
            Axis::Batch => 0,
            Axis::Example(axis) => at.array_axis(0, axis),
        };
        let lanes = x[0]
            .array()
            .map_axis(ndarray::Axis(axis), |lane| self.reduction.of(lane.iter().copied()));
        Value::real(&at.sizes(), lanes.iter().copied().collect())
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let shape = g.shape(at.x[0]).clone();
        vec![Some(match self.reduction {
            Reduction::Sum => g.broadcast(at.dy, &shape),
            Reduction::Max => {
                let largest = g.equal(at.x[0], at.y);
                let count = g.reduce(Reduction::Sum, self.axis, largest);
                let share = g.div(at.dy, count);
                g.mul(largest, share)
            }
        })]
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Reduction(self.reduction, self.axis)
    }

    fn samples(size: usize) -> Vec<Sample> {
        let mut samples = Vec::new();
        for reduction in [Reduction::Sum, Reduction::Max] {
            for (axis, dims) in [
                (Axis::Batch, vec![size]),
                (Axis::Batch, vec![]),
                (Axis::Example(0), vec![size]),
                (Axis::Example(0), vec![size, 5]),
                (Axis::Example(1), vec![2, size, 3]),
                (Axis::Example(1), vec![3, size]),
            ] {
                let ty = Type::real(Shape::batched(dims));
                let domain = match reduction {
                    Reduction::Sum => Domain::Normal(1.0),
                    Reduction::Max => Domain::Separated,
                };
                let op = Reduce { reduction, axis };
                samples.push(Sample::new(op, [Operand::new(ty, domain)]).summing(size.max(40)));
            }
        }
        samples
    }
}
